"""Record event: the behaviour event is consumed, durably (C-26)."""

from __future__ import annotations

from tactics.domain.context import TacticsInstanceContext
from tactics.processor import processor
from tactics.run import Run
from tactics.store import events


@processor(needs=TacticsInstanceContext, link="prepare", after=("save_prepared",))
def record_event(ctx: TacticsInstanceContext, run: Run) -> None:
    """Mark the event consumed, in the transaction that prepared the instance."""
    events.mark_consumed(run.conn, *ctx.event.key)
