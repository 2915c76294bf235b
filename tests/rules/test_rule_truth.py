"""Kleene's logic with multiplicity, against an oracle that knows nothing of the engine."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tactics.rules import calculate

TRUTH = {"yes": 1.0, "no": 0.0, "gone": 0.5}
FACTS: dict[str, Any] = {"event": {"yes": True, "no": False, "three": 35, "five": 50}}
Oracle = tuple[float, int | None]


def flag(name: str) -> dict[str, Any]:
    value = {"block": "pbb.resource.event_attribute", "params": {"name": name}}
    return {"block": "pbb.condition.equals", "params": {"value": value, "to": True}}


def counted(name: str) -> dict[str, Any]:
    amount = {"block": "pbb.resource.event_attribute", "params": {"name": name}}
    return {
        "block": "pbb.condition.amount_at_least",
        "params": {"amount": amount, "amount_at": 10, "enable_multiple": True},
    }


LEAVES: list[tuple[dict[str, Any], Oracle]] = [(flag(name), (truth, None)) for name, truth in TRUTH.items()]
LEAVES += [(counted("three"), (1.0, 3)), (counted("five"), (1.0, 5)), (counted("gone"), (0.5, None))]


def inverted(part: tuple[Any, Oracle]) -> tuple[Any, Oracle]:
    node, (truth, _) = part
    return {"not": node}, (1 - truth, None)


def both(parts: list[tuple[Any, Oracle]]) -> tuple[Any, Oracle]:
    times = [many for _, (_, many) in parts if many is not None]
    truth = min(truth for _, (truth, _) in parts)
    return {"and": [node for node, _ in parts]}, (truth, min(times) if truth == 1 and times else None)


def either(parts: list[tuple[Any, Oracle]]) -> tuple[Any, Oracle]:
    times = [many for _, (truth, many) in parts if truth == 1 and many is not None]
    return {"or": [node for node, _ in parts]}, (max(truth for _, (truth, _) in parts), max(times) if times else None)


def grown(parts: st.SearchStrategy[tuple[Any, Oracle]]) -> st.SearchStrategy[tuple[Any, Oracle]]:
    some = st.lists(parts, min_size=1, max_size=4)
    return parts.map(inverted) | some.map(both) | some.map(either)


TREES = st.recursive(st.sampled_from(LEAVES), grown, max_leaves=12)
STATUS = {1.0: "matched", 0.0: "not_matched", 0.5: "unknown"}


@given(TREES)
def test_conditions_follow_kleene_and_multiplicity(tree: tuple[Any, Oracle]) -> None:
    """Any nesting of and, or and not gives Kleene's value, and the documented multiplicity."""
    node, (truth, times) = tree
    points = {"block": "pbb.action.give_points", "params": {"points": 5}}
    answer = calculate({"so": {"when": node, "then": [points]}}, FACTS)
    assert answer.status == STATUS[truth]
    assert calculate(node, FACTS).status == STATUS[truth]
    expected = [{"block": "pbb.action.give_points", "params": {"points": 5}, "times": times or 1}]
    assert answer.to_json()["effects"] == (expected if truth == 1 else [])


@given(TREES)
def test_reasons_are_given_exactly_when_the_rule_does_not_hold(tree: tuple[Any, Oracle]) -> None:
    """A rule that holds has no reasons; any other has some, each pointing at a block of the rule."""
    node, (truth, _) = tree
    reasons = calculate(node, FACTS).to_json()["reasons"]
    assert bool(reasons) == (truth != 1)
    for reason in reasons:
        at: Any = node
        for step in reason["path"].split("/")[1:]:
            at = at[int(step) if isinstance(at, list) else step]
        assert at["block"] == reason["block"]
        if truth == 0.5:
            assert reason["code"] == "missing"
