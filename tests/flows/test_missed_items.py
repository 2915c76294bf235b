"""Items of an activity that does not match yet: what buying more would bring is told where it can still make a sale."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.domain.context import ItemContext
from tactics.flows import setup
from tactics.flows.chain import import_chains
from tactics.processors.check_rule import check_rule
from tactics.processors.finish_execution import finish_execution
from tactics.processors.handle_item_promotion import handle_item_promotion
from tactics.processors.load_prepared import load_prepared
from tactics.template import TacticsTemplate
from tactics.templates.full_link_v3 import full_link_v3
from tests.driving import Drive, Maker, Working, acted, after, rule_of, satisfied
from tests.making import document
from tests.plays import step_of, trace_of

TEA = {"item_id": "7", "title": "Tea", "price_minor": 1000, "currency": "USD"}
CAKE = {**TEA, "item_id": "8", "title": "Cake"}
EIGHT = rules.item_promotion_price("7", price_minor=800)
THREE = rules.amount_at_least(rules.item_quantity("7"), 3)
FROM_THREE = rule_of(EIGHT, when=THREE)
NEVER = rules.exists(rules.user_attribute("vip"))
BY_DAY = rules.amount_between(rules.hour_of_day(), 9, 17)


def _order(*pieces: tuple[str, int]) -> dict[str, Any]:
    return {"lines": [{"item_id": one, "quantity": count, "price_minor": 1000} for one, count in pieces]}


def _opened(drive: Drive, rule: Any = FROM_THREE, **changes: Any) -> Drive:
    drive.load(document(**{"rule": rule, "benefits": {}, **changes}))
    setup.import_items(drive.runtime, [TEA, CAKE])
    drive.happen(acted("1", item_id="8"), acted("1", item_id="7"), satisfied("1"))
    return drive


@pytest.fixture
def shop(drive: Drive) -> Drive:
    """A shop where tea is cheaper from three pieces on, and user 1 bought tea and cake."""
    return _opened(drive)


def _part(drive: Drive, **options: Any) -> dict[str, Any]:
    (part,) = drive.visit("1", **options).not_shown
    return part


def _texts(drive: Drive, **options: Any) -> list[str]:
    return [item["text"] for item in _part(drive, **options).get("items", [])]


def test_what_is_missing_is_told_before_the_rule_matches(shop: Drive) -> None:
    """Two pieces of three: the activity shows nothing, says why, and tells of the one item that more of is cheaper."""
    part = _part(shop, order=_order(("7", 1), ("8", 1)))
    assert part == {
        "activity": "camp18",
        "reason": "not_matched",
        "text": "the number of pieces of the item in the order (item 7) is 1; at least 3 needed",
        "items": [
            {
                **TEA,
                "unmet": [{"needs": 2, "unit": "quantity", "price_minor": 800, "path": "/so"}],
                "text": "10.00 USD; 2 more for 8.00 USD each",
            }
        ],
    }
    assert trace_of(shop, "grant")[2:4] == [("handle_item_promotion", "ran"), ("check_rule", "stopped: not_matched")]
    (result,) = shop.visit("1", order=_order(("7", 3))).results
    assert [item["text"] for item in result["items"]] == ["8.00 USD instead of 10.00 USD", "10.00 USD"]


def test_it_is_told_in_the_visitor_s_language(shop: Drive) -> None:
    """The words of missed items are the visitor's, and count what the order has."""
    assert _texts(shop, order=_order(("7", 2)), language="zh") == ["10.00 USD; 再买 1 件, 每件 8.00 USD"]


def test_page_without_an_order_tells_what_was_prepared(shop: Drive) -> None:
    """A rule over orders cannot be decided without one; what preparation found of one piece is told, and not priced anew."""
    part = _part(shop)
    assert (part["reason"], [item["text"] for item in part["items"]]) == (
        "unknown",
        ["10.00 USD; 2 more for 8.00 USD each"],
    )
    assert ("handle_item_promotion", "skipped") in trace_of(shop, "grant")


def test_first_piece_is_told_too(drive: Drive) -> None:
    """Where an order without the item does not match, the price that one piece would have is told."""
    _opened(drive, rule_of(EIGHT, when=rules.amount_at_least(rules.item_quantity("7"), 1)))
    part = _part(drive, order=_order(("8", 1)))
    (item,) = part["items"]
    assert (part["reason"], item["promotion_price_minor"], item["text"]) == (
        "not_matched",
        800,
        "8.00 USD instead of 10.00 USD",
    )


@pytest.mark.parametrize("rule", [rule_of(EIGHT, when=NEVER), rule_of(EIGHT, when=THREE & NEVER)])
def test_nothing_to_say_adds_no_items(drive: Drive, rule: Any) -> None:
    """Where more pieces would not help there is no member `items`, however the visit is made."""
    _opened(drive, rule)
    for order in (None, _order(("7", 2))):
        assert set(_part(drive, order=order)) == {"activity", "reason", "text"}


def test_who_is_out_for_another_reason_is_promised_nothing(drive: Drive) -> None:
    """A visitor in the control group is not told what more would bring, though it would."""
    ladder = rules.to_json(rules.tiers(rules.so(rules.give_points(1)), rules.so(THREE, EIGHT)))
    _opened(drive, ladder, holdout_percent=100)
    assert set(part := _part(drive, order=_order(("7", 2)))) == {"activity", "reason", "text"}
    assert part["reason"] == "holdout"


def test_what_may_have_changed_is_not_told_without_an_order(drive: Drive) -> None:
    """What was prepared by day need not hold at night: without prices of this visit nothing is promised."""
    _opened(drive, rule_of(EIGHT, when=BY_DAY & THREE))
    prepared = drive.runtime.redis.get("tactics:prepared:camp18:1")
    assert prepared is not None
    assert b"unmet" in prepared
    assert _texts(drive, order=_order(("7", 2))) == ["10.00 USD; 1 more for 8.00 USD each"]
    night = after(hours=8)
    assert _texts(drive, at=night) == _texts(drive, order=_order(("7", 2)), at=night) == []


def test_chain_without_prices_of_the_order_promises_nothing(shop: Drive) -> None:
    """Where a chain does not price the visit's order, what was prepared for one piece is not told of it."""
    steps = ["check_event", "load_prepared", "check_rule", "finish_execution"]
    import_chains(shop.app, [{"chain": "bare", "template_type": "full_link_v3", "link": "grant", "steps": steps}])
    assert _texts(shop, order=_order(("7", 2))) == []
    assert _texts(shop) == ["10.00 USD; 2 more for 8.00 USD each"]


def test_same_key_is_told_the_same(shop: Drive) -> None:
    """The answer under a key is stored with its items: later it is the same, whatever the rule says then."""
    asked = {"key": "k", "order": _order(("7", 2))}
    before = _part(shop, **asked)
    assert before["items"]
    shop.load(document(rule=rule_of(rules.give_points(1)), benefits={}))
    shop.forget()
    assert _part(shop, **asked) == before


def test_items_survive_a_hop(driven: Maker) -> None:
    """A chain that goes on elsewhere between pricing and checking tells the same, and reads the user's actions again."""
    seldom = rules.amount_below(rules.behaviour_count("purchase", 3600), 9)
    far = step_of("do_far", queue="slow")
    grant = (load_prepared, handle_item_promotion, far, check_rule, finish_execution)
    template = TacticsTemplate("t", ItemContext, full_link_v3.prepare, grant)
    drive = driven(templates=[template], queues=("slow",), placement_deadline_ms=20_000)
    _opened(drive, rule_of(EIGHT, when=seldom & THREE), template_type="t")
    with Working(drive):
        assert _texts(drive, order=_order(("7", 2))) == ["10.00 USD; 1 more for 8.00 USD each"]
    assert ("do_far", "ran") in trace_of(drive, "grant")


def test_chain_that_decides_nothing_says_so(shop: Drive) -> None:
    """A grant chain without a step that sets an outcome answers `not_matched`, with a sentence; best-only goes on."""
    steps = ["check_event", "load_prepared", "finish_execution"]
    import_chains(shop.app, [{"chain": "idle", "template_type": "full_link_v3", "link": "grant", "steps": steps}])
    part = _part(shop, order=_order(("7", 2)), key="k")
    assert part == {
        "activity": "camp18",
        "reason": "not_matched",
        "text": "the activity has nothing to show here",
    }
    assert _part(shop, order=_order(("7", 2)), key="k") == part
    shop.load(document(code="other", template_type="full_link_v2", priority=-1))
    shop.happen(satisfied("1"))
    answer = shop.visit("1", best_only=True)
    assert [one["activity"] for one in answer.results] == ["other"]
