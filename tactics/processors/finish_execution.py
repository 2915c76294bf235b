"""Finish: close the execution with its outcome, in the transaction of everything that it did."""

from __future__ import annotations

from tactics.domain.context import TacticsInstanceContext
from tactics.processor import processor
from tactics.run import Run
from tactics.segment import Abandoned, TwinWasFaster, encoded, not_shown, placement_row
from tactics.store import events, executions


@processor(needs=TacticsInstanceContext, always=True)
def finish_execution(ctx: TacticsInstanceContext, run: Run) -> None:
    """Write the outcome; of a placement also its part of the answer, unless the placement was given up meanwhile."""
    encoded(ctx)
    outcome = ctx.outcome or "done"
    reason = ctx.text if ctx.stopped else None
    if run.stored:
        executions.finish(
            run.conn,
            run.execution,
            attempt=run.attempt,
            epoch=run.epoch,
            outcome=outcome,
            reason=reason,
            trace=run.trace,
            assets_unknown=ctx.assets_unknown,
        )
    elif not executions.add_finished(run.conn, placement_row(run, ctx, outcome=outcome, reason=reason)):
        raise TwinWasFaster
    if run.execution.link == "grant":
        part = ctx.result or not_shown(ctx)
        if not events.record_answer(run.conn, ctx.event, {ctx.activity.code: part}, candidates=ctx.candidates):
            raise Abandoned
