"""Opening a segment: the lock, the epoch, and the check that this attempt is the one that may run.

Order: lease (with the prepared data, one Redis trip) → instance row, its epoch begun or checked → execution row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import redis
import structlog
from sqlalchemy import Connection

from tactics import metrics
from tactics.choosing import Registry, chain_of, template_of
from tactics.domain.activity import TacticsActivity
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.event import RETRY_SOURCE, Event
from tactics.rebuilding import rebuild_prepared
from tactics.run import Run, Step, Template
from tactics.runtime import Runtime
from tactics.segment import Segment, backoff_s, let_go, not_shown
from tactics.store import events, executions, instances, lease, prepared, segments
from tactics.store.db import give_back
from tactics.store.executions import ExecutionRow
from tactics.store.instances import InstanceRow
from tactics.store.lease import Lease

log = structlog.get_logger()


def take_lease(
    runtime: Runtime, row: ExecutionRow, attempt: int, twin: Lease | None = None
) -> tuple[int, Lease, bytes | None]:
    """Take the instance's lock and read its prepared data in one round trip.

    Without Redis the segment goes on without a lock: the row lock and the epoch protect what it writes.
    """
    if runtime.redis_breaker.tripped:
        metrics.FALLBACKS.count("no_redis")
        return lease.TAKEN, Lease("", ""), None
    key = lease.lease_key(row.activity_code, row.user_id) if row.locked else ""
    try:
        return lease.take(
            runtime.redis,
            key=key,
            prepared_key=prepared.prepared_key(row.activity_code, row.user_id),
            execution_id=row.id,
            attempt=attempt,
            expiry_ms=runtime.settings.lease_s * 1000,
            twin=twin,
        )
    except redis.RedisError as error:
        runtime.redis_breaker.trip()
        metrics.FALLBACKS.count("no_redis")
        log.warning("no_lease", execution=str(row.id), activity=row.activity_code, error=str(error))
        return lease.TAKEN, Lease("", ""), None


def open_stored(
    runtime: Runtime,
    registry: Registry,
    execution_id: UUID,
    attempt: int,
    step: str,
    known: ExecutionRow | None = None,
) -> Segment | None:
    """Open the segment that a message asks for.

    Args:
        runtime: database and Redis.
        registry: what this process can run.
        execution_id: which execution.
        attempt: which attempt of it; any but the current one is late.
        step: where it goes on.
        known: the execution as this process has just written it; it is read again under its lock.

    Returns:
        None when there is nothing to do: a stale attempt, an execution that ended, or one whose instance is busy (the
        sweeper tries that again).
    """
    row = known
    if row is None:
        with runtime.reading() as reading:
            row = executions.find(reading, execution_id)
    if row is None or not _current(row, attempt, step, runtime, registry):
        return None
    code, held, text = take_lease(runtime, row, attempt)
    if code != lease.TAKEN:
        metrics.LOCK_WAITS.count("lease")
        with runtime.engine.begin() as writing:
            # Longer and longer, so that an orphaned lock falls before the attempts are used up.
            wait_s = min(backoff_s(runtime, attempt), runtime.settings.lease_s)
            executions.postpone(writing, row, attempt=attempt, wait_s=wait_s, reason=executions.BUSY, waits=True)
        return None
    conn: Connection | None = None
    segment: Segment | None = None
    try:
        conn = runtime.engine.connect()
        segment = _begin_stored(runtime, registry, conn, row, attempt, step, held, text)
    finally:
        if segment is None:
            _leave(runtime, conn, held)
    return segment


def _leave(runtime: Runtime, conn: Connection | None, held: Lease) -> None:
    try:
        if conn is not None:
            give_back(conn)
    finally:
        let_go(runtime, held)


def _current(row: ExecutionRow, attempt: int, step: str, runtime: Runtime, registry: Registry) -> bool:
    """Tell whether this attempt at this step is the one that may run: any other is late, and says nothing."""
    if row.finished_at is not None or row.attempts != attempt:
        return False
    return row.step == step or (row.step is None and step == chain_of(runtime, registry, row)[0].name)


def _begin_stored(
    runtime: Runtime,
    registry: Registry,
    conn: Connection,
    row: ExecutionRow,
    attempt: int,
    step: str,
    held: Lease,
    text: bytes | None,
) -> Segment | None:
    activity = runtime.activity(row.activity_code, row.activity_version)
    template = template_of(registry, activity)
    begins = row.epoch is None
    opened = segments.begin(conn, row) if begins else _go_on(conn, row)
    if opened is None or not _current(opened[1], attempt, step, runtime, registry):
        return None
    instance, fresh, event = opened
    if event is None:  # retention took it; nobody can say any more what was to be done
        executions.park(conn, row, attempt=attempt, reason="its event is gone")
        conn.commit()
        metrics.PARKED.count("execution")
        metrics.execution_ended(row.link, row.activity_code, "parked")
        return None
    if row.link == "grant" and event.source != RETRY_SOURCE and events.given_up(conn, event, _longest_ms(runtime)):
        executions.finish(
            conn,
            fresh,
            attempt=attempt,
            epoch=fresh.epoch,
            outcome="abandoned",
            reason="the placement's deadline passed",
            trace=list(fresh.trace or []),
        )
        conn.commit()
        metrics.execution_ended(row.link, row.activity_code, "abandoned")
        return None
    ctx = _context(template, activity, event, fresh)
    steps = chain_of(runtime, registry, fresh)
    segment = make_segment(
        runtime, registry, template, steps, ctx, conn, fresh, attempt, instance, held, text, stored=True
    )
    if not begins and instance.epoch != fresh.epoch:
        _begin_anew(segment)
        return None
    return segment


def _longest_ms(runtime: Runtime) -> int:
    """Give how long anybody may have waited: who asked with a deadline of their own, and was not there to say it passed."""
    return max(runtime.settings.placement_deadline_ms, runtime.settings.placement_deadline_max_ms)


def _go_on(conn: Connection, row: ExecutionRow) -> tuple[InstanceRow, ExecutionRow, Event | None] | None:
    """Lock what a later segment of an execution goes on with, under the instance's epoch as it is."""
    instance = instances.lock(conn, row.user_id, row.activity_code)
    fresh = executions.lock(conn, row.user_id, row.id)
    return None if fresh is None else (instance, fresh, events.find(conn, row.event_source, row.event_id))


def _context(template: Template, activity: TacticsActivity, event: Event, row: ExecutionRow) -> TacticsInstanceContext:
    """Take the context up where a hop left it, or make a new one: an execution keeps the business time it began with."""
    if row.context is not None:
        return template.context_type.from_json(row.context, activity=activity, event=event)
    if row.link == "grant":  # an operator's retry
        return placement_context(template.context_type, activity, event, row.business_at, best_only=row.best_only)
    return template.context_type(activity=activity, event=event, link="prepare", now=row.business_at)


def placement_context(
    kind: type[TacticsInstanceContext], activity: TacticsActivity, event: Event, now: datetime, *, best_only: bool
) -> TacticsInstanceContext:
    """Give the context that a stored placement begins with, of one activity: it asks what it asked then."""
    return kind(
        activity=activity,
        event=event,
        link="grant",
        now=now,
        language=event.data.get("language", "en"),
        placement=event.data.get("placement"),
        scene=event.data.get("scene"),
        order=event.data.get("order"),
        best_only=best_only,
        candidates=[activity.code],
    )


def _begin_anew(segment: Segment) -> None:
    """Answer a newer epoch: a preparation starts over under a new one, a placement is superseded."""
    run, ctx = segment.run, segment.ctx
    if run.execution.link == "prepare":
        executions.restart(run.conn, run.execution)
    else:
        ctx.outcome = "superseded"
        executions.finish(
            run.conn,
            run.execution,
            attempt=run.attempt,
            epoch=run.execution.epoch,
            outcome="superseded",
            reason="a newer execution of this instance began",
            trace=run.trace,
        )
        events.record_answer(run.conn, ctx.event, {ctx.activity.code: not_shown(ctx)})
    run.conn.commit()
    if ctx.outcome == "superseded":
        metrics.execution_ended(run.execution.link, ctx.activity.code, ctx.outcome)


def open_placement(
    runtime: Runtime,
    registry: Registry,
    template: Template,
    steps: Sequence[Step],
    ctx: TacticsInstanceContext,
    row: ExecutionRow,
    *,
    wait_ms: int,
    twin: Lease | None = None,
) -> tuple[int, Segment | None]:
    """Open the segment of a placement's execution, which is not stored yet.

    Args:
        runtime: database and Redis.
        registry: what this process can run.
        template: of the activity.
        steps: the chain that was chosen; `row` names it.
        ctx: what the steps work on.
        row: the execution, as it will be stored.
        wait_ms: how long any lock may be waited for: somebody waits for the answer.
        twin: the mark of the placement, if it has a key.

    Returns:
        lease.TAKEN and the segment; or lease.BUSY or lease.TWIN and None.
    """
    code, held, text = take_lease(runtime, row, row.attempts, twin)
    if code != lease.TAKEN:
        if code == lease.BUSY:
            metrics.LOCK_WAITS.count("lease")
        return code, None
    conn: Connection | None = None
    try:
        conn = runtime.engine.connect()
        instance = instances.open_epoch(conn, row.user_id, row.activity_code, wait_ms=wait_ms)
    except instances.StillLocked:
        _leave(runtime, conn, held)
        metrics.LOCK_WAITS.count("instance")
        return lease.BUSY, None
    except BaseException:
        _leave(runtime, conn, held)
        raise
    segment = make_segment(
        runtime, registry, template, steps, ctx, conn, row, row.attempts, instance, held, text, stored=False
    )
    return code, segment


def make_segment(
    runtime: Runtime,
    registry: Registry,
    template: Template,
    steps: Sequence[Step],
    ctx: TacticsInstanceContext,
    conn: Connection,
    row: ExecutionRow,
    attempt: int,
    instance: InstanceRow,
    held: Lease,
    text: bytes | None,
    *,
    stored: bool,
) -> Segment:
    """Put a segment together from what was locked and read."""

    def rebuild(target: TacticsInstanceContext) -> None:
        rebuild_prepared(registry, template, run, target)

    run = Run(
        runtime=runtime,
        conn=conn,
        execution=row,
        attempt=attempt,
        epoch=instance.epoch,
        instance=instance,
        prepared_text=text,
        rebuild=rebuild,
        stored=stored,
        trace=list(row.trace or []),
    )
    return Segment(template, steps, ctx, run, held)
