"""The article's own examples, built in Python and evaluated."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.rules import Rule, calculate, so, tiers

NO_BATCH_PRICE = so(
    rules.amount_at_least(rules.no_batch_item_quantity("7"), 10),
    rules.item_promotion_price("7", 800, out_biz_id="1", no_batch=True),
)
SKU = "V1_1_220933_420279"
SKU_PRICE = so(rules.amount_at_least(rules.sku_quantity(SKU), 3), rules.item_promotion_price(sku=SKU, price_minor=200))
SPEND_COUPON = so(rules.amount_at_least(rules.order_amount(), 50000), rules.send_coupon("coupon_50"))
ITEM_REBATE = so(rules.amount_at_least(rules.item_quantity("7"), 1), rules.rebate(percent=5))
FIXED_PRICE = so(rules.item_promotion_price("7", 990))
LADDER = tiers(
    *(
        so(rules.amount_at_least(rules.order_amount(), at * 100), rules.order_amount_off(off * 100))
        for at, off in ((100, 10), (200, 30), (300, 50))
    )
)
EVERY_100 = so(rules.amount_at_least(rules.order_amount(), 10000, enable_multiple=True), rules.order_amount_off(1000))


def order(price_minor: int, quantity: int = 1, **line: Any) -> dict[str, Any]:
    return {"order": {"lines": [{"item_id": "7", "price_minor": price_minor, "quantity": quantity, **line}]}}


EXAMPLES: list[tuple[Rule, dict[str, Any], list[tuple[str, dict[str, Any], int]]]] = [
    (NO_BATCH_PRICE, order(1000, 9), []),
    (NO_BATCH_PRICE, order(1000, 10, batch="b"), []),
    (
        NO_BATCH_PRICE,
        order(1000, 10),
        [("item_promotion_price", {"item_id": "7", "price_minor": 800, "out_biz_id": "1", "no_batch": True}, 1)],
    ),
    (SKU_PRICE, order(500, 2, sku=SKU), []),
    (SKU_PRICE, order(500, 3, sku=SKU), [("item_promotion_price", {"sku": SKU, "price_minor": 200}, 1)]),
    (SPEND_COUPON, order(49999), []),
    (SPEND_COUPON, order(50000), [("send_coupon", {"benefit": "coupon_50"}, 1)]),
    (ITEM_REBATE, order(100), [("rebate", {"percent": 5}, 1)]),
    (FIXED_PRICE, {}, [("item_promotion_price", {"item_id": "7", "price_minor": 990}, 1)]),
    (LADDER, order(9999), []),
    (LADDER, order(10000), [("order_amount_off", {"amount_minor": 1000}, 1)]),
    (LADDER, order(29999), [("order_amount_off", {"amount_minor": 3000}, 1)]),
    (LADDER, order(99999), [("order_amount_off", {"amount_minor": 5000}, 1)]),
    (EVERY_100, order(35000), [("order_amount_off", {"amount_minor": 1000}, 3)]),
]


@pytest.mark.parametrize(("rule", "facts", "effects"), EXAMPLES)
def test_the_article_s_examples_give_what_they_promise(
    rule: Rule, facts: dict[str, Any], effects: list[tuple[str, dict[str, Any], int]]
) -> None:
    """Each example gives its benefit from its threshold on, and nothing below it."""
    answer = calculate(rule, facts).to_json()
    found = [(effect["block"], effect["params"], effect["times"]) for effect in answer["effects"]]
    assert found == [(f"pbb.action.{name}", params, times) for name, params, times in effects]
    assert answer["status"] == ("matched" if effects else "not_matched")
    assert rules.check(rule) == {"ok": True, "problems": []}
