"""Finish: close the execution with its outcome, in the transaction of everything that it did."""

from __future__ import annotations

from tactics.domain.context import GRANTED, PENDING, TacticsInstanceContext
from tactics.processor import processor
from tactics.run import Run
from tactics.segment import Abandoned, TwinWasFaster, encoded, not_shown
from tactics.settling import REFUSED_TEXT
from tactics.store import assets, events, executions, outside_grants, segments


@processor(needs=TacticsInstanceContext, always=True)
def finish_execution(ctx: TacticsInstanceContext, run: Run) -> None:
    """Write the outcome; of a placement also its part of the answer, unless the placement was given up meanwhile."""
    encoded(ctx)
    if ctx.outcome == PENDING and run.stored:
        _catch_up(ctx, run)
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


def _catch_up(ctx: TacticsInstanceContext, run: Run) -> None:
    """Answer what has become of the grant by now: it was reserved before a hop, and may have been settled meanwhile."""
    settled = outside_grants.of_execution(run.conn, ctx.user_id, run.execution.id)
    if settled is None or settled.open:
        return
    if settled.state == GRANTED:
        ctx.outcome, ctx.text = GRANTED, None
        ctx.assets = [one.to_json() for one in assets.of_grant(run.conn, ctx.user_id, settled.grant_id)]
        ctx.result = {**(ctx.result or {}), "outcome": GRANTED, "assets": ctx.assets}
    else:
        ctx.outcome, ctx.text, ctx.result = "error", REFUSED_TEXT, None
