"""Benefit expression: the display-ready words for what a user gets, in the caller's language (C-21, C-32)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tactics.domain import wordings
from tactics.domain.activity import Expression
from tactics.domain.context import PENDING, REPLAYED, ItemContext, TacticsInstanceContext
from tactics.domain.money import money
from tactics.domain.wording import ANY, STANDARD, Subject, Wordings, default_wordings

# Reading them makes the standard words known.
LANGUAGES = tuple(wordings.__all__)

_USABLE = frozenset({"available", "claimed"})
_PLACE = re.compile(r"\{(\w+)\}")
_SHOWN_OF_ITEM = (
    "item_id",
    "title",
    "price_minor",
    "currency",
    "promotion_price_minor",
    "rule",
    "unmet",
    "recalled",
    "text",
)


def express(ctx: TacticsInstanceContext, known: Wordings = default_wordings) -> Expression:
    """Give the words for an answer: the activity's own, else those of its tool type, else of the benefit's kind.

    Args:
        ctx: with outcome, assets and language. The activity's `expression` may have `{value}`, `{code}`, `{points}`,
            `{price}`, `{item_id}` and `{until}`, which stand for those of the first asset.
        known: where wordings are looked up.
    """
    first: Mapping[str, Any] = ctx.assets[0] if ctx.assets else {}
    if ctx.outcome == PENDING:
        return _worded("pending", first, ctx, known)
    if ctx.outcome == REPLAYED and not any(one.get("status") in _USABLE for one in ctx.assets):
        return _worded("spent", first, ctx, known)
    own = ctx.activity.words(ctx.language)
    if own is not None:
        return Expression(title=_filled(own.title, first), text=_filled(own.text, first))
    return _worded("benefit", first, ctx, known)


def express_item(item: Mapping[str, Any], ctx: TacticsInstanceContext, known: Wordings = default_wordings) -> str:
    """Give the words for an item: what it costs, and what buying more would make of it; empty without a price."""
    found = known.find("item", (ctx.activity.tool_type, ANY), ctx.language)
    return found(item, ctx).text if found is not None else ""


def express_items(ctx: TacticsInstanceContext) -> list[dict[str, Any]]:
    """Give the context's items as answers show them, each with its price in words."""
    return [_shown(item, ctx) for item in ctx.items] if isinstance(ctx, ItemContext) else []


def express_missed_items(ctx: TacticsInstanceContext) -> list[dict[str, Any]]:
    """Give the items that would be cheaper if the order had them, or more of them; none where that may be over."""
    if not isinstance(ctx, ItemContext) or not ctx.prices_hold:
        return []
    return [_shown(item, ctx) for item in ctx.items if "promotion_price_minor" in item or "unmet" in item]


def _shown(item: Mapping[str, Any], ctx: TacticsInstanceContext) -> dict[str, Any]:
    worded = {**item, "text": express_item(item, ctx) or None}
    return {key: worded[key] for key in _SHOWN_OF_ITEM if worded.get(key) is not None}


def _worded(of: Subject, asset: Mapping[str, Any], ctx: TacticsInstanceContext, known: Wordings) -> Expression:
    """Say it by the tool type's own words; the standard tool types follow the kind of the benefit."""
    tool_type, kind = ctx.activity.tool_type, asset.get("kind")
    if of == "benefit" and kind is None and tool_type in STANDARD:
        return Expression(text="")  # there is nothing in hand to be worded
    first = kind if kind is not None and tool_type in STANDARD else tool_type
    tool_types = [one for one in (first, kind, ANY) if one is not None]
    found = known.find(of, tool_types, ctx.language)
    return found(asset, ctx) if found is not None else Expression(text="")


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
    return _PLACE.sub(lambda place: str(values.get(place[1], place[0])), template)
