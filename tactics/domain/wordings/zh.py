"""Chinese, in simplified characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tactics.domain.activity import Expression
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.money import money
from tactics.domain.wording import ANY, wording

Words = Mapping[str, Any]


@wording("coupon", "zh")
def coupon(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say what a coupon saves, and its code."""
    how = f"下单时使用优惠码 {asset['code']}" if asset.get("code") else "下单时使用"
    if not asset["value_minor"]:
        return Expression(title="优惠券", text=how)
    value = money(asset["value_minor"], asset["currency"])
    return Expression(title=f"{value} 优惠券", text=f"{how}, 立减 {value}")


@wording("points", "zh")
def points(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say how many points were given."""
    count = asset.get("points")
    if count is None:
        return Expression(title="积分", text="积分已到账")
    return Expression(title=f"{count} 积分", text=f"{count} 积分已到账")


@wording("price", "zh")
def price(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say the price, or what is taken off."""
    name = asset.get("item_id") and (ctx.title_of(asset["item_id"]) or f"商品 {asset['item_id']}")
    if asset.get("price_minor") is not None:
        amount = money(asset["price_minor"], asset["currency"])
        return Expression(title=f"专享价 {amount}", text=f"{name} 专享价 {amount}" if name else f"每件 {amount}")
    off = _off(asset)
    if not off:
        return Expression(title="专享优惠", text="结算时自动生效")
    return Expression(title=off, text=f"{name} {off}" if name else f"结算时自动{off}")


def _off(asset: Words) -> str:
    if asset.get("amount_minor"):
        return f"立减 {money(asset['amount_minor'] * asset.get('times', 1), asset['currency'])}"
    return f"立减 {asset['percent']}%" if asset.get("percent") else ""


@wording("rebate", "zh")
def rebate(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say what comes back."""
    value = money(asset["value_minor"], asset["currency"]) if asset["value_minor"] else f"{asset.get('percent', 0)}%"
    return Expression(title=f"返利 {value}", text=f"确认收货后返 {value}")


@wording("gift", "zh")
def gift(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say what is given."""
    if not asset.get("item_id"):
        return Expression(title="赠品", text="随单赠送")
    name = ctx.title_of(asset["item_id"]) or f"商品 {asset['item_id']}"
    return Expression(title="赠品", text=f"赠送{name} x {asset.get('quantity', 1)}")


@wording(ANY, "zh", "pending")
def pending(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Promise what is still being settled."""
    return Expression(title="发放中", text="权益发放中")


@wording(ANY, "zh", "spent")
def spent(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say that there is nothing more."""
    return Expression(title="已使用", text="权益已使用")


@wording(ANY, "zh", "item")
def item(one: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say what an item costs now, and what buying more would make of it."""
    return Expression(text="; ".join(_prices(one, one.get("currency") or ctx.activity.currency)))


def _prices(one: Words, currency: str) -> Iterator[str]:
    if one.get("promotion_price_minor") is not None:
        yield f"{money(one['promotion_price_minor'], currency)}, 原价 {money(one['price_minor'], currency)}"
    elif one.get("price_minor") is not None:
        yield money(one["price_minor"], currency)
    for unmet in one.get("unmet", ()):
        each = f"每件 {money(unmet['price_minor'], currency)}"
        if unmet["unit"] == "amount_minor":
            yield f"再消费 {money(unmet['needs'], currency)}, {each}"
        else:
            yield f"再买 {unmet['needs']} 件, {each}"
