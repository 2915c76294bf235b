"""What each condition decides."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics import rules
from tactics.rules import Block, calculate, event_attribute, give_points, so

X = event_attribute("x")
TIME = "2024-03-03T12:00:00+00:00"
YES, NO, UNKNOWN = "matched", "not_matched", "unknown"

DECIDED: list[tuple[Block, object, str]] = [
    (rules.amount_at_least(X, 10), 10, YES),
    (rules.amount_at_least(X, 10), 9.99, NO),
    (rules.amount_at_least(X, 10), "10", UNKNOWN),
    (rules.amount_at_least(X, 10), True, UNKNOWN),
    (rules.amount_at_least(X, 10), float("inf"), UNKNOWN),
    (rules.amount_at_least(X, 10), 10**400, UNKNOWN),
    (rules.amount_at_least(20, X), 10, YES),
    (rules.amount_at_least(20, X), 0, UNKNOWN),
    (rules.amount_more_than(X, 10), 10, NO),
    (rules.amount_more_than(X, 10), 10.01, YES),
    (rules.amount_more_than(X, 0), [], UNKNOWN),
    (rules.amount_below(X, 10), 10, NO),
    (rules.amount_below(X, 10), -3, YES),
    (rules.amount_below(X, 10), {}, UNKNOWN),
    (rules.amount_between(X, 1, 3), 1, YES),
    (rules.amount_between(X, 1, 3), 3, YES),
    (rules.amount_between(X, 1, 3), 0.9, NO),
    (rules.amount_between(X, 1, 3), 3.1, NO),
    (rules.amount_between(X, 1, 3), "2", UNKNOWN),
    (rules.equals(X, 1), 1.0, YES),
    (rules.equals(X, 1), True, NO),
    (rules.equals(X, True), True, YES),
    (rules.equals(X, True), 1, NO),
    (rules.equals(X, False), 0, NO),
    (rules.equals(X, "1"), 1, NO),
    (rules.equals(X, "a"), "a", YES),
    (rules.equals(X, "a"), "A", NO),
    (rules.equals(X, "a"), ["a"], UNKNOWN),
    (rules.equals(X, TIME), datetime(2024, 3, 3, 12, tzinfo=UTC), YES),
    (rules.equals(X, TIME), datetime(2024, 3, 3, 13, tzinfo=UTC), NO),
    (rules.equals(X, "noon"), datetime(2024, 3, 3, 12, tzinfo=UTC), NO),
    (rules.in_set(X, ["a", 1]), "a", YES),
    (rules.in_set(X, ["a", 1]), 1.0, YES),
    (rules.in_set(X, ["a", 1]), True, NO),
    (rules.in_set(X, ["a", 1]), {"a": 1}, UNKNOWN),
    (rules.in_set("a", X), ["b", "a"], YES),
    (rules.in_set("a", X), "a", UNKNOWN),
    (rules.has_member(X, "a"), ["b", "a"], YES),
    (rules.has_member(X, "a"), [], NO),
    (rules.has_member(X, 1), [True, "1", None, [1]], NO),
    (rules.has_member(X, "a"), "abc", UNKNOWN),
    (rules.contains(X, "b"), "abc", YES),
    (rules.contains(X, "b"), "", NO),
    (rules.contains(X, "b"), ["b"], UNKNOWN),
    (rules.within(X, 9, 17), 9, YES),
    (rules.within(X, 9, 17), 17, NO),
    (rules.within(X, 9), 8.9, NO),
    (rules.within(X, 9), 10**9, YES),
    (rules.within(X, to=17), 16, YES),
    (rules.within(X, TIME), TIME, YES),
    (rules.within(X, TIME), "2024-03-03T20:00:00+08:00", YES),
    (rules.within(X, to=TIME), TIME, NO),
    (rules.within(X, to=TIME), "2024-03-03T11:59:59Z", YES),
    (rules.within(X, from_=TIME, to="2025-01-01T00:00:00Z"), datetime(2024, 12, 31, tzinfo=UTC), YES),
    (rules.within(X, TIME), "2024-03-03T12:00:00", UNKNOWN),
    (rules.within(X, TIME), 5, UNKNOWN),
    (rules.within(X, 5), TIME, UNKNOWN),
    (rules.within(X, TIME), True, UNKNOWN),
    (rules.exists(X), 0, YES),
    (rules.exists(X), False, YES),
    (rules.exists(X), {}, YES),
    (rules.exists(X), None, NO),
    (rules.exists(rules.order_amount()), 1, NO),
    (rules.exists(event_attribute("y")), 1, NO),
]


@pytest.mark.parametrize(("condition", "x", "status"), DECIDED)
def test_each_condition_decides_by_its_operator(condition: Block, x: object, status: str) -> None:
    """Each comparison includes and excludes what its name says; values of the wrong type leave it unknown."""
    answer = calculate(condition, {"event": {"x": x}})
    assert answer.status == status
    assert answer.matched == (status == YES)
    turned = {YES: NO, NO: YES, UNKNOWN: UNKNOWN}[status]
    assert calculate(~condition, {"event": {"x": x}}).status == turned


def test_every_condition_is_in_the_table_with_all_its_answers() -> None:
    """Each standard condition is shown to hold, to fail, and, `exists` of broken facts apart, to be unknown."""
    for definition in rules.default_registry:
        if definition.kind == "condition":
            statuses = {status for condition, _, status in DECIDED if condition.block == definition.id}
            expected = {YES, NO} if definition.id.endswith("exists") else {YES, NO, UNKNOWN}
            assert statuses == expected, definition.id


def test_missing_values_are_unknown_to_all_but_exists() -> None:
    """A condition over a missing value is unknown; `exists` says no; a broken section is unknown to `exists` too."""
    others = [condition for condition, _, _ in DECIDED if not condition.block.endswith("exists")]
    for condition in others:
        answer = calculate(condition, {"event": {}})
        assert (answer.status, answer.reasons[0].code) == ("unknown", "missing")
    assert calculate(rules.exists(X), {"event": 3}).status == UNKNOWN
    assert calculate(rules.exists(X), {}).status == NO


@given(
    st.integers(0, 10**9) | st.decimals(0, 10**6, places=2).map(float),
    st.integers(1, 10**6) | st.decimals("0.01", 1000, places=2).map(float),
    st.none() | st.integers(1, 5),
)
def test_multiplicity_is_the_capped_quotient(amount: float, at: float, cap: int | None) -> None:
    """`enable_multiple` gives floor(amount / amount_at) of the decimal numbers, up to `max_multiple`."""
    rule = so(rules.amount_at_least(X, at, enable_multiple=True, max_multiple=cap), give_points(1))
    answer = calculate(rule, {"event": {"x": amount}})
    times = Fraction(repr(amount)) // Fraction(repr(at))
    if times == 0:
        assert answer.status == NO
    else:
        assert answer.effects[0]["times"] == (times if cap is None else min(times, cap))
    once = calculate(so(rules.amount_at_least(X, at), give_points(1)), {"event": {"x": amount}})
    assert [effect["times"] for effect in once.effects] == ([1] if times else [])


REASONS: list[tuple[Any, object, str, dict[str, object]]] = [
    (
        rules.amount_at_least(rules.no_batch_item_quantity("7"), 10),
        {"order": {"lines": [{"item_id": "7", "quantity": 2}]}},
        "the number of pieces without batch of the item in the order (item 7) is 2; at least 10 needed",
        {"code": "not_met", "found": 2, "wanted": 10},
    ),
    (
        ~rules.in_set(rules.user_attribute("segment"), ["blocked"]),
        {"user": {"segment": "blocked"}},
        'the user\'s segment is "blocked", which is one of ["blocked"]',
        {"code": "excluded", "found": "blocked", "wanted": ["blocked"]},
    ),
    (
        rules.amount_between(rules.order_amount(), 1, 2),
        {"order": {"lines": []}},
        "the order amount is 0 minor units; from 1 to 2 needed",
        {"code": "not_met", "found": 0, "wanted": {"low": 1, "high": 2}},
    ),
    (
        rules.within(rules.hour_of_day(), 9),
        {"now": TIME.replace("12:", "08:")},
        "the hour of the day is 8; within its bounds (from 9) needed",
        {"code": "not_met", "found": 8, "wanted": {"from": 9}},
    ),
    (
        rules.exists(rules.user_attribute("age")),
        {"user": {}},
        "the user's age is not known: user.age is missing",
        {"code": "not_met"},
    ),
]


@pytest.mark.parametrize(("rule", "facts", "text", "fields"), REASONS)
def test_reasons_say_what_was_found_and_what_was_wanted(
    rule: Any, facts: object, text: str, fields: dict[str, object]
) -> None:
    """A reason is a sentence for operators, and carries the values for programs."""
    (reason,) = calculate(rule, facts).to_json()["reasons"]
    assert reason.pop("text") == text
    assert {key: value for key, value in reason.items() if key not in {"path", "block"}} == fields
