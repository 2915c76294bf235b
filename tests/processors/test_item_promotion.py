"""Handling item promotions: when there is something to price, and by what it is priced."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from tactics import rules
from tactics.domain.context import ItemContext
from tactics.domain.event import Event
from tactics.processors.check_rule import check_rule
from tactics.processors.handle_item_promotion import handle_item_promotion
from tests.driving import NOON
from tests.making import activity

EVENT = Event("shop", "1", "placement", "7", "home", {}, NOON)
TEA = {"item_id": "7", "title": "Tea", "category": None, "price_minor": 1000, "currency": "USD"}
VIP = rules.to_json(
    rules.so(rules.equals(rules.user_attribute("vip"), True), rules.item_promotion_price("7", price_minor=800))
)
COUPON = rules.to_json(rules.so(rules.send_coupon("c18")))


def _ctx(rule: Any = VIP, link: Any = "prepare", *, version: int = 3, **members: Any) -> ItemContext:
    made = activity(rule=rule).model_copy(update={"version": version})
    return ItemContext(made, EVENT, link, NOON, **{"items": [TEA], **members})


@pytest.mark.parametrize(
    ("ctx", "applies"),
    [
        (_ctx(), True),
        (_ctx(items=[]), False),
        (_ctx(COUPON), False),
        (_ctx(order={}), True),
        (_ctx(VIP, "grant", priced_version=3), False),
        (_ctx(VIP, "grant", priced_version=3, order={"lines": []}), True),
        (_ctx(VIP, "grant", priced_version=2), True),
        (_ctx(VIP, "grant"), True),
        (_ctx(COUPON, "grant"), False),
        (_ctx(COUPON, "grant", order={"lines": []}), False),
        (_ctx(COUPON, "grant", priced_version=3, order={"lines": []}), True),
        (_ctx(COUPON, "grant", priced_version=2), True),
    ],
)
def test_prices_are_worked_out_only_where_they_can_be_others(ctx: ItemContext, applies: bool) -> None:
    """Prepared prices stay, unless an order came along or the activity was published anew; coupon rules cost nothing."""
    assert handle_item_promotion.applies(ctx) is applies


def test_what_the_rule_reads_of_the_user_decides() -> None:
    """The rule sees the user: the same item has a promotion price for one and none for another."""
    run = Mock()
    for vip, price in ((True, 800), (False, None)):
        run.gateways.users.attributes.return_value = {"vip": vip}
        ctx = _ctx()
        handle_item_promotion(ctx, run)
        assert (ctx.items[0].get("promotion_price_minor"), ctx.priced_version) == (price, 3)


def test_user_is_asked_for_once() -> None:
    """A user whom an earlier step of the chain has loaded is not asked for again."""
    run = Mock()
    ctx = _ctx(link="grant", user={"vip": True}, order={"lines": []})
    handle_item_promotion(ctx, run)
    assert (ctx.items[0]["promotion_price_minor"], run.mock_calls) == (800, [])


def test_behaviours_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pricing and checking the rule read the user's actions from the database together once."""
    read = Mock(return_value=[])
    monkeypatch.setattr("tactics.gathering.behaviour_facts", read)
    bought = rules.amount_at_least(rules.behaviour_count("purchase", 3600), 2)
    ctx = _ctx(rules.to_json(rules.so(bought, rules.item_percent_off("7", 10))), "grant", order={"lines": []})
    run = Mock(behaviours=None)
    handle_item_promotion(ctx, run)
    check_rule(ctx, run)
    assert (ctx.outcome, ctx.reasons[0]["found"], read.call_count) == ("not_matched", 0, 1)


def test_operators_are_told_of_other_currencies() -> None:
    """Items in another currency are named in the preparation's notes; the answer of a placement does not mention them."""
    items = [TEA, {**TEA, "item_id": "8", "currency": "EUR"}, {"item_id": "9", "price_minor": 5}]
    prepared, visit = _ctx(items=items), _ctx(link="grant", items=items, order={"lines": []})
    for ctx in (prepared, visit):
        handle_item_promotion(ctx, Mock())
    assert (prepared.notes, visit.notes) == (["not in USD, so without promotion: 8"], [])


def test_prices_of_an_old_version_go() -> None:
    """A new version without prices leaves nothing of what the old one prepared."""
    ctx = _ctx(COUPON, "grant", priced_version=2, items=[{**TEA, "promotion_price_minor": 1, "rule": {}, "unmet": []}])
    handle_item_promotion(ctx, Mock())
    assert (ctx.items, ctx.priced_version) == ([TEA], 3)
