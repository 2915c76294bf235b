"""English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tactics.domain.activity import Expression
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.money import money
from tactics.domain.wording import ANY, wording

Words = Mapping[str, Any]


@wording("coupon", "en")
def coupon(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say what a coupon saves, and its code."""
    how = f"Use code {asset['code']} at the checkout" if asset.get("code") else "Use it at the checkout"
    if not asset["value_minor"]:
        return Expression(title="A coupon for you", text=f"{how}.")
    value = money(asset["value_minor"], asset["currency"])
    return Expression(title=f"A coupon of {value}", text=f"{how} and save {value}.")


@wording("points", "en")
def points(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say how many points were given."""
    count = asset.get("points")
    if count is None:
        return Expression(title="Points for you", text="New points are on your account.")
    if count == 1:
        return Expression(title="1 point", text="1 point is on your account.")
    return Expression(title=f"{count} points", text=f"{count} points are on your account.")


@wording("price", "en")
def price(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say the price, or what is taken off."""
    name = asset.get("item_id") and (ctx.title_of(asset["item_id"]) or f"Item {asset['item_id']}")
    if asset.get("price_minor") is not None:
        amount = money(asset["price_minor"], asset["currency"])
        text = f"{name} for {amount} a piece." if name else f"{amount} a piece."
        return Expression(title=f"Yours for {amount}", text=text)
    off = _off(asset)
    if not off:
        return Expression(title="Your special price", text="Applied at the checkout.")
    return Expression(
        title=f"{off} off", text=f"{name}: {off} off." if name else f"{off} off, applied at the checkout."
    )


def _off(asset: Words) -> str:
    if asset.get("amount_minor"):
        return money(asset["amount_minor"] * asset.get("times", 1), asset["currency"])
    return f"{asset['percent']}%" if asset.get("percent") else ""


@wording("rebate", "en")
def rebate(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say what comes back."""
    value = money(asset["value_minor"], asset["currency"]) if asset["value_minor"] else f"{asset.get('percent', 0)}%"
    return Expression(title=f"{value} back", text=f"{value} comes back to you after delivery.")


@wording("gift", "en")
def gift(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say what is given."""
    if not asset.get("item_id"):
        return Expression(title="A gift for you", text="It comes with your order, free.")
    name = ctx.title_of(asset["item_id"]) or f"item {asset['item_id']}"
    return Expression(title="A gift for you", text=f"{asset.get('quantity', 1)} x {name}, free.")


@wording(ANY, "en", "pending")
def pending(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Promise what is still being settled."""
    return Expression(title="On its way", text="Your benefit is on its way.")


@wording(ANY, "en", "spent")
def spent(asset: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say that there is nothing more."""
    return Expression(title="Already yours", text="You have had this benefit already.")


@wording(ANY, "en", "item")
def item(one: Words, ctx: TacticsInstanceContext) -> Expression:
    """Say what an item costs now, and what buying more would make of it."""
    return Expression(text="; ".join(_prices(one, one.get("currency") or ctx.activity.currency)))


def _prices(one: Words, currency: str) -> Iterator[str]:
    if one.get("promotion_price_minor") is not None:
        yield f"{money(one['promotion_price_minor'], currency)} instead of {money(one['price_minor'], currency)}"
    elif one.get("price_minor") is not None:
        yield money(one["price_minor"], currency)
    for unmet in one.get("unmet", ()):
        needs = money(unmet["needs"], currency) if unmet["unit"] == "amount_minor" else unmet["needs"]
        yield f"{needs} more for {money(unmet['price_minor'], currency)} each"
