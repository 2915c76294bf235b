"""Ladders whose steps never win, give less for more, or do not rise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.rules import (
    Block,
    So,
    amount_at_least,
    amount_below,
    amount_between,
    amount_more_than,
    behaviour_count,
    check,
    contains,
    equals,
    exists,
    gift,
    give_points,
    item_amount_off,
    item_promotion_price,
    order_amount,
    order_amount_off,
    order_percent_off,
    order_quantity,
    rebate,
    send_coupon,
    so,
    tiers,
    user_attribute,
    within,
)

AMOUNT, LEVEL = order_amount(), user_attribute("level")
COUPON = send_coupon("c")
GOLD = equals(LEVEL, "gold")


def found(*steps: So, mode: Any = "highest") -> list[tuple[str, str]]:
    answer = check(tiers(*steps, mode=mode))
    assert answer["ok"]
    assert all(one["severity"] == "warning" for one in answer["problems"])
    return [(one["code"], one["path"].removeprefix("/tiers/steps/")) for one in answer["problems"]]


def spend(at: float, *then: Block) -> So:
    return so(amount_at_least(AMOUNT, at), *(then or (COUPON,)))


def test_a_ladder_as_it_should_be_is_left_alone() -> None:
    """Rising for `highest`, falling for `first`, in any order for `all`, giving more for more."""
    steps = [spend(at, order_amount_off(at // 10)) for at in (100, 200, 300)]
    assert found(*steps) == found(*reversed(steps), mode="first") == []
    assert found(*steps, mode="all") == found(*reversed(steps), mode="all") == []


def test_a_ladder_listed_the_wrong_way_round_never_gets_to_its_higher_steps() -> None:
    """In `highest` a lower step listed later takes all; in `first` one listed earlier does."""
    falling = [spend(at) for at in (300, 200, 100)]
    assert found(*falling) == [("never_wins", "1"), ("never_wins", "0"), ("not_rising", "1"), ("not_rising", "2")]
    assert found(*reversed(falling), mode="first") == [("never_wins", "1"), ("never_wins", "2")]
    assert found(*falling, mode="all") == []


def test_the_message_names_the_step_that_wins() -> None:
    """An operator reads which step to move, and which way."""
    never, falling = (one["message"] for one in check(tiers(spend(300), spend(100)))["problems"])
    assert never == (
        "this step can never win: whenever it holds, so does /tiers/steps/1 after it, which wins in `highest`: list "
        "the steps from the least to the most, or change their conditions"
    )
    assert falling == (
        "this step asks for 100, which is not more than the 300 of /tiers/steps/0 before it: in `highest` the last "
        "listed step that holds wins, so list the steps from the least to the most"
    )
    (problem,) = check(tiers(spend(100), spend(300), mode="first"))["problems"]
    assert "so does /tiers/steps/0 before it, which wins in `first`: list the steps from the most" in problem["message"]


def test_a_step_without_condition_takes_all_that_it_goes_before() -> None:
    """Last in `highest`, first in `first`; at the other end it is what is left for everyone else."""
    always = so(COUPON)
    assert found(spend(5), always) == [("never_wins", "0")]
    assert found(always, spend(5)) == found(spend(5), always, mode="first") == []
    assert found(always, spend(5), mode="first") == [("never_wins", "1")]
    assert found(always, always) == [("never_wins", "0")]


def test_a_step_may_be_covered_by_several_together() -> None:
    """No single one of them wins over it always, but one of them does each time."""
    below, above = so(amount_below(AMOUNT, 5), COUPON), so(amount_at_least(AMOUNT, 5), COUPON)
    middle = so(amount_between(AMOUNT, 3, 7), COUPON)
    assert found(middle, below, above) == [("never_wins", "0")]
    message = check(tiers(middle, below, above))["problems"][0]["message"]
    assert "so does one of those after it" in message
    assert found(middle, so(amount_below(AMOUNT, 4), COUPON), above) == []


def test_a_step_that_may_be_covered_by_very_many_together_is_left_open() -> None:
    """Past the cap one step that covers it is still found; whether several do is not looked at, and that is said."""
    others = [so(equals(user_attribute(f"x{index}"), 1), COUPON) for index in range(70)]
    below, above = so(amount_below(AMOUNT, 5), COUPON), so(amount_at_least(AMOUNT, 5), COUPON)
    middle = so(amount_between(AMOUNT, 3, 7), COUPON)
    assert found(middle, below, above, *others[:10]) == [("never_wins", "0")]
    assert found(middle, below, above, *others) == [("not_analysed", "7")]
    assert ("never_wins", "0") in found(others[0], *others)


def test_a_step_that_is_unknown_does_not_win() -> None:
    """Steps of which one is true where the other is false leave out the facts for which both are unknown."""
    assert found(spend(5), so(GOLD, COUPON), so(~GOLD, COUPON)) == []
    for asked in (exists(LEVEL), contains(LEVEL, "x")):
        assert found(so(COUPON), so(asked, COUPON), so(~asked, COUPON)) == []
    assert found(so(exists(LEVEL) & amount_at_least(AMOUNT, 5), COUPON), so(exists(LEVEL), COUPON)) == [
        ("never_wins", "0")
    ]


def test_a_step_whose_action_reads_a_resource_may_be_unknown_while_its_condition_holds() -> None:
    """So it is never said to win over another, which then gets its turn; its own condition may still be covered."""
    reading = so(amount_at_least(AMOUNT, 5), give_points(order_quantity()))
    assert found(spend(10), reading) == [("not_rising", "1")]
    assert found(so(amount_at_least(AMOUNT, 10), give_points(order_quantity())), so(exists(AMOUNT), COUPON)) == [
        ("never_wins", "0")
    ]


def test_steps_are_compared_only_where_else_they_ask_the_same() -> None:
    """A lower bound with another condition beside it is another step, neither below nor above."""
    gold = so(amount_at_least(AMOUNT, 100) & GOLD, order_amount_off(5))
    assert found(spend(300, order_amount_off(10)), gold) == []
    higher = so(amount_at_least(AMOUNT, 300) & GOLD, order_amount_off(4))
    assert found(gold, higher) == [("gives_less", "1")]
    assert found(higher, gold) == [("never_wins", "0"), ("gives_less", "0"), ("not_rising", "1")]
    nested = so(GOLD & (exists(LEVEL) & amount_at_least(AMOUNT, 300)), order_amount_off(4))
    flat = so(amount_at_least(AMOUNT, 100) & exists(LEVEL) & GOLD, order_amount_off(5))
    assert found(flat, nested) == [("gives_less", "1")]
    other = so(amount_at_least(behaviour_count("buy", 60), 300), order_amount_off(1))
    assert found(spend(100, order_amount_off(2)), other) == []
    assert found(spend(300), so(amount_at_least(behaviour_count("buy", 60), 100), COUPON)) == []
    pieces = amount_at_least(order_quantity(), 3)
    for both in (amount_at_least(AMOUNT, 300) & pieces, pieces & amount_at_least(AMOUNT, 300)):
        assert found(spend(100, order_amount_off(2)), so(both, order_amount_off(1))) == []


LESS: list[tuple[Block, Block]] = [
    (order_amount_off(10), order_amount_off(9)),
    (order_percent_off(10), order_percent_off(9.5)),
    (give_points(10), give_points(0)),
    (rebate(amount_minor=10), rebate(amount_minor=9)),
    (rebate(percent=10), rebate(percent=9)),
    (gift("7", 2), gift("7", 1)),
    (item_amount_off("7", 10, per="line"), item_amount_off("7", 9, per="line")),
    (item_promotion_price("7", 800), item_promotion_price("7", 801)),
]


@pytest.mark.parametrize(("more", "less"), LESS)
def test_a_step_that_asks_more_and_gives_less_is_a_warning(more: Block, less: Block) -> None:
    """By each action's own measure, a higher price being less; in `all` steps add up, so none gives less."""
    assert found(spend(100, more), spend(200, less)) == [("gives_less", "1")]
    assert found(spend(200, less), spend(100, more), mode="first") == [("gives_less", "0")]
    assert found(spend(100, less), spend(200, more)) == found(spend(100, more), spend(200, more)) == []
    assert found(spend(100, more), spend(200, less), mode="all") == []
    assert found(spend(100, more, COUPON), spend(200, COUPON, less)) == [("gives_less", "1")]


NOT_COMPARED: list[tuple[list[Block], list[Block]]] = [
    ([order_amount_off(10)], [give_points(9)]),
    ([order_amount_off(10)], [order_amount_off(9), COUPON]),
    ([order_amount_off(10), give_points(1)], [order_amount_off(9), give_points(2)]),
    ([order_amount_off(10), order_amount_off(10)], [order_amount_off(9), order_amount_off(9)]),
    ([rebate(amount_minor=10)], [rebate(percent=9)]),
    ([gift("7", 2)], [gift("8", 1)]),
    ([order_percent_off(10)], [order_percent_off(9, base="original")]),
    ([order_amount_off(10)], [order_amount_off(user_attribute("off"))]),
    ([COUPON], [send_coupon("d")]),
]


@pytest.mark.parametrize(("one", "other"), NOT_COMPARED)
def test_what_is_not_the_same_kind_of_gift_is_not_compared(one: list[Block], other: list[Block]) -> None:
    """Other actions, other items, something on top, more of one and less of another: an operator's own business."""
    assert found(spend(100, *one), spend(200, *other)) == []


def test_of_steps_that_ask_the_same_the_one_that_wins_is_compared() -> None:
    """What a step would give that never wins is nobody's loss."""
    steps = [spend(100, order_amount_off(2)), spend(200, order_amount_off(3)), spend(200, order_amount_off(1))]
    assert ("gives_less", "2") in found(*steps)
    assert found(*reversed(steps), mode="first") == [("never_wins", "1"), ("gives_less", "0")]
    steps[1:] = reversed(steps[1:])
    assert [one[0] for one in found(*steps)] == ["never_wins", "not_rising"]


def test_bands_are_compared_by_what_they_give_and_not_by_their_order() -> None:
    """Steps from one amount to another do not take each other's place, in whatever order they are listed."""
    low = so(amount_between(AMOUNT, 100, 199), order_amount_off(10))
    high = so(amount_more_than(AMOUNT, 199), order_amount_off(5))
    assert found(low, high) == [("gives_less", "1")]
    band = so(amount_between(AMOUNT, 20, 29), order_amount_off(5))
    assert found(low, band) == []


def test_steps_of_highest_rise_strictly() -> None:
    """Each asks for more than every one before it; more than 5 is more than at least 5."""
    assert found(spend(100), spend(100)) == [("never_wins", "0"), ("not_rising", "1")]
    over = so(amount_more_than(AMOUNT, 100), COUPON)
    assert found(spend(100), over) == []
    assert found(over, spend(100)) == [("never_wins", "0"), ("not_rising", "1")]
    assert [one for one in found(spend(100), spend(300), spend(200)) if one[0] == "not_rising"] == [("not_rising", "2")]
    views = behaviour_count("view", 60)
    same = so(amount_more_than(views, 2), COUPON), so(amount_at_least(views, 3), COUPON)
    assert [one[0] for one in found(*same)] == ["never_wins", "not_rising"]
    assert found(so(within(AMOUNT, 300), COUPON), so(amount_between(AMOUNT, 200, 250), COUPON)) == []


STEP = st.tuples(st.sampled_from([1, 2, 3, 4]), st.booleans(), st.sampled_from([None, 0, 1]), st.integers(1, 3))


@given(st.lists(STEP, min_size=1, max_size=5), st.sampled_from(["highest", "first", "all"]))
def test_giving_less_and_not_rising_agree_with_counting(
    drawn: list[tuple[int, bool, int | None, int]], mode: Any
) -> None:
    """With every amount tried: of two steps for the same users, the one that holds for fewer amounts asks more."""
    steps = [
        so(
            (amount_more_than if strict else amount_at_least)(AMOUNT, at)
            & (exists(AMOUNT) if user is None else equals(LEVEL, user)),
            give_points(points),
        )
        for at, strict, user, points in drawn
    ]
    asks = [
        {n for n in (0, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5) if n > at or (n == at and not strict)}
        for at, strict, _, _ in drawn
    ]
    users, points = [user for _, _, user, _ in drawn], [points for _, _, _, points in drawn]
    pairs = [(i, j) for i in range(len(drawn)) for j in range(len(drawn)) if i != j and users[i] == users[j]]
    same = {(i, j) for i, j in pairs if asks[i] == asks[j] and (i < j if mode == "highest" else j < i)}
    beaten = {i for i, _ in same}
    less = {j for i, j in pairs if asks[j] < asks[i] and points[j] < points[i] and not {i, j} & beaten}
    told = found(*steps, mode=mode)
    named = {int(path) for code, path in told if code == "gives_less"}
    assert named <= less if mode != "all" else not named
    assert bool(named) == (bool(less) and mode != "all")
    fallen = {j for i, j in pairs if i < j and asks[j] >= asks[i]} if mode == "highest" else set()
    assert {int(path) for code, path in told if code == "not_rising"} == fallen
