"""What a matched rule gives: lines, their assets, the stock they need, and the value by which activities are ranked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tactics import rules
from tactics.domain.activity import TacticsActivity
from tactics.domain.grant import GrantLine, largest_value, lines_of, new_assets, provider_of, stock_needed, uncounted
from tests.driving import NOON
from tests.making import activity

BENEFITS = {
    "c": {"kind": "coupon", "value_minor": 500, "validity_s": 60, "currency": "EUR"},
    "p": {"kind": "points", "value_minor": 30},
    "r1": {"kind": "rebate", "value_minor": 70},
    "r2": {"kind": "rebate"},
}


def _activity(rule: Any, **changes: Any) -> TacticsActivity:
    return activity(**{"rule": rules.to_json(rule), "benefits": BENEFITS, **changes})


def _lines(*effects: tuple[Any, int]) -> tuple[GrantLine, ...]:
    actions = [action for action, _ in effects]
    found = rules.calculate(rules.so(*actions), {}).effects
    given = [{**effect, "times": times} for effect, (_, times) in zip(found, effects, strict=True)]
    return lines_of(_activity(rules.so(*actions)), given)


def test_each_effect_becomes_a_line_of_its_kind() -> None:
    """A line has the kind, value and benefit that the activity defines, and what the action says of it."""
    found = _lines(
        (rules.send_coupon("c"), 1),
        (rules.give_points(300), 1),
        (rules.item_promotion_price(item_id="7", price_minor=800), 1),
        (rules.rebate(amount_minor=40, benefit="r2"), 1),
        (rules.gift("9", 2), 1),
    )
    assert [(one.line, one.kind, one.value_minor, one.benefit) for one in found] == [
        (1, "coupon", 500, "c"),
        (2, "points", 30, "p"),
        (3, "price", 0, None),
        (4, "rebate", 40, "r2"),
        (5, "gift", 0, None),
    ]
    assert [one.details for one in found] == [
        {},
        {"points": 300},
        {"effect": "item_promotion_price", "item_id": "7", "price_minor": 800},
        {},
        {"item_id": "9", "quantity": 2},
    ]


def test_times_multiply() -> None:
    """A coupon given three times is three lines, each with its value; amounts are multiplied in one line."""
    found = _lines(
        (rules.send_coupon("c"), 3),
        (rules.give_points(100), 3),
        (rules.rebate(amount_minor=40, benefit="r1"), 3),
        (rules.gift("9", 2), 3),
    )
    assert [one.line for one in found] == [1, 2, 3, 4, 5, 6]
    assert [one.value_minor for one in found] == [500, 500, 500, 90, 120, 0]
    assert found[3].details == {"points": 300}
    assert found[5].details == {"item_id": "9", "quantity": 6}
    assert stock_needed(found) == {"c": 3, "p": 1, "r1": 1}


def test_benefit_is_guessed_only_where_it_is_the_only_one() -> None:
    """An action without a named benefit takes the one of its kind; with two of the kind it takes none."""
    (points,) = _lines((rules.give_points(1), 1))
    (rebate,) = _lines((rules.rebate(percent=5), 1))
    assert (points.benefit, rebate.benefit, rebate.details) == ("p", None, {"percent": 5})


def test_stock_is_taken_in_one_order() -> None:
    """Benefits are locked in the order of their codes, whatever the order of the lines."""
    lines = [GrantLine(n, "coupon", 0, name) for n, name in enumerate(("z", "a", "z", None, "m"))]
    assert list(stock_needed(lines).items()) == [("a", 1), ("m", 1), ("z", 2)]


def test_assets_are_valid_from_now_to_their_end() -> None:
    """An asset is valid for its benefit's time, or to the end of the activity; its currency is the benefit's first."""
    given = _activity(rules.so(rules.send_coupon("c")), currency="CNY")
    lines = [GrantLine(1, "coupon", 500, "c"), GrantLine(2, "points", 30, "p", {"points": 300})]
    grant_id = uuid4()
    coupon, points = new_assets(given, "7", grant_id, lines, NOON)
    assert (coupon.valid_from, coupon.valid_until) == (NOON, NOON + timedelta(seconds=60))
    assert points.valid_until == given.schedule.ends_at
    assert (coupon.currency, points.currency) == ("EUR", "CNY")
    assert {(one.grant_id, one.user_id, one.activity_code, one.status) for one in (coupon, points)} == {
        (grant_id, "7", "camp18", "available")
    }
    assert (points.line, points.details) == (2, {"points": 300})


@pytest.mark.parametrize(("members", "code"), [({"code": "ALL"}, "ALL"), ({"codes": ["A"]}, None)])
def test_code_of_a_coupon(members: dict[str, Any], code: str | None) -> None:
    """A coupon carries its benefit's one code; one of a pool has none before it is taken."""
    given = activity(benefits={"c18": {"kind": "coupon", **members}})
    (asset,) = new_assets(given, "7", uuid4(), [GrantLine(1, "coupon", 0, "c18")], NOON)
    assert asset.details.get("code") == code


def test_codes_made_are_not_guessed_twice() -> None:
    """Codes made for single coupons all differ and have nothing that reads like something else."""
    lines = [GrantLine(number, "coupon", 0, "c18") for number in range(500)]
    codes = {asset.details["code"] for asset in new_assets(activity(), "7", uuid4(), lines, NOON)}
    assert len(codes) == 500
    assert not set("".join(codes)) & set("01IO")


def test_largest_value_ranks_activities() -> None:
    """The value is the most that one grant can be worth: the sum of a step, the best of a ladder, all where all hold."""
    coupon, points = rules.send_coupon("c"), rules.give_points(10)
    when = rules.exists(rules.now())
    steps = [rules.so(when, coupon), rules.so(when, coupon, points), rules.so(when, points)]
    assert largest_value(_activity(rules.so(coupon, points))) == 530
    assert largest_value(_activity(rules.tiers(*steps))) == 530
    assert largest_value(_activity(rules.tiers(*steps, mode="all"))) == 500 + 530 + 30
    assert largest_value(_activity(when)) == 0
    assert largest_value(_activity(rules.so(rules.rebate(amount_minor=40, benefit="r1")))) == 40


def test_a_budget_says_what_it_does_not_count() -> None:
    """An action that no benefit gives a value is named where there is a budget, and only there."""
    rule = rules.so(rules.order_amount_off(5000))
    (said,) = uncounted(_activity(rule, limits={"budget_minor": 5000}, benefits={}))
    assert "pbb.action.order_amount_off is worth nothing to the budget" in said
    assert uncounted(_activity(rule, benefits={})) == ()
    worth = {"off": {"kind": "price", "value_minor": 5000}}
    assert uncounted(_activity(rule, limits={"budget_minor": 5000}, benefits=worth)) == ()
    both = uncounted(_activity(rule, limits={"budget_minor": 5000, "cost_per_minute_minor": 9}, benefits={}))
    assert [said.partition(":")[0] for said in both] == ["/limits/budget_minor", "/limits/cost_per_minute_minor"]


def test_a_grant_has_one_provider_or_none() -> None:
    """The outside system of a grant is that of any of its lines; lines without a benefit, and ours, have none."""
    benefits = {**BENEFITS, "w": {"kind": "coupon", "provider": "wallet"}, "g": {"kind": "gift", "provider": "wallet"}}
    found = _activity(rules.so(rules.send_coupon("c"), rules.send_coupon("w"), rules.gift("9", 1)), benefits=benefits)
    effects = [{**effect, "times": 1} for effect in rules.calculate(found.parsed_rule, {}).effects]
    lines = lines_of(found, effects)
    assert [line.benefit for line in lines] == ["c", "w", "g"]
    assert provider_of(found, lines) == "wallet"
    assert provider_of(found, lines[2:]) == "wallet"
    assert provider_of(found, lines[:1]) is None
    assert provider_of(found, _lines((rules.order_amount_off(5), 1))) is None
    assert provider_of(found, ()) is None
