"""Build result: display-ready words, items with prices, assets, in the caller's language (C-32)."""

from __future__ import annotations

from tactics.domain.context import SHOWN, ItemContext, TacticsInstanceContext
from tactics.domain.expression import express, express_item
from tactics.processor import processor
from tactics.run import Run

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


@processor(
    needs=TacticsInstanceContext,
    link="grant",
    after=("handle_item_promotion", "send_benefit"),
    when=lambda ctx: ctx.outcome in SHOWN,
)
def build_result(ctx: TacticsInstanceContext, run: Run) -> None:
    """Put the answer together."""
    words = express(ctx)
    ctx.result = {
        "activity": ctx.activity.code,
        "execution_id": str(run.execution.id),
        "outcome": ctx.outcome,
        "expression": {"title": words.title, "text": words.text},
        "assets": ctx.assets,
        "items": shown_items(ctx),
        **({"placement": ctx.placement} if ctx.placement else {}),
        **({"notes": ctx.notes} if ctx.notes else {}),
    }


def shown_items(ctx: TacticsInstanceContext) -> list[dict[str, object]]:
    """Give the items as the answer shows them, each with its price in words."""
    items = ctx.items if isinstance(ctx, ItemContext) else []
    worded = ({**item, "text": express_item(item, ctx) or None} for item in items)
    return [{key: item[key] for key in _SHOWN_OF_ITEM if item.get(key) is not None} for item in worded]
