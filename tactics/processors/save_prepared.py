"""Save prepared data: what placements find, in Redis until the activity ends (C-25)."""

from __future__ import annotations

from tactics.domain.context import PREPARED, TacticsInstanceContext
from tactics.processor import processor
from tactics.run import Run


@processor(
    needs=TacticsInstanceContext,
    link="prepare",
    after=("query_item", "recall_item", "handle_item_promotion"),
    saves=True,
)
def save_prepared(ctx: TacticsInstanceContext, run: Run) -> None:
    """Write the context's prepared data under this segment's epoch, and which event it is for."""
    run.save_prepared(ctx)
    ctx.prepared = True
    ctx.outcome = PREPARED
