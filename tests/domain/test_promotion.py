"""What a rule makes of an item's price."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics import rules
from tactics.domain.promotion import MOST_UNMET, lowers_prices, promoted
from tests.making import activity

TEA = {"item_id": "7", "title": "Tea", "category": "tea", "price_minor": 1000, "currency": "USD"}


def _at(pieces: int, *actions: rules.Block) -> rules.So:
    return rules.so(rules.amount_at_least(rules.item_quantity("7"), pieces), *actions)


def _for(price_minor: int) -> rules.Block:
    return rules.item_promotion_price("7", price_minor)


def _order(*lines: Any, **more: Any) -> dict[str, Any]:
    return {"lines": list(lines), **more}


def _line(quantity: Any, price_minor: int = 1000, item_id: str = "7", **more: Any) -> dict[str, Any]:
    return {"item_id": item_id, "quantity": quantity, "price_minor": price_minor, **more}


def _priced(rule: Any, item: dict[str, Any] = TEA, order: Any = None, **facts: Any) -> dict[str, Any]:
    seen = {**facts, **({} if order is None else {"order": order})}
    return promoted(item, activity(rule=rules.to_json(rule)), seen)


def _prices(*args: Any, **facts: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    """Give the promotion price, and each unmet threshold as (needs, unit, price)."""
    found = _priced(*args, **facts)
    unmet = [(one["needs"], one["unit"], one["price_minor"]) for one in found.get("unmet", [])]
    return found.get("promotion_price_minor"), unmet


LADDER = rules.tiers(rules.so(_for(900)), _at(3, _for(800)))


def test_price_is_that_of_one_piece_and_names_its_rule() -> None:
    """Without an order one piece is priced; the answer says which action of which activity gave the price."""
    assert _priced(LADDER) == {
        **TEA,
        "promotion_price_minor": 900,
        "rule": {
            "activity": "camp18",
            "path": "/tiers/steps/0/so/then/0",
            "effect": "pbb.action.item_promotion_price",
        },
        "unmet": [{"needs": 2, "unit": "quantity", "price_minor": 800, "path": "/tiers/steps/1/so"}],
    }


@pytest.mark.parametrize(
    ("order", "promotion", "unmet"),
    [
        (_order(), 900, [(2, "quantity", 800)]),
        (_order(_line(2)), 900, [(1, "quantity", 800)]),
        (_order(_line(3)), 800, []),
        (_order(_line(3, item_id="8")), 900, [(2, "quantity", 800)]),
        (_order({"item_id": "7", "price_minor": 1000}), 900, [(2, "quantity", 800)]),
        (_order(_line(3), currency="USD"), 800, []),
        (_order(_line(0)), None, []),
    ],
)
def test_order_decides_where_there_is_one(order: Any, promotion: Any, unmet: Any) -> None:
    """The order's pieces count, with one more of an item that it does not have."""
    assert _prices(LADDER, order=order) == (promotion, unmet)


@pytest.mark.parametrize(
    "order",
    [
        _order(_line(3), currency="EUR"),
        _order(_line("3")),
        _order({"item_id": "7", "quantity": 3}),
        _order(_line(3), "x"),
        {"lines": 3},
        "an order",
        [],
    ],
)
def test_order_that_cannot_be_priced_is_as_none(order: Any) -> None:
    """An order in another currency, or that cannot be read, leaves the price of one piece."""
    assert _prices(LADDER, order=order) == (900, [(2, "quantity", 800)])


def test_order_s_price_is_the_one_that_is_lowered() -> None:
    """An item that costs something else in the order is shown at that price."""
    found = _priced(LADDER, order=_order(_line(1, 950)))
    assert (found["price_minor"], found["promotion_price_minor"]) == (950, 900)
    found = _priced(LADDER, order=_order(_line(3, 850), _line(2, 700, sku="x")))
    assert (found["price_minor"], "promotion_price_minor" in found) == (700, False)


@pytest.mark.parametrize(
    "changes", [{"currency": "EUR"}, {"price_minor": None}, {"price_minor": 800}, {"price_minor": 0}]
)
def test_item_without_promotion_stays_as_it_is(changes: dict[str, Any]) -> None:
    """Another currency, no price, or one that is low already: there is no promotion, and no words of an earlier one."""
    old = {"promotion_price_minor": 1, "rule": {}, "unmet": [{}]}
    item = {**TEA, **changes}
    assert _priced(LADDER, {**item, **old}) == item
    assert _priced(rules.so(rules.send_coupon("c18")), {**TEA, **old}) == TEA


def test_item_without_currency_is_in_the_activity_s() -> None:
    """A catalogue that leaves the currency out means the activity's."""
    item = {"item_id": "7", "price_minor": 1000}
    assert _prices(LADDER, item)[0] == 900


def test_unknown_promises_nothing() -> None:
    """A rule that reads what is not known leaves the price; once it is known, it decides."""
    rule = _at(2, _for(800)).when & rules.equals(rules.user_attribute("vip"), True)  # type: ignore[operator]  # it has one
    assert _prices(rules.so(rule, _for(800))) == (None, [])
    assert _prices(rules.so(rule, _for(800)), user={"vip": False}) == (None, [])
    assert _prices(rules.so(rule, _for(800)), user={"vip": True}) == (None, [(1, "quantity", 800)])


def test_order_discount_is_shared_and_never_promised_too_low() -> None:
    """A share of an order discount lowers the item's price, rounded up; the words for more of it count in pieces."""
    off = rules.so(rules.amount_at_least(rules.order_amount(), 3000), rules.order_amount_off(500))
    assert _prices(off) == (None, [(2, "quantity", 834)])
    assert _prices(off, order=_order(_line(3))) == (834, [])
    found = _priced(rules.so(rules.order_percent_off(15)))
    assert (found["promotion_price_minor"], found["rule"]["effect"]) == (850, "pbb.action.order_percent_off")


def test_money_that_is_missing_is_told_as_money() -> None:
    """A threshold on an amount asks for money where the price then holds whatever else is bought for it."""
    rule = rules.so(rules.amount_at_least(rules.order_amount(), 2500), _for(800))
    assert _prices(rule) == (None, [(1500, "amount_minor", 800)])


def test_only_thresholds_that_make_it_cheaper_are_told() -> None:
    """Each threshold told is dearer to reach and cheaper a piece than the one before, and there are only a few."""
    steps = [_at(2, _for(850)), _at(3, _for(900)), *(_at(4 + one, _for(800 - one)) for one in range(5))]
    found = _prices(rules.tiers(*steps))[1]
    assert found == [(1, "quantity", 850), (3, "quantity", 800), (4, "quantity", 799)]
    assert len(found) == MOST_UNMET
    assert _prices(rules.tiers(rules.so(_for(700)), _at(3, _for(800)), mode="all")) == (700, [])


def test_threshold_on_other_items_is_not_this_item_s() -> None:
    """More of one item does not reach a threshold on another, nor does it change another's price."""
    other = rules.so(rules.amount_at_least(rules.item_quantity("8"), 2), _for(800))
    assert _prices(other) == (None, [])
    assert _prices(_at(2, rules.item_promotion_price("8", 100))) == (None, [])


def test_rule_that_saved_most_is_named() -> None:
    """Of several actions that lower a price, the one that saved most on the item is named."""
    rule = rules.tiers(rules.so(rules.item_percent_off("7", 10)), rules.so(rules.item_amount_off("7", 300)), mode="all")
    found = _priced(rule)
    assert (found["promotion_price_minor"], found["rule"]["path"]) == (600, "/tiers/steps/1/so/then/0")


def test_coupon_rules_change_no_prices() -> None:
    """Only activities whose rule has a price action are worked out."""
    assert lowers_prices(activity(rule=rules.to_json(LADDER)))
    assert not lowers_prices(activity())


@given(
    steps=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 1200)), min_size=1, max_size=4),
    pieces=st.integers(0, 9),
    mode=st.sampled_from(["highest", "first", "all"]),
)
def test_whoever_follows_the_words_pays_that_price(steps: list[tuple[int, int]], pieces: int, mode: Any) -> None:
    """With as many more pieces as an unmet threshold asks for, each costs what it says."""
    ladder = rules.tiers(*(_at(at, _for(price)) for at, price in steps), mode=mode)
    found = _priced(ladder, order=_order(*([_line(pieces)] if pieces else [])))
    for one in found.get("unmet", []):
        reached = _priced(ladder, order=_order(_line(max(pieces, 1) + one["needs"])))
        assert reached["promotion_price_minor"] == one["price_minor"]
        assert one["price_minor"] < found.get("promotion_price_minor", found["price_minor"])
