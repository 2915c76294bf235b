"""What each resource fetches, and when it cannot be known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tactics import rules
from tactics.rules import Block, calculate

LINES: list[dict[str, Any]] = [
    {"item_id": "7", "sku": "s7", "category": "food", "quantity": 3, "price_minor": 1000, "sales_channel": "app"},
    {"item_id": "7", "sku": "s8", "category": ["food", "sweet"], "price_minor": 50, "batch": "b1"},
    {"item_id": "8", "quantity": 2, "price_minor": 10, "batch": None, "sales_channel": "web"},
    {"item_id": "7", "quantity": 0.5, "price_minor": 200.0},
]
NOW = datetime(2024, 3, 3, 23, 30, tzinfo=UTC)


def ago(seconds: float, **more: Any) -> dict[str, Any]:
    return {"action": "buy", "at": (NOW - timedelta(seconds=seconds)).isoformat(), **more}


FACTS: dict[str, Any] = {
    "user": {"age": 30, "tags": ["a", "b"], "nothing": None},
    "event": {"code": "x"},
    "order": {"lines": LINES, "currency": "USD"},
    "behaviours": [
        ago(-1),
        ago(0, item_id="1", quantity=2),
        ago(99.5, item_id="2", category="food", item_sets=["s", "t"]),
        ago(100, item_id="1", category=["food"], quantity=5),
        {"action": "view", "at": NOW - timedelta(seconds=5), "item_id": "1"},
    ],
    "now": NOW.isoformat(),
    "timezone": "Asia/Shanghai",
}
MISSING = object()


def value_of(resource: Block, facts: object, item_id: str | None = None) -> Any:
    """The resource's value as the reason of a condition over it tells it."""
    answer = calculate(~rules.exists(resource), facts, item_id=item_id)
    return MISSING if answer.status == "matched" else answer.to_json()["reasons"][0].get("found", answer.status)


KNOWN: list[tuple[Block, object]] = [
    (rules.order_amount(), 3170),
    (rules.order_amount("app"), 3000),
    (rules.order_amount("shop"), 0),
    (rules.order_quantity(), 6.5),
    (rules.order_quantity(sales_channel="web"), 2),
    (rules.item_amount("7"), 3150),
    (rules.item_amount("9"), 0),
    (rules.item_quantity("7"), 4.5),
    (rules.item_quantity(), 6.5),
    (rules.sku_amount("s8"), 50),
    (rules.sku_quantity("s7"), 3),
    (rules.category_amount("food"), 3050),
    (rules.category_quantity("sweet"), 1),
    (rules.no_batch_item_quantity("7"), 3.5),
    (rules.no_batch_item_quantity(), 5.5),
    (rules.user_attribute("age"), 30),
    (rules.user_attribute("tags"), ["a", "b"]),
    (rules.event_attribute("code"), "x"),
    (rules.behaviour_count("buy", 100), 2),
    (rules.behaviour_count("buy", 101), 3),
    (rules.behaviour_count("buy", 1000, item_id="1"), 2),
    (rules.behaviour_count("buy", 1000, category="food"), 2),
    (rules.behaviour_count("buy", 1000, item_set="t"), 1),
    (rules.behaviour_count("buy", 1000, item_set="t", item_id="1"), 0),
    (rules.behaviour_count("sing", 1000), 0),
    (rules.behaviour_quantity("buy", 101), 8),
    (rules.behaviour_quantity("buy", 1), 2),
    (rules.seconds_since("view"), 5),
    (rules.seconds_since("buy"), 0),
    (rules.now(), NOW.isoformat()),
    (rules.hour_of_day(), 7),
    (rules.day_of_week(), 1),
]


@pytest.mark.parametrize(("resource", "value"), KNOWN, ids=lambda one: one.key if isinstance(one, Block) else None)
def test_each_resource_fetches_its_value(resource: Block, value: object) -> None:
    """A resource gives what the facts say, absent items count 0, and defaults are the documented ones."""
    assert value_of(resource, FACTS) == value


def test_time_falls_back_to_utc() -> None:
    """Without a time zone, hours and days are those of UTC; Sunday is 7."""
    facts = {"now": NOW}
    assert value_of(rules.hour_of_day(), facts) == 23
    assert value_of(rules.day_of_week(), facts) == 7


def test_the_current_item_stands_in_for_one_left_out() -> None:
    """Evaluated per item, an item block that names none means the current one; a named item stays named."""
    assert value_of(rules.item_quantity(), FACTS, item_id="8") == 2
    assert value_of(rules.item_amount(), FACTS, item_id="7") == 3150
    assert value_of(rules.no_batch_item_quantity(), FACTS, item_id="7") == 3.5
    assert value_of(rules.item_quantity("7"), FACTS, item_id="8") == 4.5
    assert value_of(rules.order_quantity(), FACTS, item_id="8") == 6.5


def test_nothing_is_a_number_too() -> None:
    """A line that costs nothing, or of which there are none, is known."""
    lines = [{"price_minor": 0, "quantity": 5}, {"price_minor": 7, "quantity": 0}]
    assert value_of(rules.order_amount(), {"order": {"lines": lines}}) == 0
    assert value_of(rules.order_quantity(), {"order": {"lines": lines}}) == 5
    assert value_of(rules.order_quantity(), {"order": {"lines": []}}) == 0


def test_sums_have_no_binary_drift() -> None:
    """Three tenths are 0.3, as an operator would add them up."""
    facts = {"order": {"lines": [{"quantity": 0.1}] * 3}}
    assert value_of(rules.order_quantity(), facts) == 0.3


def with_line(**line: Any) -> dict[str, Any]:
    return {**FACTS, "order": {"lines": [*LINES, line]}}


def with_behaviour(**behaviour: Any) -> dict[str, Any]:
    return {**FACTS, "behaviours": [*FACTS["behaviours"], behaviour]}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in FACTS.items() if key != name}


UNKNOWN: list[tuple[Block, object, str, str]] = [
    (rules.order_amount(), without("order"), "missing", "order is missing"),
    (rules.order_amount(), {"order": None}, "missing", "order is missing"),
    (rules.order_amount(), {"order": []}, "wrong_type", "order is []"),
    (rules.order_amount(), {"order": {}}, "missing", "order.lines is missing"),
    (rules.order_amount(), {"order": {"lines": {}}}, "wrong_type", "order.lines"),
    (rules.order_amount(), {"order": {"lines": [1]}}, "wrong_type", "order.lines[0]"),
    (rules.order_amount(), with_line(quantity=1), "missing", "order.lines[4].price_minor"),
    (rules.order_amount(), with_line(price_minor="1"), "wrong_type", "order.lines[4].price_minor"),
    (rules.order_amount(), with_line(price_minor=1.5), "wrong_type", "order.lines[4].price_minor"),
    (rules.order_amount(), with_line(price_minor=True), "wrong_type", "order.lines[4].price_minor"),
    (rules.order_amount(), with_line(price_minor=-1), "wrong_type", "order.lines[4].price_minor"),
    (rules.order_amount("app"), with_line(sales_channel=1), "wrong_type", "order.lines[4].sales_channel"),
    (rules.order_quantity(), with_line(quantity="1"), "wrong_type", "order.lines[4].quantity"),
    (rules.order_quantity(), with_line(quantity=float("nan")), "wrong_type", "order.lines[4].quantity"),
    (rules.order_quantity(), with_line(quantity=-1), "wrong_type", "order.lines[4].quantity"),
    (rules.item_quantity("7"), with_line(item_id=7), "wrong_type", "order.lines[4].item_id"),
    (rules.item_amount("7"), with_line(item_id="7"), "missing", "order.lines[4].price_minor"),
    (rules.sku_quantity("s7"), with_line(sku=["s7"]), "wrong_type", "order.lines[4].sku"),
    (rules.sku_amount("s7"), with_line(sku="s7"), "missing", "order.lines[4].price_minor"),
    (rules.category_quantity("x"), with_line(category=[1]), "wrong_type", "order.lines[4].category"),
    (rules.category_amount("x"), with_line(category="x"), "missing", "order.lines[4].price_minor"),
    (rules.no_batch_item_quantity("7"), with_line(item_id="7", batch=5), "wrong_type", "order.lines[4].batch"),
    (rules.user_attribute("gone"), FACTS, "missing", "user.gone is missing"),
    (rules.user_attribute("nothing"), FACTS, "missing", "user.nothing is missing"),
    (rules.user_attribute("age"), {"user": "x"}, "wrong_type", "user is"),
    (rules.event_attribute("code"), {}, "missing", "event is missing"),
    (rules.behaviour_count("buy", 9), without("behaviours"), "missing", "behaviours is missing"),
    (rules.behaviour_count("buy", 9), without("now"), "missing", "now is missing"),
    (rules.behaviour_count("buy", 9), {**FACTS, "now": "2024-03-03T23:30:00"}, "wrong_type", "now is"),
    (rules.behaviour_count("buy", 9), {**FACTS, "now": datetime(2024, 1, 1)}, "wrong_type", "now is"),  # noqa: DTZ001 -- naive on purpose
    (rules.behaviour_count("buy", 9), {**FACTS, "behaviours": [3]}, "wrong_type", "behaviours[0]"),
    (rules.behaviour_count("buy", 9), with_behaviour(action="buy"), "missing", "behaviours[5].at"),
    (rules.behaviour_count("buy", 9), with_behaviour(action="buy", at=3), "wrong_type", "behaviours[5].at"),
    (rules.behaviour_count("buy", 9), with_behaviour(action=3, at=NOW), "wrong_type", "behaviours[5].action"),
    (
        rules.behaviour_count("buy", 9, item_set="s"),
        with_behaviour(action="buy", at=NOW, item_sets=[3]),
        "wrong_type",
        "behaviours[5].item_sets",
    ),
    (
        rules.behaviour_quantity("buy", 9),
        with_behaviour(**ago(1, quantity="2")),
        "wrong_type",
        "behaviours[5].quantity",
    ),
    (rules.seconds_since("sing"), FACTS, "missing", "a behaviour with action sing is missing"),
    (rules.seconds_since("buy"), without("now"), "missing", "now is missing"),
    (rules.seconds_since("buy"), without("behaviours"), "missing", "behaviours is missing"),
    (rules.seconds_since("buy"), with_behaviour(action="buy"), "missing", "behaviours[5].at"),
    (rules.now(), {}, "missing", "now is missing"),
    (rules.hour_of_day(), {}, "missing", "now is missing"),
    (rules.hour_of_day(), {**FACTS, "timezone": "Mars/Base"}, "wrong_type", "timezone is"),
    (rules.day_of_week(), {**FACTS, "timezone": 8}, "wrong_type", "timezone is"),
    (rules.day_of_week(), {**FACTS, "now": "9999-12-31T23:59:59+00:00"}, "wrong_type", "now is"),
]


@pytest.mark.parametrize(("resource", "facts", "code", "text"), UNKNOWN)
def test_what_cannot_be_known_is_unknown_with_its_reason(resource: Block, facts: object, code: str, text: str) -> None:
    """Missing facts and facts of the wrong type make a condition unknown, and its reason names the fact."""
    for rule in (rules.equals(resource, 1), ~rules.equals(resource, 1)):
        answer = calculate(rule, facts)
        assert answer.status == "unknown"
        assert [reason.code for reason in answer.reasons] == [code]
        assert text in answer.reasons[0].text


def test_every_resource_has_an_unknown_case() -> None:
    """The table above leaves no standard resource out."""
    kinds = {definition.id for definition in rules.default_registry if definition.kind == "resource"}
    assert {resource.block for resource, _, _, _ in UNKNOWN} == kinds == {resource.block for resource, _ in KNOWN}


def test_a_record_that_another_field_rules_out_leaves_no_doubt() -> None:
    """False and unknown is false: a broken field of a line that is not meant disturbs nobody."""
    facts = with_line(item_id="9", quantity="many", price_minor="much", batch=3)
    assert value_of(rules.no_batch_item_quantity("7"), facts) == 3.5
    assert value_of(rules.item_amount("7"), facts) == 3150
    assert value_of(rules.behaviour_count("buy", 100), with_behaviour(**ago(500, item_id=3))) == 2
    assert value_of(rules.behaviour_count("buy", 100, item_id="1"), with_behaviour(**ago(500, item_id=3))) == 1
    assert value_of(rules.seconds_since("view"), with_behaviour(action="buy", at="never")) == 5
