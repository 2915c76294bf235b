"""The standard actions: what to give. They compute nothing; who executes or prices them reads their parameters."""

from __future__ import annotations

from collections.abc import Mapping

from tactics.rules.block import action
from tactics.rules.parameter import Parameter, choice, flag, integer, percent, text

_BENEFIT = {"benefit": text("which of the activity's benefits", optional=True)}
# Builders take parameters in this order: the item first, then how much.
_ITEM: dict[str, Parameter] = {"item_id": text("only lines of this item", optional=True)}
_SKU: dict[str, Parameter] = {"sku": text("only lines of this SKU", optional=True)}
_CATEGORY: dict[str, Parameter] = {"category": text("only lines of this category", optional=True)}
_BASE = {"base": choice("percentage of which price", "running", "original", optional=True)}


def _amount_or_percent(given: Mapping[str, object]) -> str | None:
    both = ("amount_minor" in given) == ("percent" in given)
    return "exactly one of amount_minor and percent is needed" if both else None


send_coupon = action(
    "pbb.action.send_coupon",
    "Send the user a coupon",
    {"benefit": text("which of the activity's benefits")},
    words="send coupon {benefit}",
)

give_points = action(
    "pbb.action.give_points",
    "Give the user points",
    {"points": integer("how many", minimum=0), **_BENEFIT},
    words="give {points} points",
)

item_promotion_price = action(
    "pbb.action.item_promotion_price",
    "Sell items at a fixed price per piece, where that is lower",
    {
        **_ITEM,
        "price_minor": integer("the price of one piece, in minor units", minimum=0, unit="minor"),
        **_SKU,
        "out_biz_id": text("the caller's own id of this price", optional=True),
        "no_batch": flag("only lines without batch", optional=True),
    },
    words="sell items at {price_minor}",
    per_item=True,
)

item_amount_off = action(
    "pbb.action.item_amount_off",
    "Take an amount off each piece, or off each line",
    {
        **_ITEM,
        "amount_minor": integer("how much, in minor units", minimum=0, unit="minor"),
        **_SKU,
        **_CATEGORY,
        "per": choice("off each piece or off each line", "unit", "line", optional=True),
    },
    words="take {amount_minor} off items",
    per_item=True,
)

item_percent_off = action(
    "pbb.action.item_percent_off",
    "Take a percentage off items",
    {**_ITEM, "percent": percent("how much"), **_SKU, **_CATEGORY, **_BASE},
    words="take {percent} % off items",
    per_item=True,
)

order_amount_off = action(
    "pbb.action.order_amount_off",
    "Take an amount off the order",
    {"amount_minor": integer("how much, in minor units", minimum=0, unit="minor")},
    words="take {amount_minor} off the order",
)

order_percent_off = action(
    "pbb.action.order_percent_off",
    "Take a percentage off the order",
    {"percent": percent("how much"), **_BASE},
    words="take {percent} % off the order",
)

rebate = action(
    "pbb.action.rebate",
    "Give back an amount, or a percentage of the order, later",
    {
        "amount_minor": integer("how much, in minor units", minimum=0, unit="minor", optional=True),
        "percent": percent("how much of the order", optional=True),
        **_BENEFIT,
    },
    words="give a rebate",
    verify=_amount_or_percent,
)

gift = action(
    "pbb.action.gift",
    "Give an item for free",
    {"item_id": text("the item"), "quantity": integer("how many pieces", minimum=1, unit="count")},
    words="give {quantity} of item {item_id}",
)

BLOCKS = (
    send_coupon,
    give_points,
    item_promotion_price,
    item_amount_off,
    item_percent_off,
    order_amount_off,
    order_percent_off,
    rebate,
    gift,
)
