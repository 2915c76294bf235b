"""What a segment begins and ends with, each in one statement: they are most of what the database does for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from tactics.domain.event import Event
from tactics.store.executions import ExecutionRow
from tactics.store.instances import InstanceRow
from tactics.store.statement import Statement

Closed = Literal["closed", "twin", "abandoned"]

# The instance's row is locked first: the join needs it, and only what the join gives is locked then. An execution that
# changed while that was waited for is read again as it is by now.
_BEGIN = Statement(f"""
    WITH opened AS (
        INSERT INTO instance (user_id, activity_code, epoch) VALUES ($1::text, $2::text, 1)
        ON CONFLICT (user_id, activity_code) DO UPDATE SET epoch = instance.epoch + 1
        RETURNING epoch, prepared_epoch, prepared_source, prepared_event_id, prepared_at
    )
    SELECT opened.*, event.source, event.id, event.type, event.user_id, event.channel, event.data, event.at,
           {", ".join(f"execution.{name}" for name in ExecutionRow.__slots__)}
    FROM opened
    JOIN execution ON execution.user_id = $1 AND execution.id = $3::uuid
    LEFT JOIN event ON event.source = $4::text AND event.id = $5::text
    FOR NO KEY UPDATE OF execution
""")  # noqa: S608  # names of our own columns
_INSTANCE, _EVENT = len(InstanceRow.__slots__), len(Event.__slots__)

_CLOSE = Statement("""
    WITH ended AS (
        INSERT INTO execution (
            id, user_id, activity_code, activity_version, link, channel_code, event_source, event_id, best_only, locked,
            attempts, business_at, epoch, outcome, reason, trace, assets_unknown, segments, segment_attempts,
            finished_at, chain_id)
        VALUES (
            $1::uuid, $2::text, $3::text, $4::int, $5::text, $6::text, $7::text, $8::text, $9::boolean, $10::boolean,
            $11::int, $12::timestamptz, $13::bigint, $14::text, $15::text, $16::jsonb, $17::boolean, ARRAY[$11::int],
            ARRAY[$11::int], clock_timestamp(), $24::bigint)
        ON CONFLICT DO NOTHING
        RETURNING id
    ), answered AS (
        INSERT INTO event (source, id, type, user_id, channel, data, body_hash, at, routed_at, candidates, answer)
        SELECT $7, $8, $18::text, $2, $6, $19::jsonb, $20::text, $21::timestamptz, clock_timestamp(), $22::jsonb,
               $23::jsonb
        FROM ended
        ON CONFLICT (source, id) DO UPDATE SET answer = coalesce(event.answer, '{}') || excluded.answer
            WHERE event.abandoned_at IS NULL AND event.body_hash = excluded.body_hash
        RETURNING id
    )
    SELECT (SELECT count(*) FROM ended), (SELECT count(*) FROM answered)
""")

_STOP = Statement("""
    WITH ended AS (
        INSERT INTO execution (
            id, activity_code, activity_version, locked, chain_id, outcome, reason, trace, user_id, link, channel_code,
            event_source, event_id, best_only, attempts, business_at, finished_at)
        SELECT given.id, given.activity_code, given.activity_version, given.locked, given.chain_id, given.outcome,
               given.reason, given.trace::jsonb, $9::text, 'grant', $10::text, $11::text, $12::text, $13::boolean, 1,
               $14::timestamptz, clock_timestamp()
        FROM unnest($1::uuid[], $2::text[], $3::int[], $4::boolean[], $5::bigint[], $6::text[], $7::text[], $8::text[])
            AS given (id, activity_code, activity_version, locked, chain_id, outcome, reason, trace)
        ORDER BY given.activity_code
        ON CONFLICT DO NOTHING
        RETURNING id
    ), answered AS (
        INSERT INTO event (source, id, type, user_id, channel, data, body_hash, at, routed_at, candidates, answer)
        SELECT $11, $12, $15::text, $9, $10, $16::jsonb, $17::text, $18::timestamptz, clock_timestamp(), $19::jsonb,
               $20::jsonb
        WHERE (SELECT count(*) FROM ended) = cardinality($1)
        ON CONFLICT (source, id) DO UPDATE SET answer = coalesce(event.answer, '{}') || excluded.answer
            WHERE event.abandoned_at IS NULL AND event.body_hash = excluded.body_hash
        RETURNING id
    )
    SELECT (SELECT count(*) FROM ended), (SELECT count(*) FROM answered)
""")


@dataclass(frozen=True, slots=True)
class Stopped:
    """An execution that ended before a segment of it was opened, and its part of the placement's answer."""

    row: ExecutionRow
    outcome: str
    reason: str
    trace: list[dict[str, Any]]
    part: dict[str, Any]


def begin(conn: Connection, known: ExecutionRow) -> tuple[InstanceRow, ExecutionRow, Event | None] | None:
    """Open the first segment of a stored execution: begin its instance's next epoch, and lock the execution.

    Args:
        conn: the segment's transaction: this is its first statement.
        known: the execution as it was read or written before.

    Returns:
        The instance, locked, under its new epoch; the execution as it is by now; and its event, None when it is gone.
        None: there is no such execution; the caller rolls back.
    """
    names = (known.user_id, known.activity_code, known.id, known.event_source, known.event_id)
    row = _BEGIN.first(conn, *names)
    if row is None:
        return None
    event, execution = row[_INSTANCE : _INSTANCE + _EVENT], row[_INSTANCE + _EVENT :]
    return InstanceRow(*row[:_INSTANCE]), ExecutionRow(*execution), Event(*event) if event[0] is not None else None


def close_placement(
    conn: Connection,
    row: ExecutionRow,
    event: Event,
    *,
    epoch: int,
    outcome: str,
    reason: str | None,
    trace: list[dict[str, Any]],
    assets_unknown: bool,
    part: dict[str, Any],
    candidates: Sequence[str],
) -> Closed:
    """Insert the execution of a placement that began and ends in this segment, and add its part of the answer.

    Args:
        conn: the segment's transaction: this is its last statement.
        row: the execution as it began.
        event: the placement.
        epoch: of the segment.
        outcome: of the execution.
        reason: of the outcome, for people.
        trace: what the steps did.
        assets_unknown: whether the asset query failed.
        part: activity code → its part of the answer.
        candidates: the activities to be run for the placement, in order; kept from the first part on.

    Returns:
        `twin`: this event has an execution for this instance already. `abandoned`: the placement was given up
        meanwhile, or the row is another request's. The caller rolls back then.
    """
    ended, answered = _CLOSE.one(
        conn,
        row.id,
        row.user_id,
        row.activity_code,
        row.activity_version,
        row.link,
        row.channel_code,
        event.source,
        event.id,
        row.best_only,
        row.locked,
        row.attempts,
        row.business_at,
        epoch,
        outcome,
        reason,
        Jsonb(trace),
        assets_unknown,
        event.type,
        Jsonb(event.data),
        event.body_hash,
        event.at,
        Jsonb(list(candidates)),
        Jsonb(part),
        row.chain_id,
    )
    if not ended:
        return "twin"
    return "closed" if answered else "abandoned"


def close_stopped(conn: Connection, event: Event, stopped: Sequence[Stopped], candidates: Sequence[str]) -> Closed:
    """Insert the executions of a placement that no segment was opened for, and add their parts of the answer.

    Args:
        conn: an open transaction.
        event: the placement.
        stopped: at least one, all of this placement.
        candidates: as for `close_placement`.

    Returns:
        As `close_placement`: unless all are closed, the caller rolls back.
    """
    rows = [one.row for one in stopped]
    ended, answered = _STOP.one(
        conn,
        [row.id for row in rows],
        [row.activity_code for row in rows],
        [row.activity_version for row in rows],
        [row.locked for row in rows],
        [row.chain_id for row in rows],
        [one.outcome for one in stopped],
        [one.reason for one in stopped],
        [json.dumps(one.trace) for one in stopped],
        event.user_id,
        event.channel,
        event.source,
        event.id,
        rows[0].best_only,
        rows[0].business_at,
        event.type,
        Jsonb(event.data),
        event.body_hash,
        event.at,
        Jsonb(list(candidates)),
        Jsonb({one.row.activity_code: one.part for one in stopped}),
    )
    if ended != len(stopped):
        return "twin"
    return "closed" if answered else "abandoned"
