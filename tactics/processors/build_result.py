"""Build result: display-ready words, items with prices, assets, in the caller's language (C-32)."""

from __future__ import annotations

from tactics.domain.context import SHOWN, TacticsInstanceContext
from tactics.domain.expression import express, express_items
from tactics.processor import processor
from tactics.run import Run


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
        "items": express_items(ctx),
        **({"placement": ctx.placement} if ctx.placement else {}),
        **({"notes": ctx.notes} if ctx.notes else {}),
    }
