"""Finish: close the execution with its outcome, in the transaction of everything that it did."""

from __future__ import annotations

from tactics.domain.context import TacticsInstanceContext
from tactics.processor import processor
from tactics.run import Run
from tactics.segment import Abandoned, TwinWasFaster, encoded, not_shown
from tactics.store import events, executions, segments


@processor(needs=TacticsInstanceContext, always=True)
def finish_execution(ctx: TacticsInstanceContext, run: Run) -> None:
    """Write the outcome; of a placement also its part of the answer, unless the placement was given up meanwhile."""
    encoded(ctx)
    outcome = ctx.outcome or "done"
    reason = ctx.text if ctx.stopped else None
    part = {ctx.activity.code: ctx.result or not_shown(ctx)}
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
        if run.execution.link == "grant" and not events.record_answer(run.conn, ctx.event, part):
            raise Abandoned
    else:
        closed = segments.close_placement(
            run.conn,
            run.execution,
            ctx.event,
            epoch=run.epoch,
            outcome=outcome,
            reason=reason,
            trace=run.trace,
            assets_unknown=ctx.assets_unknown,
            part=part,
            candidates=ctx.candidates,
        )
        if closed == "twin":
            raise TwinWasFaster
        if closed == "abandoned":
            raise Abandoned
