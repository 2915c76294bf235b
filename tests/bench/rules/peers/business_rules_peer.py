"""business-rules: data that is interpreted, for it has no compiled form; variables and actions are the host's methods.

Variables are host values. A ladder is a rule a step, of which the first to hold ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from business_rules import run_all
from business_rules.actions import BaseActions, rule_action
from business_rules.fields import FIELD_NUMERIC, FIELD_TEXT
from business_rules.variables import (
    BaseVariables,
    boolean_rule_variable,
    numeric_rule_variable,
    string_rule_variable,
)

from tests.bench.rules import host, rules
from tests.bench.rules.contestant import Contestant, JsonJudge, Judge, Matching, after_loads
from tests.bench.rules.facts import ITEMS, SALES_CHANNELS, SKUS, Facts
from tests.bench.rules.rules import SEGMENTS, ItemRule, MixedRule, SkuRule

Condition = dict[str, Any]


class Variables(BaseVariables):  # type: ignore[misc]  # the library has no types
    """Host values, one method each; a sum that the order has not is 0."""

    def __init__(self, values: Facts) -> None:
        self.values = values


def _declare(name: str, kind: Callable[[], Callable[[Any], Any]]) -> None:
    def read(self: Variables) -> Any:
        return self.values.get(name, 0)

    read.__name__ = name
    setattr(Variables, name, kind()(read))


for _name in (
    "count",
    "amount",
    *(f"item_i{number}" for number in range(ITEMS)),
    *(f"sku_s{number}" for number in range(SKUS)),
    *(f"amount_{channel}" for channel in SALES_CHANNELS),
):
    _declare(_name, numeric_rule_variable)
for _name in ("blocked", *(f"segment_{number}" for number in range(len(SEGMENTS)))):
    _declare(_name, boolean_rule_variable)
for _name in ("channel", "level"):
    _declare(_name, string_rule_variable)


class Actions(BaseActions):  # type: ignore[misc]  # as above
    """Keeps what the rules give."""

    def __init__(self) -> None:
        self.gives: int | None = None
        self.keys: list[str] = []

    @rule_action(params={"gives": FIELD_NUMERIC})  # type: ignore[untyped-decorator]  # as above
    def give(self, gives: int) -> None:
        """Keep what a single rule gives."""
        self.gives = gives

    @rule_action(params={"key": FIELD_TEXT})  # type: ignore[untyped-decorator]  # as above
    def match(self, key: str) -> None:
        """Keep the key of one of many rules."""
        self.keys.append(key)


def single() -> Mapping[str, Judge]:
    """Write R1 to R3."""
    count = [_is("count", "greater_than_or_equal_to", rules.R1_AT)]
    allowed = [_is("blocked", "is_false", True), _is("count", "greater_than_or_equal_to", rules.R2_AT)]
    ladder = [
        ([_one_of(rules.R3_LEVELS), _is("amount", "greater_than_or_equal_to", at)], off)
        for at, off in reversed(rules.R3_STEPS)
    ]
    return {
        "r1": _judge("r1", [(count, rules.R1_PRICE)]),
        "r2": _judge("r2", [(allowed, rules.R2_PRICE)]),
        "r3": _judge("r3", ladder),
    }


def _judge(name: str, steps: Sequence[tuple[list[Condition], int]]) -> Judge:
    values = host.VALUES[name]
    written = [
        {"conditions": {"all": conditions}, "actions": [{"name": "give", "params": {"gives": gives}}]}
        for conditions, gives in steps
    ]

    def judge(facts: Facts) -> int | None:
        actions = Actions()
        run_all(written, Variables(values(facts)), actions, stop_on_first_trigger=True)
        return actions.gives

    return judge


def from_json() -> Mapping[str, JsonJudge]:
    """Put `json.loads` before them."""
    return after_loads(single())


def many(mixed: Sequence[MixedRule]) -> Matching:
    """Write the rules as one list."""
    written = [
        {"conditions": {"all": _conditions(rule)}, "actions": [{"name": "match", "params": {"key": rule.key}}]}
        for rule in mixed
    ]

    def matching(facts: Facts) -> list[str]:
        actions = Actions()
        run_all(written, Variables(host.flat(facts)), actions)
        return actions.keys

    return matching


def _conditions(rule: MixedRule) -> list[Condition]:
    channel = _is("channel", "equal_to", rule.channel)
    if isinstance(rule, ItemRule):
        return [channel, _is(f"item_{rule.item_id}", "greater_than_or_equal_to", rule.at)]
    if isinstance(rule, SkuRule):
        pieces = _is(f"sku_{rule.sku}", "greater_than_or_equal_to", rule.at)
        return [channel, pieces, _is(f"segment_{rule.segment}", "is_false", True)]
    amount = _is(f"amount_{rule.sales_channel}", "greater_than_or_equal_to", rule.at)
    return [channel, _one_of(rule.levels), amount]


def _is(name: str, operator: str, value: Any) -> Condition:
    return {"name": name, "operator": operator, "value": value}


def _one_of(levels: Sequence[str]) -> Condition:
    return {"any": [_is("level", "equal_to", level) for level in levels]}


PEER = Contestant("business-rules", single, from_json, many)
