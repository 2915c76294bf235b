"""What `price` answers, which rules apply, and what they see: each sentence with an example worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.rules import price, so, tiers
from tests.rules.carts import amount_off, applied, coded, line, order, percent_off, statuses, totals, units

SKU = "V1_1_220933_420279"


# ---- the article's examples, as prices


@pytest.mark.parametrize(("quantity", "batch", "unit"), [(9, None, 1000), (10, None, 800), (10, "b1", 1000)])
def test_ten_items_without_batch_cost_8_00_each(quantity: int, batch: str | None, unit: int) -> None:
    """From ten pieces without batch on the piece costs 8.00; pieces of a batch neither count nor get it."""
    rule = so(
        rules.amount_at_least(rules.no_batch_item_quantity("7"), 10),
        rules.item_promotion_price("7", 800, no_batch=True),
    )
    answer = price(order(line(1000, quantity, item_id="7", batch=batch), line(900, 1, item_id="7", batch="b2")), [rule])
    assert units(answer) == [unit, 900]
    assert answer["total_minor"] == quantity * unit + 900


@pytest.mark.parametrize(("quantity", "unit"), [(2, 500), (3, 200)])
def test_three_of_this_sku_cost_2_00_each(quantity: int, unit: int) -> None:
    """From three pieces of the SKU on the piece costs 2.00; other SKUs keep their price."""
    rule = so(rules.amount_at_least(rules.sku_quantity(SKU), 3), rules.item_promotion_price(sku=SKU, price_minor=200))
    answer = price(order(line(500, quantity, sku=SKU), line(500, 5, sku="other")), [rule])
    assert units(answer) == [unit, 500]


@pytest.mark.parametrize(
    ("spent", "off"),
    [(9999, 0), (10000, 1000), (19999, 1000), (20000, 3000), (29999, 3000), (30000, 5000), (99999, 5000)],
)
def test_a_ladder_of_100_200_300_takes_off_10_30_50(spent: int, off: int) -> None:
    """The highest step that is reached counts, once."""
    ladder = tiers(
        *(
            so(rules.amount_at_least(rules.order_amount(), at * 100), rules.order_amount_off(less * 100))
            for at, less in ((100, 10), (200, 30), (300, 50))
        )
    )
    answer = price(order(line(spent)), [ladder])
    assert (answer["total_minor"], answer["order_discount_minor"]) == (spent - off, off)


# ---- the answer


def test_the_answer_names_what_was_saved_by_which_rule() -> None:
    """Every field of the contract, for one item effect and one order effect."""
    listed = coded(cheap=so(rules.item_promotion_price("7", 800)), ten=percent_off(10))
    cheap = {"block": "pbb.action.item_promotion_price", "params": {"item_id": "7", "price_minor": 800}, "times": 1}
    ten = {"block": "pbb.action.order_percent_off", "params": {"percent": 10}, "times": 1}
    assert price(order(line(1000, 2, item_id="7"), line(400, item_id="8")), listed) == {
        "original_total_minor": 2400,
        "total_minor": 1800,
        "order_discount_minor": 200,
        "lines": [
            {
                "line": 0,
                "original_unit_price_minor": 1000,
                "unit_price_minor": 800,
                "original_total_minor": 2000,
                "total_minor": 1440,
                "applied": [
                    {"rule": 0, "code": "cheap", "effect": cheap, "saved_minor": 400},
                    {"rule": 1, "code": "ten", "effect": ten, "saved_minor": 160},
                ],
            },
            {
                "line": 1,
                "original_unit_price_minor": 400,
                "unit_price_minor": 400,
                "original_total_minor": 400,
                "total_minor": 360,
                "applied": [{"rule": 1, "code": "ten", "effect": ten, "saved_minor": 40}],
            },
        ],
        "applied": [
            {"rule": 0, "code": "cheap", "effect": cheap, "saved_minor": 400},
            {"rule": 1, "code": "ten", "effect": ten, "saved_minor": 200},
        ],
        "rules": [
            {"rule": 0, "code": "cheap", "status": "applied", "reasons": []},
            {"rule": 1, "code": "ten", "status": "applied", "reasons": []},
        ],
    }


def test_the_answer_is_the_caller_s_own() -> None:
    """Changing an answer changes neither another place in it nor the next answer."""
    rule = so(rules.item_amount_off(amount_minor=1))
    first = price(order(line(5)), [rule])
    first["applied"][0]["effect"]["params"]["amount_minor"] = 9
    assert first["lines"][0]["applied"][0]["effect"]["params"] == {"amount_minor": 1}
    assert price(order(line(5)), [rule])["total_minor"] == 4


def test_rules_that_do_not_apply_say_why() -> None:
    """Not matched, unknown, a bare condition and a skipped step each have their status and reasons."""
    poor = so(rules.amount_at_least(rules.order_amount(), 500), rules.order_amount_off(1))
    who = rules.equals(rules.user_attribute("vip"), True)
    ladder = tiers(so(rules.order_amount_off(10)), so(who, rules.order_amount_off(50)))
    answer = price(order(line(100)), [poor, so(who, rules.order_amount_off(1)), rules.exists(1), ladder])
    assert statuses(answer) == ["not_matched", "unknown", "no_effect", "applied"]
    assert [[reason["code"] for reason in one["reasons"]] for one in answer["rules"]] == [
        ["not_met"],
        ["missing"],
        ["no_effect"],
        ["missing"],
    ]
    assert answer["rules"][0]["reasons"][0]["path"] == "/so/when"
    assert answer["total_minor"] == 90


def test_an_order_without_lines_or_rules_costs_what_it_says() -> None:
    """Nothing to price, or nothing to price it with, is no error."""
    assert price(order(), [amount_off(5)])["total_minor"] == 0
    assert price(order(line(100, 3)), [])["total_minor"] == 300
    assert totals(price({"lines": [{"price_minor": 7}]}, [])) == [7]
    nothing = price(order(line(700, 0)), [so(rules.item_promotion_price(price_minor=1)), amount_off(5)])
    assert (units(nothing), totals(nothing)) == ([700], [0])


# ---- facts


def test_conditions_see_the_order_as_given() -> None:
    """A discount does not take an order below the threshold of a rule that follows."""
    over_100 = rules.amount_at_least(rules.order_amount(), 10000)
    answer = price(
        order(line(10000)), [so(rules.item_percent_off(percent=50)), so(over_100, rules.order_amount_off(1000))]
    )
    assert answer["total_minor"] == 4000


def test_conditions_see_the_other_facts() -> None:
    """User, time and the rest come in `facts`; an order there does not matter."""
    vip, spent = rules.equals(rules.user_attribute("vip"), True), rules.amount_at_least(rules.order_amount(), 100)
    rule = so(vip & spent, rules.order_amount_off(10))
    facts = {"user": {"vip": True}, "order": {"lines": []}}
    assert price(order(line(100)), [rule], "stack", facts)["total_minor"] == 90
    assert price(order(line(100)), [rule], facts={})["total_minor"] == 100


def test_a_parameter_may_come_from_the_facts() -> None:
    """An amount that is a resource has its value for this order."""
    rule = so(rules.order_amount_off(rules.user_attribute("credit_minor")))
    assert price(order(line(100)), [rule], facts={"user": {"credit_minor": 30}})["total_minor"] == 70


def test_one_item_is_priced_as_an_order_of_one_piece() -> None:
    """The line's answer has the price before and after, and the rule that made it."""
    listed = coded(
        tea=so(rules.item_percent_off(percent=10, category="tea")), cup=so(rules.item_promotion_price("8", 1))
    )
    answer = price(order(line(1000, item_id="7", category="tea")), listed)["lines"][0]
    assert (answer["original_unit_price_minor"], answer["unit_price_minor"]) == (1000, 900)
    assert [one["code"] for one in answer["applied"]] == ["tea"]


def test_the_current_item_is_meant_where_a_block_names_none() -> None:
    """With `item_id`, conditions count that item and effects lower it alone; without, they mean every line."""
    rule = so(rules.amount_at_least(rules.item_quantity(), 2), rules.item_promotion_price(price_minor=50))
    cart = order(line(100, 2, item_id="7"), line(100, 1, item_id="8"))
    assert units(price(cart, [rule], item_id="7")) == [50, 100]
    assert units(price(cart, [rule], item_id="8")) == [100, 100]
    assert units(price(cart, [rule])) == [50, 50]


# ---- stack, best, priorities, groups


def test_stack_applies_by_priority_then_as_listed() -> None:
    """A percentage of the running price depends on what came before it."""
    ten, half = so(rules.item_amount_off(amount_minor=100)), so(rules.item_percent_off(percent=50))
    cart = order(line(1000))
    assert price(cart, [ten, half])["total_minor"] == 450
    assert price(cart, [half, ten])["total_minor"] == 400
    ranked = [{"rule": ten, "code": "ten"}, {"rule": half, "code": "half", "priority": 1}]
    assert applied(price(cart, ranked)) == [("half", 500), ("ten", 100)]
    assert price(cart, [{"rule": ten, "priority": -1}, half])["total_minor"] == 400


def test_item_effects_come_before_order_effects() -> None:
    """Whatever the priority, and also within one rule."""
    first = {"rule": percent_off(50), "priority": 9, "code": "order"}
    second = {"rule": so(rules.item_amount_off(amount_minor=100)), "code": "item"}
    answer = price(order(line(1000)), [first, second])
    assert (answer["total_minor"], applied(answer)) == (450, [("item", 100), ("order", 450)])
    both = so(rules.order_percent_off(50), rules.item_amount_off(amount_minor=100))
    assert price(order(line(1000)), [both])["total_minor"] == 450


def test_best_is_the_one_rule_with_the_lowest_total() -> None:
    """All effects of that rule apply, and none of another."""
    listed = coded(
        ten=percent_off(10),
        both=so(rules.item_amount_off(amount_minor=60), rules.order_amount_off(60)),
        flat=amount_off(110),
    )
    answer = price(order(line(1000)), listed, "best")
    assert (answer["total_minor"], applied(answer)) == (880, [("both", 60), ("both", 60)])
    assert statuses(answer) == ["outdone", "applied", "outdone"]
    assert answer["rules"][2]["reasons"][0]["text"] == 'rule "both" saves more, or as much and comes first'


def test_best_compares_what_a_ladder_gives() -> None:
    """A ladder competes with the outcome of its mode, not with each of its steps."""
    steps = [so(rules.order_amount_off(off)) for off in (300, 200)]
    cart, flat = order(line(1000)), amount_off(250)
    for mode, total in (("highest", 750), ("first", 700), ("all", 500)):
        assert price(cart, [tiers(*steps, mode=mode), flat], "best")["total_minor"] == total  # type: ignore[arg-type]


def test_of_equal_rules_the_earlier_stays() -> None:
    """Earlier is by priority, then as listed; so in `best`, and in a group."""
    listed: list[dict[str, Any]] = coded(a=amount_off(100), b=percent_off(10))
    assert statuses(price(order(line(1000)), listed, "best")) == ["applied", "outdone"]
    grouped = [{**one, "exclusive_group": "g"} for one in listed]
    assert statuses(price(order(line(1000)), grouped)) == ["applied", "outdone"]
    grouped[1]["priority"] = 1
    assert statuses(price(order(line(1000)), grouped)) == ["outdone", "applied"]
    assert statuses(price(order(line(1000)), grouped, "best")) == ["outdone", "applied"]


def test_of_an_exclusive_group_only_the_one_that_saves_most_applies() -> None:
    """Rules outside the group, of other groups, and those that did not match, are not touched by it."""
    never = so(~rules.exists(1), rules.order_amount_off(900))
    listed: list[dict[str, Any]] = [
        {"code": "small", "rule": amount_off(50), "exclusive_group": "g", "priority": 5},
        {"code": "large", "rule": amount_off(80), "exclusive_group": "g"},
        {"code": "never", "rule": never, "exclusive_group": "g"},
        {"code": "other", "rule": amount_off(7), "exclusive_group": "h"},
        {"code": "free", "rule": amount_off(1)},
        {"code": "free too", "rule": amount_off(1)},
    ]
    answer = price(order(line(1000)), listed)
    assert statuses(answer) == ["outdone", "applied", "not_matched", "applied", "applied", "applied"]
    assert answer["total_minor"] == 1000 - 80 - 7 - 1 - 1
