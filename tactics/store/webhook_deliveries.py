"""Deliveries of notices to endpoints: which are due, who is at them, and what came of it.

An endpoint has its own queue in the table, from which a bounded number is taken at a time: one that is slow, dead or
switched off holds no other up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, case, func, select, tuple_, update

from tactics.store.statement import Statement
from tactics.store.tables import outbox, webhook_delivery, webhook_endpoint

DeliveryState = Literal["waiting", "delivered", "parked"]


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A delivery that was taken for another attempt."""

    endpoint_id: str
    outbox_id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as operators see it."""

    outbox_id: int
    endpoint_id: str
    topic: str
    key: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    parked_reason: str | None
    last_status: int | None
    last_text: str | None
    last_attempt_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """Deliveries that are still to come; the age of the oldest in seconds, 0 where nothing waits; and those parked."""

    count: int
    oldest_s: float
    parked: int


_OF = webhook_delivery.c
_MOST_COUNTED = 100_000
# The first of each endpoint, by an index: a large backlog is not made worse by being looked at.
_WAITING = Statement("""
    SELECT (SELECT count(*) FROM (
               SELECT FROM webhook_delivery JOIN webhook_endpoint ON endpoint_id = id AND enabled
               WHERE next_attempt_at IS NOT NULL LIMIT $1::int) AS waiting),
           coalesce((SELECT greatest(0, extract(epoch FROM clock_timestamp() - min(oldest.created_at)))::float8
            FROM webhook_endpoint CROSS JOIN LATERAL (
                SELECT created_at FROM webhook_delivery
                WHERE endpoint_id = id AND next_attempt_at IS NOT NULL ORDER BY outbox_id LIMIT 1
            ) AS oldest WHERE enabled), 0),
           (SELECT count(*) FROM (
               SELECT FROM webhook_delivery WHERE parked_reason IS NOT NULL LIMIT $1::int) AS parked)
""")
# What is under way counts against the most of its endpoint until its claim ends; one that failed last is only tried
# with one at a time.
_CLAIM = Statement("""
    WITH ready AS (
        SELECT id, CASE WHEN failures > 0 THEN 1 ELSE $1::int END AS most
        FROM webhook_endpoint
        WHERE enabled AND (resting_until IS NULL OR resting_until <= clock_timestamp())
            AND ($4::text IS NULL OR id = $4::text)
    ), free AS (
        SELECT id, greatest(0, most - (
            SELECT count(*) FROM webhook_delivery
            WHERE endpoint_id = ready.id AND claimed AND next_attempt_at > clock_timestamp()
        )) AS places
        FROM ready
    ), due AS MATERIALIZED (
        SELECT taken.* FROM free CROSS JOIN LATERAL (
            SELECT outbox_id, endpoint_id FROM webhook_delivery
            WHERE endpoint_id = free.id AND next_attempt_at <= clock_timestamp()
            ORDER BY next_attempt_at, outbox_id
            LIMIT free.places
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS taken
    )
    UPDATE webhook_delivery AS mine
    SET attempts = attempts + 1, claimed = true, next_attempt_at = clock_timestamp() + make_interval(secs => $2::float8),
        try_until = coalesce(try_until, clock_timestamp() + make_interval(secs => $3::float8))
    FROM due
    WHERE mine.endpoint_id = due.endpoint_id AND mine.outbox_id = due.outbox_id
    RETURNING mine.endpoint_id, mine.outbox_id, mine.attempts
""")

# From one endpoint's first delivery to the next one's, by an index: what waits is not gone through.
_ORPHANS = Statement("""
    WITH RECURSIVE seen AS (
        SELECT min(endpoint_id) AS id FROM webhook_delivery
        UNION ALL
        SELECT (SELECT min(endpoint_id) FROM webhook_delivery WHERE endpoint_id > seen.id) FROM seen
        WHERE seen.id IS NOT NULL
    ), gone AS MATERIALIZED (
        SELECT outbox_id, endpoint_id FROM webhook_delivery
        WHERE endpoint_id IN (SELECT seen.id FROM seen LEFT JOIN webhook_endpoint USING (id)
                              WHERE webhook_endpoint.id IS NULL)
        LIMIT $1::int
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM webhook_delivery AS mine USING gone
    WHERE mine.endpoint_id = gone.endpoint_id AND mine.outbox_id = gone.outbox_id
    RETURNING mine.outbox_id
""")


def claim_due(
    conn: Connection, *, most: int, claim_s: float, keep_trying_s: float, endpoint_id: str | None = None
) -> list[DeliveryClaim]:
    """Take deliveries whose time has come, of each endpoint that may be called; the caller commits, then publishes.

    Args:
        conn: a transaction.
        most: how many of an endpoint may be under way.
        claim_s: for so long they are the caller's.
        keep_trying_s: so long after its first attempt a delivery is tried.
        endpoint_id: of this endpoint alone.
    """
    return [DeliveryClaim(*row) for row in _CLAIM.all(conn, most, claim_s, keep_trying_s, endpoint_id)]


def still_ours(conn: Connection, claims: Sequence[DeliveryClaim]) -> list[DeliveryClaim]:
    """Give those of the claims that nobody took over or settled meanwhile."""
    current = select(_OF.endpoint_id, _OF.outbox_id, _OF.attempts).where(_these(claims)).order_by(_OF.outbox_id)
    return [DeliveryClaim(*row) for row in conn.execute(current)]


def release(conn: Connection, claims: Sequence[DeliveryClaim]) -> None:
    """Give back what was not tried: it is due again at once."""
    if claims:
        values = {"claimed": False, "next_attempt_at": func.clock_timestamp()}
        conn.execute(update(webhook_delivery).where(_these(claims)).values(values))


def settle(conn: Connection, claim: DeliveryClaim, status: int, text: str) -> None:
    """Record that a notice has arrived, whichever attempt it was by."""
    mine = and_(_OF.endpoint_id == claim.endpoint_id, _OF.outbox_id == claim.outbox_id, _OF.delivered_at.is_(None))
    conn.execute(
        update(webhook_delivery)
        .where(mine)
        .values(
            delivered_at=func.clock_timestamp(),
            next_attempt_at=None,
            parked_reason=None,
            claimed=False,
            last_status=status,
            last_text=text,
            last_attempt_at=func.clock_timestamp(),
        )
    )


def fail(
    conn: Connection, claim: DeliveryClaim, status: int | None, text: str, *, wait_s: float, last: bool = False
) -> bool | None:
    """Record that an attempt failed; the delivery is due again, or parked when its time is over.

    Args:
        conn: a transaction.
        claim: the attempt.
        status: of the answer; None: there was none.
        text: what happened, for operators.
        wait_s: seconds until the next attempt.
        last: nothing will help.

    Returns:
        Whether it is parked; None where this attempt was not the current one any more.
    """
    over = _OF.try_until <= func.clock_timestamp() if not last else _OF.attempts >= 0
    later = func.clock_timestamp() + timedelta(seconds=wait_s)
    statement = (
        update(webhook_delivery)
        .where(_these([claim]))
        .values(
            claimed=False,
            next_attempt_at=case((over, None), else_=later),
            parked_reason=case((over, text), else_=None),
            last_status=status,
            last_text=text,
            last_attempt_at=func.clock_timestamp(),
        )
        .returning(_OF.parked_reason)
    )
    row = conn.execute(statement).one_or_none()
    return None if row is None else row.parked_reason is not None


def delete_orphans(conn: Connection, most: int) -> int:
    """Delete deliveries, at most so many, that were made for an endpoint at the moment in which it was removed.

    Returns:
        How many.
    """
    return len(_ORPHANS.all(conn, most))


def retry(conn: Connection, endpoint_id: str, ids: Sequence[int] | None) -> int:
    """Let what was parked be tried again from now, for as long as at first; what waits, at once.

    Args:
        conn: a transaction.
        endpoint_id: whose.
        ids: which; None: all that is parked.

    Returns:
        How many.
    """
    parked = _OF.parked_reason.is_not(None)
    waiting = and_(_OF.next_attempt_at.is_not(None), ~_OF.claimed)
    which = parked if ids is None else and_(_OF.outbox_id.in_(ids), parked | waiting)
    again = (
        update(webhook_delivery)
        .where(_OF.endpoint_id == endpoint_id, which)
        .values(next_attempt_at=func.clock_timestamp(), parked_reason=None, try_until=None)
    )
    count = len(conn.execute(again.returning(_OF.outbox_id)).all())
    if count:
        own = update(webhook_endpoint).where(webhook_endpoint.c.id == endpoint_id)
        conn.execute(own.values(resting_until=None))
    return count


def listing(
    conn: Connection, endpoint_id: str, *, state: DeliveryState | None = None, before: int | None = None, limit: int
) -> list[DeliveryRow]:
    """Give deliveries to an endpoint, the newest first; `before` is the outbox id of the last one that was seen."""
    states = {
        "waiting": _OF.next_attempt_at.is_not(None),
        "delivered": _OF.delivered_at.is_not(None),
        "parked": _OF.parked_reason.is_not(None),
    }
    shown = case(*((condition, name) for name, condition in states.items()))
    own = {"topic": outbox.c.topic, "key": outbox.c.key, "state": shown}
    columns: list[ColumnElement[Any]] = [own[name] if name in own else _OF[name] for name in DeliveryRow.__slots__]
    query = select(*columns).join(outbox, outbox.c.id == _OF.outbox_id).where(_OF.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(states[state])
    if before is not None:
        query = query.where(_OF.outbox_id < before)
    return [DeliveryRow(*row) for row in conn.execute(query.order_by(_OF.outbox_id.desc()).limit(limit))]


def counts(conn: Connection) -> dict[str, dict[str, int]]:
    """Count what waits and what is parked, by endpoint."""
    query = (
        select(
            _OF.endpoint_id,
            func.count().filter(_OF.next_attempt_at.is_not(None)).label("waiting"),
            func.count().filter(_OF.parked_reason.is_not(None)).label("parked"),
        )
        .where(_OF.next_attempt_at.is_not(None) | _OF.parked_reason.is_not(None))
        .group_by(_OF.endpoint_id)
    )
    return {row.endpoint_id: {"waiting": row.waiting, "parked": row.parked} for row in conn.execute(query)}


def waiting(conn: Connection) -> Waiting:
    """Give what waits for endpoints that are enabled, and what was given up on."""
    return Waiting(*_WAITING.one(conn, _MOST_COUNTED))


def _these(claims: Sequence[DeliveryClaim]) -> ColumnElement[bool]:
    keys = [(one.endpoint_id, one.outbox_id, one.attempt) for one in claims]
    return and_(tuple_(_OF.endpoint_id, _OF.outbox_id, _OF.attempts).in_(keys), _OF.next_attempt_at.is_not(None))
