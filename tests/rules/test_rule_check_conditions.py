"""Conditions that can never hold, and such as always do: one case for each kind of condition and resource."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.rules import (
    Condition,
    amount_at_least,
    amount_below,
    amount_between,
    amount_more_than,
    behaviour_count,
    behaviour_quantity,
    check,
    contains,
    day_of_week,
    equals,
    exists,
    has_member,
    hour_of_day,
    in_set,
    item_quantity,
    no_batch_item_quantity,
    now,
    order_amount,
    seconds_since,
    send_coupon,
    so,
    tiers,
    user_attribute,
    within,
)

A, B = user_attribute("a"), user_attribute("b")
VIEWS = behaviour_count("view", 60)
PIECES = item_quantity("7")
JANUARY, FEBRUARY = "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"
JANUARY_IN_PARIS = "2024-01-01T01:00:00+01:00"


def found(rule: object) -> list[tuple[str, str]]:
    return [(one["code"], one["path"]) for one in check(rule)["problems"]]


NEVER: list[Condition] = [
    # Amounts that exclude each other, to the last one.
    amount_at_least(PIECES, 5) & amount_below(PIECES, 5),
    amount_more_than(PIECES, 5) & ~amount_more_than(PIECES, 5),
    amount_more_than(PIECES, 5) & amount_between(PIECES, 1, 5.0),
    amount_between(PIECES, 5, 4),
    within(PIECES, 5, 5),
    equals(PIECES, 5) & ~in_set(PIECES, [4, 5.0]),
    amount_at_least(PIECES, 3, enable_multiple=True, max_multiple=2) & amount_below(PIECES, 3),
    # What the resource can be at all.
    amount_below(PIECES, 0),
    amount_below(order_amount(), 0),
    amount_below(no_batch_item_quantity(), 0),
    amount_below(behaviour_quantity("view", 60), 0),
    amount_below(seconds_since("view"), 0),
    equals(order_amount(), "5"),
    equals(PIECES, True),
    equals(VIEWS, 2.5),
    amount_more_than(VIEWS, 2) & amount_below(VIEWS, 3),
    amount_at_least(hour_of_day(), 24),
    amount_more_than(hour_of_day(), 22) & ~equals(hour_of_day(), 23),
    amount_below(hour_of_day(), 0),
    equals(day_of_week(), 0),
    in_set(day_of_week(), [8, "Monday"]),
    equals(now(), 5),
    equals(now(), "noon"),
    within(order_amount(), JANUARY),
    within(now(), 1, 2),
    # Equality is by type.
    equals(A, 1) & equals(A, True),
    equals(A, "1") & equals(A, 1),
    equals(A, 1) & ~equals(A, 1.0),
    equals(A, "x") & amount_more_than(A, 0),
    in_set(A, ["x", "y"]) & ~equals(A, "x") & ~equals(A, "y"),
    in_set(A, [1, 2]) & in_set(A, [3, "1"]),
    # Times.
    within(now(), FEBRUARY, JANUARY),
    within(A, FEBRUARY) & within(A, to=JANUARY),
    within(A, JANUARY) & within(A, 5),
    ~within(A, JANUARY) & equals(A, "x"),
    within(A, FEBRUARY) & equals(A, JANUARY_IN_PARIS),
    equals(now(), JANUARY) & ~equals(now(), JANUARY_IN_PARIS),
    within(now(), JANUARY, "2024-01-01T00:00:00.000002Z") & ~in_set(now(), [JANUARY, "2024-01-01T00:00:00.000001Z"]),
    # There, or not.
    exists(A) & ~exists(A),
    ~exists(A) & equals(A, 1),
    ~exists(A) & ~equals(A, 1),
    ~exists(5),
    # The same condition, whatever it says.
    contains(A, "x") & ~contains(A, "x"),
    has_member(A, "x") & ~has_member(A, "x"),
    # Constants.
    amount_at_least(5, 10),
    in_set("z", ["x", "y"]),
    within(5, JANUARY),
    ~within(5, JANUARY),
    ~(amount_at_least(10, 5)),
    # Logic.
    equals(A, 1) & (equals(A, 2) | equals(A, 3)),
    ~(equals(A, 1) | ~equals(A, 1)),
    (equals(A, 1) & equals(A, 2)) | (equals(B, 1) & equals(B, 2)),
]


@pytest.mark.parametrize("rule", NEVER)
def test_a_condition_that_can_never_hold_is_an_error(rule: Condition) -> None:
    """As a bare rule, as the `when` of a `so` and of a step; the pointer leads to it."""
    for whole, prefix in (
        (rule, ""),
        (so(rule, send_coupon("c")), "/so/when"),
        (tiers(so(rule, send_coupon("c"))), "/tiers/steps/0/so/when"),
    ):
        answer = check(whole)
        assert not answer["ok"]
        (problem,) = answer["problems"]
        assert (problem["code"], problem["severity"]) == ("never_holds", "error")
        assert problem["path"] == prefix


ALWAYS: list[Condition] = [
    amount_more_than(order_amount(), -1),
    amount_between(PIECES, 0, 1e308 * 1.7976931348623157),
    amount_below(hour_of_day(), 24),
    in_set(day_of_week(), [1, 2, 3, 4, 5, 6, 7]),
    equals(A, 1) | ~equals(A, 1),
    amount_at_least(A, 5) | amount_below(A, 5),
    amount_at_least(VIEWS, 3) | amount_below(VIEWS, 2) | equals(VIEWS, 2),
    ~(equals(A, 1) & equals(A, 2)),
    ~equals(order_amount(), "5"),
    exists(A) | ~exists(A),
    exists(A) | ~equals(A, 1) | equals(A, 2),
    exists(5),
    contains(A, "x") | ~contains(A, "x"),
    amount_at_least(10, 5),
    # Where one is known to be false, the other is unknown.
    within(A, JANUARY) | within(A, 5),
    within(now(), to=JANUARY) | within(now(), JANUARY_IN_PARIS),
]


@pytest.mark.parametrize("rule", ALWAYS)
def test_a_condition_that_always_holds_is_a_warning(rule: Condition) -> None:
    """One that is false for no facts: it holds as soon as its parts are known."""
    answer = check(so(rule, send_coupon("c")))
    assert answer["ok"]
    assert [(one["code"], one["severity"], one["path"]) for one in answer["problems"]] == [
        ("always_holds", "warning", "/so/when")
    ]


SOUND: list[Condition] = [
    exists(A),
    ~exists(A),
    exists(order_amount()),
    amount_at_least(PIECES, 5) & amount_between(PIECES, 1, 5),
    amount_more_than(PIECES, 2) & amount_below(PIECES, 3),
    amount_more_than(VIEWS, 1) & amount_below(VIEWS, 3),
    amount_below(A, 0),
    equals(A, 1) | equals(A, True),
    equals(A, "1") | equals(A, 1),
    equals(A, JANUARY) & ~equals(A, JANUARY_IN_PARIS),
    within(A, JANUARY, FEBRUARY) & ~equals(A, JANUARY),
    ~within(A, JANUARY) & ~equals(A, "x"),
    within(now(), JANUARY) & ~equals(now(), FEBRUARY),
    contains(A, "x") & ~contains(A, "y"),
    has_member(A, "x") & has_member(A, "y"),
    equals(A, 1) & equals(B, 2),
    exists(A) | equals(B, 1),
    in_set(A, ["x", "y"]) & ~equals(A, "x"),
    amount_at_least(hour_of_day(), 23) & amount_at_least(day_of_week(), 7),
]


@pytest.mark.parametrize("rule", SOUND)
def test_a_condition_that_may_hold_or_not_is_left_alone(rule: Condition) -> None:
    """What there are facts for and facts against is not spoken about."""
    assert check(so(rule, send_coupon("c"))) == {"ok": True, "problems": []}


def test_an_alternative_that_can_never_hold_is_a_warning() -> None:
    """The rule still can match; the part is named, and only the outermost of it."""
    dead = amount_at_least(PIECES, 5) & amount_below(PIECES, 5) & (equals(A, 1) & equals(A, 2))
    answer = check(equals(B, 1) | dead)
    assert answer["ok"]
    assert [(one["code"], one["severity"], one["path"]) for one in answer["problems"]] == [
        ("never_holds", "warning", "/or/1/and/2")
    ]


def test_a_part_that_always_holds_is_a_warning() -> None:
    """A part that decides nothing is named, also under a `not`."""
    idle = amount_more_than(PIECES, -1)
    assert found(equals(B, 1) & idle) == [("always_holds", "/and/1")]
    assert found(~(equals(B, 1) & idle)) == [("always_holds", "/not/and/1")]
    assert found(equals(B, 1) & ~idle) == [("never_holds", "/and/1")]


def messages(rule: object) -> list[str]:
    return [one["message"] for one in check(rule)["problems"]]


MESSAGES: list[tuple[Any, str]] = [
    (amount_at_least(hour_of_day(), 24), "the hour of the day is never at least 24: change or remove this condition"),
    (
        equals(B, 1) & amount_below(PIECES, 5) & equals(A, 1) & amount_more_than(PIECES, 7),
        "/and/1 and /and/3 never hold together: change or remove one of them",
    ),
    (
        amount_below(PIECES, 5) & (equals(B, 1) & equals(PIECES, 7)),
        "/and/0 and /and/1/and/1 never hold together: change or remove one of them",
    ),
    (
        exists(B) & (equals(A, 1) | equals(A, 2)) & (equals(A, 1) | equals(A, 3)) & (equals(A, 2) | equals(A, 3)),
        "/and/1 and /and/2 and /and/3 never hold together: change or remove one of them",
    ),
    (amount_at_least(5, 10), "5 is never at least 10: change or remove this condition"),
    (
        within(order_amount(), JANUARY),
        "the order amount can never be told to be within its bounds: the two are never of the same kind",
    ),
    (
        amount_more_than(order_amount(), -1),
        "the order amount is always more than -1, where it is known: change or remove this condition",
    ),
    (~exists(5), "this denies what always holds, and so never holds: change or remove it"),
    (
        amount_below(PIECES, 0) | amount_below(order_amount(), 0),
        "none of these alternatives can ever hold: change them, or remove them all",
    ),
    (equals(A, 1) | ~equals(A, 1), "this is never false, and holds whenever its parts are known: change or remove it"),
]


@pytest.mark.parametrize(("rule", "message"), MESSAGES)
def test_messages_name_what_excludes_each_other(rule: Any, message: str) -> None:
    """Two conditions where two will do, else the fewest found, and in words what is never or always so."""
    assert messages(rule) == [message]


def test_among_very_many_the_conflict_is_reported_without_names() -> None:
    """The conditions of an `and` are searched for the culprits only up to a point; that they conflict is still said."""
    many = {"and": [equals(user_attribute(f"x{index}"), 1).to_json() for index in range(60)]}
    many["and"].append(equals(user_attribute("x50"), 2).to_json())
    assert messages(many) == ["these conditions never hold together: change or remove one of them"]
