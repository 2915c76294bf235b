"""What each effect takes off, how it is rounded and spread: each sentence with an example worked out by hand."""

from __future__ import annotations

from math import floor

import pytest

from tactics import rules
from tactics.rules import price, so
from tests.rules.carts import amount_off, applied, coded, line, order, percent_off, totals, units

# ---- item effects


def test_a_percentage_is_of_the_running_price_unless_it_says_original() -> None:
    """For items and for orders."""
    half_item, half_order = so(rules.item_percent_off(percent=50)), percent_off(50)
    for base, total in ((None, 450), ("running", 450), ("original", 400)):
        item, order_wide = so(rules.item_percent_off(percent=10, base=base)), percent_off(10, base=base)
        for listed in ([half_item, item], [half_order, order_wide], [half_item, order_wide]):
            assert price(order(line(1000)), listed)["total_minor"] == total


def test_a_promotion_price_never_raises() -> None:
    """Neither the price as given, nor what another rule already made of it."""
    assert units(price(order(line(1000), line(700)), [so(rules.item_promotion_price(price_minor=800))])) == [800, 700]
    listed = [so(rules.item_percent_off(percent=50)), so(rules.item_promotion_price(price_minor=800))]
    assert units(price(order(line(1000)), listed)) == [500]
    assert units(price(order(line(1000)), listed[::-1])) == [400]


def test_an_amount_is_off_each_piece_or_off_the_line() -> None:
    """Three pieces get it three times, unless it is per line."""
    for per, total in ((None, 270), ("unit", 270), ("line", 290)):
        assert price(order(line(100, 3)), [so(rules.item_amount_off(amount_minor=10, per=per))])["total_minor"] == total


LINES = (
    line(100, item_id="7", sku="s", category="tea"),
    line(100, item_id="7", sku="t", category=["tea", "gift"]),
    line(100, item_id="8", sku="s", batch="b"),
    line(100),
)


@pytest.mark.parametrize(
    ("selectors", "meant"),
    [
        ({}, [0, 1, 2, 3]),
        ({"item_id": "7"}, [0, 1]),
        ({"sku": "s"}, [0, 2]),
        ({"category": "tea"}, [0, 1]),
        ({"category": "gift"}, [1]),
        ({"item_id": "7", "sku": "s"}, [0]),
        ({"item_id": "7", "sku": "t", "category": "gift"}, [1]),
        ({"item_id": "8", "category": "tea"}, []),
        ({"item_id": "nothing"}, []),
    ],
)
def test_selectors_all_have_to_fit(selectors: dict[str, str], meant: list[int]) -> None:
    """Without any, every line is meant; with several, only the lines that fit all."""
    for rule in (
        so(rules.item_amount_off(amount_minor=1, **selectors)),
        so(rules.item_percent_off(percent=1, **selectors)),
        *([] if "category" in selectors else [so(rules.item_promotion_price(price_minor=99, **selectors))]),
    ):
        assert [at for at, unit in enumerate(units(price(order(*LINES), [rule]))) if unit == 99] == meant


@pytest.mark.parametrize(("no_batch", "meant"), [(True, [0, 1, 3]), (False, [0, 1, 2, 3]), (None, [0, 1, 2, 3])])
def test_no_batch_means_only_lines_without_batch(no_batch: bool | None, meant: list[int]) -> None:
    """True restricts; false and nothing do not."""
    rule = so(rules.item_promotion_price(price_minor=99, no_batch=no_batch))
    assert [at for at, unit in enumerate(units(price(order(*LINES), [rule]))) if unit == 99] == meant


# ---- rounding, spreading, bounds


def test_item_discounts_round_half_up_once_a_line() -> None:
    """Not once a piece: 10 % of 3 times 1.05 is 0.315, that is 0.32; and half of 0.05 is 0.03."""
    assert totals(price(order(line(105, 3), line(5)), [so(rules.item_percent_off(percent=10))])) == [283, 4]
    assert totals(price(order(line(5), line(4), line(14)), [so(rules.item_percent_off(percent=50))])) == [2, 2, 7]
    assert totals(price(order(line(4)), [so(rules.item_percent_off(percent=10))])) == [4]


def test_order_discounts_round_once_on_the_total() -> None:
    """Not once a line: half of three lines of 0.01 is 0.02, not 0.03."""
    answer = price(order(line(1), line(1), line(1)), [percent_off(50)])
    assert (answer["order_discount_minor"], totals(answer)) == (2, [0, 0, 1])


def test_percentages_are_exact() -> None:
    """0.57 % of 50.00 is 28.5 cents, rounded up to 29; with binary fractions it would be a little less, so 28."""
    assert floor(5000 * 0.57 / 100 + 0.5) == 28
    assert price(order(line(5000)), [percent_off(0.57)])["order_discount_minor"] == 29
    assert price(order(line(5000)), [so(rules.item_percent_off(percent=0.57))])["total_minor"] == 4971
    large = order(line(10**19 + 5000))
    assert price(large, [percent_off(33.33)])["order_discount_minor"] == 3333 * 10**15 + 1667


def test_an_order_discount_is_spread_in_proportion() -> None:
    """Floor first, then the largest remainders, then the earlier line."""
    cart = order(line(100), line(200), line(400))
    assert totals(price(cart, [amount_off(10)])) == [99, 197, 394]  # 1.43 2.86 5.71: 1 2 5, then +1 for 2nd and 3rd
    assert totals(price(order(line(10), line(10), line(10)), [amount_off(5)])) == [8, 8, 9]
    assert totals(price(order(line(0), line(3)), [amount_off(2)])) == [0, 1]


def test_shares_follow_the_totals_after_item_effects() -> None:
    """An order discount is spread over what the lines cost when it has its turn."""
    cart = order(line(1000, item_id="7"), line(500, item_id="8"))
    answer = price(cart, [so(rules.item_promotion_price("7", 500)), amount_off(100)])
    assert totals(answer) == [450, 450]
    assert units(answer) == [500, 500]


def test_the_unit_price_rounds_where_a_line_does_not_divide() -> None:
    """The line's total stays exact."""
    answer = price(order(line(100, 3)), [so(rules.item_amount_off(amount_minor=1, per="line"))])
    assert (units(answer), totals(answer)) == ([100], [299])
    assert units(price(order(line(100, 2)), [so(rules.item_amount_off(amount_minor=3, per="line"))])) == [99]


def test_nothing_goes_below_zero() -> None:
    """What is taken off more than there is, is not saved either."""
    listed = coded(
        item=so(rules.item_amount_off("7", 500)), order=amount_off(10_000), late=percent_off(50, base="original")
    )
    answer = price(order(line(100, 2, item_id="7"), line(300)), listed)
    assert (totals(answer), applied(answer)) == ([0, 0], [("item", 200), ("order", 300), ("late", 0)])
    assert price(order(line(100)), [percent_off(100)])["total_minor"] == 0


# ---- times, and what changes no price


def test_times_multiply_amounts_only() -> None:
    """Percentages and promotion prices are the same however often the condition holds."""
    every = rules.amount_at_least(rules.order_amount(), 100, enable_multiple=True)
    for action, total in (
        (rules.order_amount_off(10), 320),
        (rules.item_amount_off(amount_minor=10), 320),
        (rules.item_amount_off(amount_minor=10, per="line"), 320),
        (rules.order_percent_off(10), 315),
        (rules.item_percent_off(percent=10), 315),
        (rules.item_promotion_price(price_minor=300), 300),
    ):
        assert price(order(line(350)), [so(every, action)])["total_minor"] == total


def test_other_benefits_change_no_price() -> None:
    """They are listed with what they give, and save nothing on this order."""
    rule = so(
        rules.rebate(amount_minor=50),
        rules.rebate(percent=50),
        rules.gift("9", 1),
        rules.give_points(5),
        rules.send_coupon("c"),
    )
    answer = price(order(line(100)), [{"code": "all", "rule": rule}])
    assert (answer["total_minor"], applied(answer)) == (100, [("all", 0)] * 5)
    assert answer["lines"][0]["applied"] == []
