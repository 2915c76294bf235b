"""Load prepared data: refill the instance from Redis, or prepare it again where Redis lost it (C-27, C-28)."""

from __future__ import annotations

from tactics.domain.context import TacticsInstanceContext
from tactics.processor import processor
from tactics.run import Run


@processor(
    needs=TacticsInstanceContext,
    link="grant",
    after=("check_event",),
    when=lambda ctx: bool(ctx.activity.channels.prepare),
)
def load_prepared(ctx: TacticsInstanceContext, run: Run) -> None:
    """Take the prepared data that the instance row vouches for; any other is as good as none."""
    found = run.found_prepared
    if found is None:
        run.rebuild(ctx)
    else:
        ctx.refill(found.data)
