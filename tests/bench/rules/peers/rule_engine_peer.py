"""rule-engine: rules parsed once, over host values. All its numbers are decimals.

Many rules are one list of them all: a quarter faster than a rule each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import rule_engine

from tests.bench.rules import host, rules
from tests.bench.rules.contestant import Contestant, JsonJudge, Judge, Matching, after_loads
from tests.bench.rules.facts import Facts
from tests.bench.rules.rules import ItemRule, MixedRule, SkuRule


def single() -> Mapping[str, Judge]:
    """Parse R1 to R3."""
    ladder = "null"
    for at, off in rules.R3_STEPS:
        ladder = f"(amount >= {at} ? {off} : {ladder})"
    return {
        "r1": _judge("r1", f"count >= {rules.R1_AT} ? {rules.R1_PRICE} : null"),
        "r2": _judge("r2", f"not blocked and count >= {rules.R2_AT} ? {rules.R2_PRICE} : null"),
        "r3": _judge("r3", f"level in {json.dumps(rules.R3_LEVELS)} ? {ladder} : null"),
    }


def _judge(name: str, text: str) -> Judge:
    evaluate = rule_engine.Rule(text).evaluate
    values = host.VALUES[name]
    return lambda facts: evaluate(values(facts))


def from_json() -> Mapping[str, JsonJudge]:
    """Put `json.loads` before them."""
    return after_loads(single())


def many(mixed: Sequence[MixedRule]) -> Matching:
    """Parse all rules as one list; a key that the order has not is 0."""
    keys = [rule.key for rule in mixed]
    context = rule_engine.Context(resolver=_resolve)
    evaluate = rule_engine.Rule("[" + ", ".join(map(_condition, mixed)) + "]", context=context).evaluate
    return lambda facts: list(compress(keys, evaluate(host.flat(facts))))


def _resolve(values: Facts, name: str) -> Any:
    return values.get(name, 0)


def _condition(rule: MixedRule) -> str:
    channel = f"channel == '{rule.channel}'"
    if isinstance(rule, ItemRule):
        return f"{channel} and item_{rule.item_id} >= {rule.at}"
    if isinstance(rule, SkuRule):
        return f"{channel} and sku_{rule.sku} >= {rule.at} and not segment_{rule.segment}"
    return f"{channel} and level in {json.dumps(rule.levels)} and amount_{rule.sales_channel} >= {rule.at}"


PEER = Contestant("rule-engine", single, from_json, many)
