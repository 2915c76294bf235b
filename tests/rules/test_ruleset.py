"""A set of rules answers as all its rules would, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tactics import rules
from tactics.rules import Registry, RuleError, RuleSet, compile_rule, resource
from tactics.rules.blocks import STANDARD_BLOCKS
from tests.rules.rules_at_random import facts as any_facts
from tests.rules.rules_at_random import item_ids
from tests.rules.rules_at_random import rules as any_rules

CHANNELS, ITEMS = ("app", "web", "h5"), ("7", "8", "9")


def _mixed() -> st.SearchStrategy[rules.Rule]:
    """Rules as shops have them: a channel, a user's level, and what the order has to reach."""
    channel = st.sampled_from(CHANNELS).map(lambda one: rules.equals(rules.event_attribute("channel"), one))
    level = st.lists(st.sampled_from(("gold", "silver", "tin")), min_size=1, max_size=2).map(
        lambda levels: rules.in_set(rules.user_attribute("level"), levels)
    )
    quantity = st.builds(
        lambda item, at: rules.amount_at_least(rules.item_quantity(item), at),
        st.sampled_from(ITEMS),
        st.integers(1, 6),
    )
    amounts = st.lists(st.integers(1, 60), min_size=1, max_size=3, unique=True).map(sorted)
    parts = st.lists(channel | level | quantity | level.map(lambda one: ~one), min_size=1, max_size=3)

    def ladder(at: list[int], shared: list[rules.Condition], mode: Any) -> rules.Rule:
        steps = []
        for one in at:
            when: rules.Condition = rules.amount_at_least(rules.order_amount("app"), one)
            for part in shared:
                when = part & when
            steps.append(rules.so(when, rules.give_points(one)))
        return rules.tiers(*steps, mode=mode)

    simple = parts.map(lambda several: rules.so(rules.And(tuple(several)), rules.give_points(1)))
    return simple | st.builds(ladder, amounts, parts, st.sampled_from(("highest", "first", "all")))


def _shops() -> st.SearchStrategy[Any]:
    line = st.fixed_dictionaries(
        {"price_minor": st.integers(0, 30)},
        optional={
            "item_id": st.sampled_from((*ITEMS, None)),
            "quantity": st.sampled_from((1, 2, 5, None, 0.5, "x")) | st.integers(0, 5),
            "sales_channel": st.sampled_from(("app", "web")),
            "batch": st.sampled_from((None, "b")),
        },
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "order": st.fixed_dictionaries({"lines": st.lists(line, max_size=5)}),
            "event": st.fixed_dictionaries({"channel": st.sampled_from((*CHANNELS, None, 5))}),
            "user": st.fixed_dictionaries({"level": st.sampled_from(("gold", "silver", "tin", None, True))}),
        },
    )


def _one_by_one(several: list[Any], facts: Any, item_id: str | None) -> list[tuple[int, Any]]:
    decided = [(index, compile_rule(rule).decide(facts, item_id)) for index, rule in enumerate(several)]
    return [(index, decision.steps) for index, decision in decided if decision.matched]


@settings(max_examples=250)
@given(st.lists(any_rules(), max_size=8), any_facts(), item_ids())
def test_any_rules_one_by_one(several: list[Any], facts: Any, item_id: str | None) -> None:
    """Of any rules and any facts, those match that match by themselves, with the same steps and times, in order."""
    parsed = [rules.parse(rule) for rule in several]
    found = RuleSet(enumerate(parsed)).matching(facts, item_id)
    assert [(match.key, match.decision.steps) for match in found] == _one_by_one(parsed, facts, item_id)


@settings(max_examples=250)
@given(st.lists(_mixed(), max_size=30), _shops())
def test_a_shops_rules_one_by_one(several: list[rules.Rule], facts: Any) -> None:
    """The same of the rules that the index is for, on orders that are mostly plain."""
    found = RuleSet(enumerate(several)).matching(facts)
    assert [(match.key, match.decision.steps) for match in found] == _one_by_one(several, facts, None)


def test_only_what_may_match_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts lead to the rules of their channel whose amounts are reached; no other rule is looked at."""
    several = [
        (f"{channel}{item}{at}", rules.so(
            rules.equals(rules.event_attribute("channel"), channel)
            & rules.amount_at_least(rules.item_quantity(f"i{item}"), at)
            & rules.equals(rules.user_attribute("level"), f"level {channel}{item}{at}"),
            rules.give_points(1)))
        for channel in CHANNELS for item in range(10) for at in (1, 3, 5)
    ]  # fmt: skip
    found = RuleSet(several)
    asked: list[str] = []
    real = compile_rule.__globals__["CompiledRule"]._build

    def build(self: Any, form: Any) -> Any:
        asked.append(self.rule.key)
        return real(self, form)

    monkeypatch.setattr("tactics.rules.compiler.CompiledRule._build", build)
    order = {"lines": [{"item_id": "i4", "quantity": 4}, {"item_id": "elsewhere", "quantity": 9}]}
    facts = {"event": {"channel": "web"}, "order": order, "user": {"level": "level web43"}}
    assert [match.key for match in found.matching(facts)] == ["web43"]
    # What they ask of the user is compiled when it is first asked.
    assert len([key for key in asked if '"level web' in key]) <= 2 * 2


def test_a_broken_rule_is_refused() -> None:
    """A set is never made of rules that are not well-formed."""
    with pytest.raises(RuleError, match="there is no block"):
        RuleSet([("a", {"block": "no.such", "params": {}})])


def test_nothing_matches_an_empty_set() -> None:
    """A set without rules matches nothing, whatever the facts."""
    assert RuleSet[str]([]).matching({"order": {"lines": []}}) == []
    assert len(RuleSet[str]([])) == 0


@pytest.mark.parametrize("facts", [None, [], "x", 5, {"order": 5}, {"order": {"lines": 5}}, {"event": [], "user": "x"}])
def test_no_facts_raise(facts: object) -> None:
    """Facts of any shape are answered."""
    several: list[tuple[str, rules.Rule]] = [("a", rules.so(rules.give_points(1)))]
    several.append(("b", rules.amount_at_least(rules.order_amount(), 1)))
    several.append(("c", rules.equals(rules.event_attribute("channel"), "app")))
    assert [match.key for match in RuleSet(several).matching(facts)] == ["a"]


def test_a_broken_rule_is_named() -> None:
    """Of thousands of rules the error says which one it is about."""
    with pytest.raises(RuleError, match="rule 'bad': there is no block"):
        RuleSet([("good", rules.exists(rules.now())), ("bad", {"block": "no.such", "params": {}})])


class Detached(Mapping[str, Any]):
    """A record of somebody's own that can no longer be read."""

    def __getitem__(self, _: str) -> Any:
        raise RuntimeError("detached")

    def __iter__(self) -> Any:
        raise RuntimeError("detached")

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    "facts", [Detached(), {"order": {"lines": [Detached()]}}, {"order": Detached(), "user": Detached()}]
)
def test_facts_that_raise_are_answered(facts: object) -> None:
    """Facts that cannot even be read match nothing that needs them, one by one and together."""
    rule = rules.amount_at_least(rules.item_quantity("7"), 3)
    named = rules.equals(rules.user_attribute("level"), "gold")
    always = rules.so(rules.give_points(1))
    found = RuleSet([("a", rule), ("b", named), ("c", always), ("d", rule & named)]).matching(facts)
    assert [match.key for match in found] == ["c"]
    assert compile_rule(rule).calculate(facts).status == "unknown"


def test_what_is_not_total_is_asked_behind_its_guard() -> None:
    """A block that is not pure and total is not asked where a condition before it fails, in a set as alone."""
    asked: list[int] = []

    @resource("t.resource.dear", "Dear", words="dear", gives="number")
    def dear(_: rules.Facts) -> object:
        asked.append(1)
        return 5

    registry = Registry([*STANDARD_BLOCKS, dear])
    guard = rules.exists(rules.user_attribute("vip"))
    steps = [rules.so(guard & rules.amount_at_least(dear(), at), rules.give_points(at)) for at in (1, 2)]
    found = RuleSet([("a", rules.tiers(*steps)), ("b", guard & rules.amount_at_least(dear(), 3))], registry)
    assert found.matching({"user": {}}) == []
    assert not asked
    assert [match.key for match in found.matching({"user": {"vip": 1}})] == ["a", "b"]
