"""Build result: display-ready words, items with prices, assets, in the caller's language (C-32)."""

from __future__ import annotations

from tactics.domain.context import SHOWN, ItemContext, TacticsInstanceContext
from tactics.domain.expression import express
from tactics.processor import processor
from tactics.run import Run


@processor(needs=TacticsInstanceContext, when=lambda ctx: ctx.outcome in SHOWN)
def build_result(ctx: TacticsInstanceContext, run: Run) -> None:
    """Put the answer together."""
    words = express(ctx.activity, ctx.outcome or "", ctx.assets, ctx.language)
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
    """Give the items as the answer shows them."""
    items = ctx.items if isinstance(ctx, ItemContext) else []
    kept = ("item_id", "title", "price_minor", "currency", "promotion_price_minor", "rule")
    return [{key: item[key] for key in kept if item.get(key) is not None} for item in items]
