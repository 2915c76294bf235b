"""Preparing again what Redis lost, inside a placement's segment."""

from __future__ import annotations

import time
from collections.abc import Sequence

import redis
import structlog

from tactics import metrics
from tactics.choosing import Registry, choose, stored_chains
from tactics.domain.context import TacticsInstanceContext
from tactics.run import Run, Step, Template
from tactics.store import activities, events

log = structlog.get_logger()


def rebuild_prepared(registry: Registry, template: Template, run: Run, target: TacticsInstanceContext) -> None:
    """Prepare again what Redis lost, inside the placement's segment, for the event that prepared it last.

    The steps up to the one that saves, of the chain that prepares its channel code now, run in place; one that would
    hop is left out, and the notes say so.
    """
    instance = run.instance
    event = events.find(run.conn, instance.prepared_source or "", instance.prepared_event_id or "")
    if event is None:
        target.stop("not_prepared", "what prepared it is too long ago")
        return
    ctx = template.context_type(activity=target.activity, event=event, link="prepare", now=target.now)
    for step in _up_to_saving(registry, template, run, event.channel or ""):
        if step.isolated:
            target.notes.append(f"prepared again without {step.name}, which runs elsewhere")
            continue
        if step.applies(ctx):
            _run_again(step, ctx, run)
        if ctx.stopped:
            target.stop("not_prepared", ctx.text)
            return
    metrics.FALLBACKS.count("prepared_rebuilt")
    target.notes.extend(ctx.notes)
    target.refill(ctx.prepared_data())


def _up_to_saving(registry: Registry, template: Template, run: Run, channel_code: str) -> Sequence[Step]:
    """Give the steps that are repeated: none, where the chain saves nothing."""
    stored = stored_chains(run.runtime, run.conn, activities.revisions(run.conn))
    steps = choose(run.runtime, registry, stored, template, "prepare", channel_code).steps
    saving = [position for position, step in enumerate(steps) if step.saves]
    return steps[: saving[0] + 1] if saving else ()


def _run_again(step: Step, ctx: TacticsInstanceContext, run: Run) -> None:
    started = time.perf_counter()
    if not (step.saves and run.runtime.redis_breaker.tripped):
        try:
            step(ctx, run)
        except redis.RedisError as error:
            run.runtime.redis_breaker.trip()
            log.warning("rebuilt_not_saved", execution=str(run.execution.id), error=str(error))
    took_ms = round((time.perf_counter() - started) * 1000, 3)
    run.trace.append({"step": f"load_prepared > {step.name}", "outcome": "ran", "ms": took_ms})
