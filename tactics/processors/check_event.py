"""Check event: has a behaviour event prepared this instance? (C-27)."""

from __future__ import annotations

from tactics.domain.context import TacticsInstanceContext
from tactics.processor import processor
from tactics.run import Run

NOT_YET = ("not_prepared", "the user has not done yet what this activity waits for")
"""How the chain of an instance that nothing has prepared ends, and the same for people."""


@processor(needs=TacticsInstanceContext, link="grant", when=lambda ctx: bool(ctx.activity.channels.prepare))
def check_event(ctx: TacticsInstanceContext, run: Run) -> None:
    """Stop as `not_prepared` where no event has prepared it. An activity without prepare channels needs none."""
    if run.instance.prepared_event_id is None:
        ctx.stop(*NOT_YET)
