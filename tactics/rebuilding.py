"""Preparing again what Redis lost, inside a placement's segment."""

from __future__ import annotations

import redis
import structlog

from tactics.domain.context import TacticsInstanceContext
from tactics.run import Run, Template
from tactics.store import events

log = structlog.get_logger()


def rebuild_prepared(template: Template, run: Run, target: TacticsInstanceContext) -> None:
    """Prepare again what Redis lost, inside the placement's segment, for the event that prepared it last.

    The preparation steps up to the one that saves run in place; one that would hop is left out, and the notes say so.
    """
    instance = run.instance
    event = events.find(run.conn, instance.prepared_source or "", instance.prepared_event_id or "")
    if event is None:
        target.stop("not_prepared", "what prepared it is too long ago")
        return
    ctx = template.context_type(activity=target.activity, event=event, link="prepare", now=target.now)
    for step in template.chain("prepare", event.channel or ""):
        if step.isolated:
            target.notes.append(f"prepared again without {step.name}, which runs elsewhere")
            continue
        if step.applies(ctx):
            try:
                step(ctx, run)
            except redis.RedisError as error:
                log.warning("rebuilt_not_saved", execution=str(run.execution.id), error=str(error))
            run.trace.append({"step": f"load_prepared > {step.name}", "outcome": "ran", "ms": 0.0})
        if step.saves or ctx.stopped:
            break
    target.refill(ctx.prepared_data())
