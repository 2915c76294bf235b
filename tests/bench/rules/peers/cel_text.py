"""The rules as CEL, for both libraries that read it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.bench.rules import rules
from tests.bench.rules.rules import ItemRule, MixedRule, SkuRule

_LADDER = " : ".join(f"amount >= {at} ? {off}" for at, off in reversed(rules.R3_STEPS))
VALUES = {
    "r1": f"count >= {rules.R1_AT} ? {rules.R1_PRICE} : null",
    "r2": f"!blocked && count >= {rules.R2_AT} ? {rules.R2_PRICE} : null",
    "r3": f"level in {json.dumps(rules.R3_LEVELS)} ? ({_LADDER} : null) : null",
}
"""R1 to R3 over host values."""


def conditions(mixed: Sequence[MixedRule]) -> str:
    """Write the rules as one list of booleans, over nested host values."""
    return "[" + ", ".join(map(_condition, mixed)) + "]"


def _condition(rule: MixedRule) -> str:
    channel = f"channel == '{rule.channel}'"
    if isinstance(rule, ItemRule):
        return f"{channel} && {_at_least('items', rule.item_id, rule.at)}"
    if isinstance(rule, SkuRule):
        return f"{channel} && {_at_least('skus', rule.sku, rule.at)} && !segments[{rule.segment}]"
    levels = json.dumps(rule.levels)
    return f"{channel} && level in {levels} && {_at_least('amounts', rule.sales_channel, rule.at)}"


def _at_least(sums: str, key: str, at: int) -> str:
    return f"('{key}' in {sums} && {sums}['{key}'] >= {at})"
