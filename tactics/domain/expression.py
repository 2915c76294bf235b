"""Benefit expression: the display-ready words for what a user gets, by tool type and language (C-21, C-32)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tactics.domain.activity import Expression, TacticsActivity

Wording = Callable[[Mapping[str, Any], str], Expression]


def money(minor: int, currency: str) -> str:
    """Write an amount of minor units for people: 800 USD is `8.00 USD`."""
    digits = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "BHD": 3, "KWD": 3, "JOD": 3, "OMR": 3, "TND": 3}.get(currency, 2)
    if digits == 0:
        return f"{minor} {currency}"
    whole, rest = divmod(minor, 10**digits)
    return f"{whole}.{rest:0{digits}d} {currency}"


def _coupon(asset: Mapping[str, Any], language: str) -> Expression:
    value, code = money(asset["value_minor"], asset["currency"]), asset.get("code", "")
    if language == "zh":
        return Expression(title=f"{value} 优惠券", text=f"下单时使用优惠码 {code}, 立减 {value}")
    return Expression(title=f"A coupon of {value}", text=f"Use code {code} at the checkout and save {value}.")


def _points(asset: Mapping[str, Any], language: str) -> Expression:
    points = asset.get("points", 0)
    if language == "zh":
        return Expression(title=f"{points} 积分", text=f"{points} 积分已到账")
    return Expression(title=f"{points} points", text=f"{points} points are on your account.")


def _price(asset: Mapping[str, Any], language: str) -> Expression:
    price = asset.get("price_minor")
    if price is None:
        title = "专享优惠" if language == "zh" else "Your special price"
        return Expression(title=title, text="结算时自动生效" if language == "zh" else "Applied at the checkout.")
    amount, item = money(price, asset["currency"]), asset.get("item_id", "")
    if language == "zh":
        return Expression(title=f"专享价 {amount}", text=f"商品 {item} 专享价 {amount}")
    return Expression(title=f"Yours for {amount}", text=f"Item {item} for {amount} a piece.")


def _rebate(asset: Mapping[str, Any], language: str) -> Expression:
    value = money(asset["value_minor"], asset["currency"]) if asset["value_minor"] else f"{asset.get('percent', '')}%"
    if language == "zh":
        return Expression(title=f"返利 {value}", text=f"确认收货后返 {value}")
    return Expression(title=f"{value} back", text=f"{value} comes back to you after delivery.")


def _gift(asset: Mapping[str, Any], language: str) -> Expression:
    quantity, item = asset.get("quantity", 1), asset.get("item_id", "")
    if language == "zh":
        return Expression(title="赠品", text=f"赠送商品 {item} x {quantity}")
    return Expression(title="A gift for you", text=f"{quantity} x item {item}, free.")


# By tool type; the standard tool types are called like the kind of benefit that they give.
WORDINGS: dict[str, Wording] = {
    "coupon": _coupon,
    "points": _points,
    "price": _price,
    "rebate": _rebate,
    "gift": _gift,
}
BENEFIT_KINDS = frozenset(WORDINGS)


def express(activity: TacticsActivity, outcome: str, assets: Sequence[Mapping[str, Any]], language: str) -> Expression:
    """Give the words for an answer: the activity's own, else those of its tool type.

    Args:
        activity: its `expression` may have `{value}`, `{code}`, `{points}`, `{price}`, `{item_id}` and `{until}`,
            which stand for those of the first asset.
        outcome: granted, reused, replayed or pending.
        assets: as the answer shows them.
        language: a BCP 47 tag; the part before the hyphen decides, and English is the fallback.
    """
    short = "zh" if language.split("-", 1)[0].lower() == "zh" else "en"
    if outcome == "pending":
        return Expression(title="", text="权益发放中" if short == "zh" else "Your benefit is on its way.")
    first: Mapping[str, Any] = assets[0] if assets else {}
    if outcome == "replayed" and not any(one.get("status") in {"available", "claimed"} for one in assets):
        return Expression(title="", text="权益已使用" if short == "zh" else "You have had this benefit already.")
    own = activity.words(language)
    if own is not None:
        return Expression(title=_filled(own.title, first), text=_filled(own.text, first))
    if not first:
        return Expression(text="")
    return _strategy(activity.tool_type, str(first["kind"]))(first, short)


def _strategy(tool_type: str, kind: str) -> Wording:
    """Choose the wording: a tool type of its own has its own words, the standard ones follow the kind of benefit."""
    return WORDINGS[kind] if tool_type in BENEFIT_KINDS or tool_type not in WORDINGS else WORDINGS[tool_type]


def _filled(template: str, asset: Mapping[str, Any]) -> str:
    currency = str(asset.get("currency", ""))
    values = {
        "value": money(int(asset.get("value_minor") or 0), currency),
        "code": asset.get("code", ""),
        "points": asset.get("points", ""),
        "price": money(int(asset["price_minor"]), currency) if asset.get("price_minor") is not None else "",
        "item_id": asset.get("item_id", ""),
        "until": str(asset.get("valid_until", ""))[:10],
    }
    text = template
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text
