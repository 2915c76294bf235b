"""Executions: one run of one instance's chain for one event. The history of attempts is kept with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Row, and_, bindparam, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from tactics import metrics
from tactics.store import outbox
from tactics.store.horizon import next_claim_at
from tactics.store.statement import Statement
from tactics.store.tables import event, execution

BUSY = "busy"
"""The reason of an execution that waits for its instance: no failure, so it is not what an execution is parked for."""


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """An execution as stored.

    `step` names the next one (None: the first), `attempts` the only attempt that may run; `waits` of them met a busy
    instance. `chain_id` is the version of a stored chain (None: the chain in code).
    """

    id: UUID
    user_id: str
    activity_code: str
    activity_version: int
    link: str
    channel_code: str
    event_source: str
    event_id: str
    best_only: bool
    locked: bool
    attempts: int
    business_at: datetime
    step: str | None = None
    epoch: int | None = None
    outcome: str | None = None
    context: dict[str, Any] | None = None
    trace: list[dict[str, Any]] | None = None
    finished_at: datetime | None = None
    waits: int = 0
    chain_id: int | None = None

    def new(self) -> dict[str, Any]:
        """Give what is inserted of an execution that has not begun."""
        return {name: getattr(self, name) for name in _NEW}


@dataclass(frozen=True, slots=True)
class Claim:
    """An execution that was taken for another attempt."""

    id: UUID
    attempt: int


_NEW = (
    "id",
    "user_id",
    "activity_code",
    "activity_version",
    "link",
    "channel_code",
    "event_source",
    "event_id",
    "best_only",
    "locked",
    "attempts",
    "business_at",
    "chain_id",
)
_COLUMNS = [execution.c[name] for name in ExecutionRow.__slots__]
_PARKED = (execution.c.id, execution.c.user_id, execution.c.activity_code, execution.c.link)
_BY_ID = select(*_COLUMNS).where(execution.c.id == bindparam("execution"))
_LOCK = (
    select(*_COLUMNS)
    .where(execution.c.user_id == bindparam("user"), execution.c.id == bindparam("execution"))
    .with_for_update(key_share=True)
)
_OF_EVENT = select(*_COLUMNS).where(
    execution.c.user_id == bindparam("user"),
    execution.c.event_source == bindparam("source"),
    execution.c.event_id == bindparam("event"),
)
# In one order, always: two batches that insert the same executions wait for each other, and never both.
_ADD_DUE = Statement("""
    INSERT INTO execution (
        id, user_id, activity_code, activity_version, link, channel_code, event_source, event_id, best_only, locked,
        attempts, business_at, chain_id, next_attempt_at)
    SELECT given.*, clock_timestamp() + $14::interval
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::boolean[],
        $10::boolean[], $11::int[], $12::timestamptz[], $13::bigint[]
    ) AS given (
        id, user_id, activity_code, activity_version, link, channel_code, event_source, event_id, best_only, locked,
        attempts, business_at, chain_id)
    ORDER BY given.user_id, given.event_source, given.event_id, given.activity_code
    ON CONFLICT DO NOTHING
    RETURNING id
""")
_ADD_FINISHED = (
    insert(execution).values(finished_at=func.clock_timestamp()).on_conflict_do_nothing().returning(execution.c.id)
)
# Locked after the execution, as segments do it.
_OWNER = (
    select(event.c.user_id)
    .where(event.c.source == bindparam("source"), event.c.id == bindparam("event"))
    .with_for_update(key_share=True)
)
# A segment says of itself, when it commits: the attempt it ran for, beside the attempt that was current then.
_FINISH = Statement("""
    UPDATE execution
    SET segments = segments || $3::int, segment_attempts = segment_attempts || attempts, epoch = $4::bigint,
        outcome = $5::text, reason = $6::text, trace = $7::jsonb, assets_unknown = $8::boolean,
        finished_at = clock_timestamp(), next_attempt_at = NULL, context = NULL
    WHERE user_id = $1::text AND id = $2::uuid
""")


def find(conn: Connection, execution_id: UUID) -> ExecutionRow | None:
    """Find an execution by its id alone, without a lock."""
    row = conn.execute(_BY_ID, {"execution": execution_id}).one_or_none()
    return ExecutionRow(*row) if row else None


def lock(conn: Connection, user_id: str, execution_id: UUID) -> ExecutionRow | None:
    """Lock an execution and read it."""
    row = conn.execute(_LOCK, {"user": user_id, "execution": execution_id}).one_or_none()
    return ExecutionRow(*row) if row else None


def of_event(conn: Connection, user_id: str, source: str, event_id: str) -> list[ExecutionRow]:
    """Give the executions of an event."""
    rows = conn.execute(_OF_EVENT, {"user": user_id, "source": source, "event": event_id})
    return [ExecutionRow(*row) for row in rows]


def add_new(conn: Connection, rows: Sequence[dict[str, Any]], claim_s: float) -> set[UUID]:
    """Insert executions, due for the sweeper after `claim_s` seconds; one an (event, instance) that exists is left out.

    Returns:
        The ids that were inserted.
    """
    if not rows:
        return set()
    columns = [[row[name] for row in rows] for name in _NEW]
    return {row[0] for row in _ADD_DUE.all(conn, *columns, timedelta(seconds=claim_s))}


def add_finished(conn: Connection, row: dict[str, Any]) -> bool:
    """Insert an execution that began and ends in one segment.

    Returns:
        False when this event has an execution for this instance already: a twin was faster; or when the event is not the
        user's any more, who was erased meanwhile.
    """
    history = {"segments": [row["attempts"]], "segment_attempts": [row["attempts"]]}
    if conn.execute(_ADD_FINISHED, {**row, **history}).one_or_none() is None:
        return False
    whose = conn.execute(_OWNER, {"source": row["event_source"], "event": row["event_id"]}).scalar_one_or_none()
    if whose is None or whose == row["user_id"]:
        return True
    conn.execute(delete(execution).where(execution.c.user_id == row["user_id"], execution.c.id == row["id"]))
    return False


def finish(
    conn: Connection,
    row: ExecutionRow,
    *,
    attempt: int,
    epoch: int | None,
    outcome: str,
    reason: str | None,
    trace: list[dict[str, Any]],
    assets_unknown: bool = False,
) -> None:
    """Close an execution with its outcome."""
    _FINISH.run(conn, row.user_id, row.id, attempt, epoch, outcome, reason, Jsonb(trace), assets_unknown)


def suspend(
    conn: Connection,
    row: ExecutionRow,
    *,
    attempt: int,
    epoch: int,
    step: str,
    context: dict[str, Any],
    trace: list[dict[str, Any]],
    claim_s: float,
) -> None:
    """Write where an execution goes on: the next step, and everything that it needs."""
    conn.execute(
        update(execution)
        .where(execution.c.user_id == row.user_id, execution.c.id == row.id)
        .values(
            {
                execution.c.segments: execution.c.segments.op("||")(literal(attempt)),
                execution.c.segment_attempts: execution.c.segment_attempts.op("||")(execution.c.attempts),
                execution.c.epoch: epoch,
                execution.c.step: step,
                execution.c.context: context,
                execution.c.trace: trace,
                execution.c.next_attempt_at: func.clock_timestamp() + timedelta(seconds=claim_s),
            }
        )
    )


def postpone(
    conn: Connection,
    row: ExecutionRow,
    *,
    attempt: int,
    wait_s: float,
    reason: str,
    trace: object = None,
    waits: bool = False,
) -> bool:
    """Let the sweeper try again after `wait_s` seconds, unless a later attempt has begun.

    Args:
        conn: an open transaction.
        row: the execution.
        attempt: which attempt this was.
        wait_s: seconds until the next one.
        reason: why, for people.
        trace: what the steps did, if any ran.
        waits: nothing could be tried, so the attempt does not count towards the last one.

    Returns:
        Whether this attempt was still the current one.
    """
    values: dict[str, Any] = {"next_attempt_at": func.clock_timestamp() + timedelta(seconds=wait_s), "reason": reason}
    if trace is not None:
        values["trace"] = trace
    if waits:
        values["waits"] = execution.c.waits + 1
    current = and_(execution.c.attempts == attempt, execution.c.finished_at.is_(None))
    statement = update(execution).where(execution.c.user_id == row.user_id, execution.c.id == row.id, current)
    return conn.execute(statement.values(values).returning(execution.c.id)).one_or_none() is not None


def restart(conn: Connection, row: ExecutionRow) -> None:
    """Let an execution begin again from its first step, as soon as the sweeper sees it."""
    conn.execute(
        update(execution)
        .where(execution.c.user_id == row.user_id, execution.c.id == row.id)
        .values(step=None, epoch=None, context=None, trace=None, next_attempt_at=func.clock_timestamp())
    )


def park(conn: Connection, row: ExecutionRow, *, attempt: int, reason: str) -> None:
    """Give up on an execution, with the reason; `tactics explain` shows it."""
    current = and_(execution.c.attempts == attempt, execution.c.finished_at.is_(None))
    parked = (
        update(execution)
        .where(execution.c.user_id == row.user_id, execution.c.id == row.id, current)
        .values(next_attempt_at=None, outcome="parked", reason=reason, finished_at=func.clock_timestamp())
        .returning(*_PARKED)
    )
    _tell_parked(conn, conn.execute(parked).all())


def _tell_parked(conn: Connection, rows: Sequence[Row[Any]]) -> None:
    notices = [
        (
            str(row.id),
            {
                "what": "execution",
                "execution_id": str(row.id),
                "activity": row.activity_code,
                "user_id": row.user_id,
                "link": row.link,
            },
        )
        for row in rows
    ]
    outbox.add_all(conn, "tactics.parked", notices)


def claim_due(conn: Connection, *, limit: int, claim_s: float, max_attempts: int) -> list[Claim]:
    """Take executions whose time has come for another attempt.

    Those past `max_attempts` are parked instead; attempts that only met a busy instance do not count. The caller
    commits, then publishes.
    """
    due = (
        select(execution.c.user_id, execution.c.id)
        .where(execution.c.next_attempt_at <= func.now(), execution.c.finished_at.is_(None))
        .order_by(execution.c.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    locked = conn.execute(due).all()
    if not locked:
        return []
    ids = [row.id for row in locked]
    users = sorted({row.user_id for row in locked})
    chosen = and_(execution.c.user_id.in_(users), execution.c.id.in_(ids))
    spent = execution.c.attempts - execution.c.waits >= max_attempts
    given_up = conn.execute(
        update(execution)
        .where(chosen, spent)
        .values(
            next_attempt_at=None,
            outcome="parked",
            reason=func.coalesce(
                execution.c.reason,
                func.concat("no attempt", literal(" at step ") + execution.c.step, " came to an end"),
            ),
            finished_at=func.clock_timestamp(),
        )
        .returning(*_PARKED)
    ).all()
    _tell_parked(conn, given_up)
    for row in given_up:
        metrics.PARKED.count("execution")
        metrics.execution_ended(row.link, row.activity_code, "parked")
    statement = (
        update(execution)
        .where(chosen, ~spent)
        .values(
            attempts=execution.c.attempts + 1,
            next_attempt_at=next_claim_at(execution.c.attempts, claim_s),
            reason=func.nullif(execution.c.reason, BUSY),
        )
        .returning(execution.c.id, execution.c.attempts)
    )
    return [Claim(*row) for row in conn.execute(statement)]


def unreconciled(conn: Connection, limit: int) -> list[ExecutionRow]:
    """Lock finished executions whose answer was given without knowing the assets, oldest first."""
    tagged = and_(execution.c.assets_unknown, execution.c.reconciled_at.is_(None), execution.c.finished_at.is_not(None))
    query = select(*_COLUMNS).where(tagged).order_by(execution.c.finished_at).limit(limit)
    return [ExecutionRow(*row) for row in conn.execute(query.with_for_update(skip_locked=True))]


def set_reconciled(conn: Connection, row: ExecutionRow) -> None:
    """Record that a tagged execution was looked at."""
    conn.execute(
        update(execution)
        .where(execution.c.user_id == row.user_id, execution.c.id == row.id)
        .values(reconciled_at=func.clock_timestamp())
    )
