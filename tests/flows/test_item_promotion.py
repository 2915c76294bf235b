"""Prices of items: worked out when the user acts, bound to the order when the user visits."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.flows import setup
from tests.driving import Drive, acted, satisfied
from tests.making import document
from tests.plays import trace_of

LADDER = rules.to_json(
    rules.tiers(
        rules.so(rules.item_promotion_price("7", price_minor=900)),
        rules.so(rules.amount_at_least(rules.item_quantity("7"), 3), rules.item_promotion_price("7", price_minor=800)),
    )
)
TEA = {"item_id": "7", "title": "Tea", "price_minor": 1000, "currency": "USD"}
CAKE = {"item_id": "8", "title": "Cake", "price_minor": 500, "currency": "EUR"}


def _order(*pieces: tuple[str, int], **more: Any) -> dict[str, Any]:
    return {"lines": [{"item_id": one, "quantity": count, "price_minor": 1000} for one, count in pieces], **more}


@pytest.fixture
def shop(drive: Drive) -> Drive:
    """A shop whose user 1 bought tea and cake, and is prepared for a ladder of prices."""
    drive.load(document(rule=LADDER, benefits={}))
    setup.import_items(drive.runtime, [TEA, CAKE])
    drive.happen(acted("1", item_id="8"), acted("1", item_id="7"), satisfied("1"))
    return drive


def _items(drive: Drive, **options: Any) -> dict[str, dict[str, Any]]:
    (part,) = drive.visit("1", **options).results
    return {item["item_id"]: item for item in part["items"]}


def test_prepared_prices_are_shown_without_an_order(shop: Drive) -> None:
    """A visit without an order shows what was prepared: the price of one piece, its rule, and what more would bring."""
    assert ("handle_item_promotion", "ran") in trace_of(shop)
    assert _items(shop)["7"] == {
        **TEA,
        "promotion_price_minor": 900,
        "rule": {
            "activity": "camp18",
            "path": "/tiers/steps/0/so/then/0",
            "effect": "pbb.action.item_promotion_price",
        },
        "unmet": [{"needs": 2, "unit": "quantity", "price_minor": 800, "path": "/tiers/steps/1/so"}],
        "text": "9.00 USD instead of 10.00 USD; 2 more for 8.00 USD each",
    }
    assert ("handle_item_promotion", "skipped") in trace_of(shop, "grant")


def test_words_are_in_the_visitor_s_language(shop: Drive) -> None:
    """Words are made at the placement: what was prepared once is told in each visitor's language."""
    assert _items(shop, language="zh-CN")["7"]["text"] == "9.00 USD, 原价 10.00 USD; 再买 2 件, 每件 8.00 USD"
    assert _items(shop, language="fr")["7"]["text"].startswith("9.00 USD instead of")


def test_order_binds_the_prices(shop: Drive) -> None:
    """A visit with an order shows the prices that the items have in it, and leaves what was prepared as it was."""
    three = _items(shop, order=_order(("7", 3)))["7"]
    assert (three["promotion_price_minor"], three["rule"]["path"]) == (800, "/tiers/steps/1/so/then/0")
    assert three["text"] == "8.00 USD instead of 10.00 USD"
    assert _items(shop, order=_order(("7", 2)))["7"]["unmet"][0]["needs"] == 1
    assert _items(shop)["7"]["promotion_price_minor"] == 900


def test_item_in_another_currency_keeps_its_price(shop: Drive) -> None:
    """An item that costs euros has no promotion in an activity in dollars, and is worded in its own currency."""
    assert _items(shop)["8"] == {**CAKE, "text": "5.00 EUR"}
    assert _items(shop, order=_order(("8", 1), currency="EUR"))["8"] == {**CAKE, "text": "5.00 EUR"}


def test_lost_prices_are_worked_out_again(shop: Drive) -> None:
    """With Redis emptied the prices come back as they were."""
    before = _items(shop)
    shop.forget()
    assert _items(shop) == before


def test_new_version_s_prices_count_at_once(shop: Drive) -> None:
    """Prices prepared under an older version are not shown; what the new one says is, for one piece."""
    cheaper = rules.to_json(rules.so(rules.item_promotion_price("7", price_minor=700)))
    shop.load(document(rule=cheaper, benefits={}))
    assert _items(shop)["7"]["text"] == "7.00 USD instead of 10.00 USD"
    shop.load(document(rule=rules.to_json(rules.so(rules.give_points(1))), benefits={}))
    assert _items(shop)["7"] == {**TEA, "text": "10.00 USD"}


def test_stopped_chain_prices_nothing(drive: Drive) -> None:
    """A user whom nothing has prepared has no items, and nothing is priced."""
    drive.load(document(rule=LADDER, benefits={}))
    assert drive.outcome("1", order=_order(("7", 1))) == "not_prepared"
    assert ("handle_item_promotion", "passed") in trace_of(drive, "grant")


def test_behaviour_decides_on_prices(drive: Drive) -> None:
    """A rule over what the user did is worked out in preparation and anew with an order."""
    bought = rules.amount_at_least(rules.behaviour_count("purchase", 3600), 2)
    drive.load(document(rule=rules.to_json(rules.so(bought, rules.item_percent_off("7", 10))), benefits={}))
    setup.import_items(drive.runtime, [TEA])
    drive.happen(acted("1", item_id="7"), satisfied("1"))
    assert drive.outcome("1") == "not_matched"
    drive.happen(acted("1", item_id="7"))
    assert "promotion_price_minor" not in _items(drive)["7"]
    assert _items(drive, order=_order(("7", 1)))["7"]["promotion_price_minor"] == 900
