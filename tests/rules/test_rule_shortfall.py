"""What is missing until a step holds, and where effects come from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.rules import (
    Block,
    Rule,
    amount_at_least,
    amount_below,
    amount_between,
    amount_more_than,
    behaviour_count,
    calculate,
    category_quantity,
    equals,
    exists,
    item_promotion_price,
    item_quantity,
    no_batch_item_quantity,
    order_amount,
    order_amount_off,
    order_quantity,
    send_coupon,
    so,
    tiers,
    user_attribute,
)
from tactics.rules.shortfall import Shortfall, changes_prices, origins, shortfalls

OFFER = item_promotion_price("7", 800)
VIP = equals(user_attribute("vip"), True)


def _with(pieces: int, price_minor: int = 1000, **facts: Any) -> dict[str, Any]:
    tea = {"item_id": "7", "category": "tea", "quantity": pieces, "price_minor": price_minor}
    return {"order": {"lines": [tea, {"item_id": "8", "price_minor": 300}]}, **facts}


def _missing(condition: Any, pieces: int = 1, **facts: Any) -> tuple[int, int | None] | None:
    found = shortfalls(so(condition, OFFER), _with(pieces, **facts), _with(pieces + 1, **facts))
    return (found[0].pieces, found[0].amount_minor) if found else None


@pytest.mark.parametrize(
    ("condition", "missing"),
    [
        (amount_at_least(item_quantity("7"), 3), (2, None)),
        (amount_at_least(item_quantity("7"), 2.5), (2, None)),
        (amount_more_than(item_quantity("7"), 3), (3, None)),
        (amount_more_than(item_quantity("7"), 2.5), (2, None)),
        (amount_between(item_quantity("7"), 3, 5), (2, None)),
        (~amount_below(item_quantity("7"), 3), (2, None)),
        (~amount_between(item_quantity("7"), 1, 3), (3, None)),
        (amount_at_least(order_amount(), 5000), (4, 3700)),
        (amount_more_than(order_amount(), 3300), (3, 2001)),
        (~amount_below(order_amount(), 2300.5), (2, 1001)),
        (amount_at_least(order_quantity(), 4), (2, None)),
        (amount_at_least(category_quantity("tea"), 2), (1, None)),
        (amount_at_least(no_batch_item_quantity("7"), 2), (1, None)),
    ],
)
def test_threshold_says_how_many_more(condition: Any, missing: tuple[int, int | None]) -> None:
    """Whatever grows with the pieces is divided by what one adds; money that is missing is told as money too."""
    assert _missing(condition) == missing


@pytest.mark.parametrize(
    "condition",
    [
        amount_at_least(item_quantity("8"), 3),
        amount_at_least(item_quantity("9"), 1),
        amount_at_least(user_attribute("visits"), 3),
        amount_at_least(behaviour_count("purchase", 60), 3),
        amount_below(order_amount(), 1000),
        amount_between(order_amount(), 100, 1000),
        ~amount_at_least(item_quantity("7"), 1),
        ~amount_more_than(item_quantity("7"), 0),
        VIP,
        exists(user_attribute("phone")),
        amount_at_least(item_quantity("7"), 1),
    ],
)
def test_what_more_pieces_do_not_bring_is_not_told(condition: Any) -> None:
    """Nothing is missing where nothing grows, where less is asked, where it is unknown, or where it holds."""
    known: dict[str, Any] = {"user": {"visits": 1, "vip": False}, "behaviours": [], "now": "2025-01-01T00:00:00Z"}
    assert _missing(condition, **known) is None
    assert _missing(amount_at_least(order_quantity(), 1) & condition) is None


def test_all_must_be_reached_and_any_may() -> None:
    """Of an `and` the farthest counts, and all of it must be reachable; of an `or` the nearest that is."""
    two, four = amount_at_least(item_quantity("7"), 2), amount_at_least(item_quantity("7"), 4)
    dear = amount_at_least(order_amount(), 5000)
    assert _missing(two & four) == (3, None)
    assert _missing(two | four) == (1, None)
    assert _missing(four & dear) == (4, None)
    assert _missing(amount_at_least(order_amount(), 2000) & dear) == (4, 3700)
    assert _missing(~(~two | ~four)) == (3, None)
    assert _missing(~(~two & ~four)) == (1, None)
    assert _missing(two & VIP) is None
    assert _missing(two & VIP, user={"vip": False}) is None
    assert _missing(two & VIP, user={"vip": True}) == (1, None)
    assert _missing((two & VIP) | four, user={"vip": False}) == (3, None)


def test_each_step_is_told_by_its_place() -> None:
    """Every step that changes prices and does not hold is listed with its path; others are not."""
    three, five = amount_at_least(item_quantity("7"), 3), amount_at_least(item_quantity("7"), 5)
    ladder = tiers(so(OFFER), so(three, OFFER), so(five, send_coupon("c")), so(five, order_amount_off(100)))
    assert shortfalls(ladder, _with(1), _with(2)) == (
        Shortfall("/tiers/steps/1/so", 2, None),
        Shortfall("/tiers/steps/3/so", 4, None),
    )
    assert shortfalls(three, _with(1), _with(2)) == ()


@given(at=st.integers(1, 10**6), pieces=st.integers(0, 50), price_minor=st.integers(1, 5000), passed=st.booleans())
def test_so_many_more_are_enough_and_one_less_is_not(at: int, pieces: int, price_minor: int, passed: bool) -> None:
    """With as many more pieces as are missing the rule holds, and with one fewer it does not."""
    rule = so((amount_more_than if passed else amount_at_least)(order_amount(), at), OFFER)
    found = shortfalls(rule, _with(pieces, price_minor), _with(pieces + 1, price_minor))
    if calculate(rule, _with(pieces, price_minor)).matched:
        assert found == ()
    else:
        more = found[0].pieces
        assert calculate(rule, _with(pieces + more, price_minor)).matched
        assert not calculate(rule, _with(pieces + more - 1, price_minor)).matched


def test_current_item_is_meant_where_none_is_named() -> None:
    """Evaluated for an item, a threshold and an effect without item are about that one."""
    rule = so(amount_at_least(item_quantity(), 3), item_promotion_price(price_minor=800))
    assert shortfalls(rule, _with(1), _with(2), item_id="7")[0].pieces == 2
    assert shortfalls(rule, _with(1), _with(2), item_id="8") == ()
    ((path, effect),) = origins(rule, _with(3), item_id="7")
    assert (path, effect["params"]) == ("/so/then/0", {"price_minor": 800, "item_id": "7"})


def test_origins_are_those_of_the_answer() -> None:
    """Each effect of the answer comes with the place of its action, in the same order."""
    rule = tiers(so(OFFER, order_amount_off(1)), so(VIP, OFFER), so(order_amount_off(2)), mode="all")
    found = origins(rule, _with(1))
    assert [path for path, _ in found] == [
        "/tiers/steps/0/so/then/0",
        "/tiers/steps/0/so/then/1",
        "/tiers/steps/2/so/then/0",
    ]
    assert tuple(effect for _, effect in found) == calculate(rule, _with(1)).effects
    assert origins(so(VIP, OFFER), _with(1)) == origins(VIP, _with(1)) == []


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (so(OFFER), True),
        (so(send_coupon("c"), order_amount_off(1)), True),
        (tiers(so(send_coupon("c")), so(VIP, OFFER)), True),
        (so(send_coupon("c")), False),
        (VIP, False),
        (~VIP, False),
    ],
)
def test_rules_that_change_prices_are_known(rule: Rule, changes: bool) -> None:
    """A rule changes prices when any of its actions can; a bare condition never does."""
    assert changes_prices(rule) is changes
    assert isinstance(OFFER, Block)
