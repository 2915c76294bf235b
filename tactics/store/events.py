"""The inbox: an event is accepted when its row is committed, and done when it is routed (or answered, or parked)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    TableValuedAlias,
    and_,
    bindparam,
    column,
    extract,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Integer, Text
from sqlalchemy.types import TypeEngine as Type

from tactics import metrics
from tactics.domain.event import Event
from tactics.store import outbox
from tactics.store.horizon import next_claim_at
from tactics.store.statement import Statement
from tactics.store.tables import event

Ref = tuple[str, str, int]
"""Source, id and attempt: what a message carries."""

_COLUMNS = [event.c[name] for name in ("source", "id", "type", "user_id", "channel", "data", "at")]
_ONE = select(*_COLUMNS).where(event.c.source == bindparam("source"), event.c.id == bindparam("event"))
_STATE = select(
    event.c.body_hash, event.c.candidates, event.c.answer, event.c.abandoned_at, event.c.outcome, event.c.at
).where(event.c.source == bindparam("source"), event.c.id == bindparam("event"))


def _rows_of(**columns: type[Type[Any]] | Type[Any]) -> TableValuedAlias:
    """Give rows that come as one array a column, `name` as parameter `names`: one statement for any number of them."""
    arrays = [bindparam(f"{name}s", type_=ARRAY(kind)) for name, kind in columns.items()]
    kinds = [column(name, kind) for name, kind in columns.items()]
    return func.unnest(*arrays).table_valued(*kinds, name="given").render_derived()


_GIVEN = _rows_of(source=Text, id=Text)
_ATTEMPTS = _rows_of(source=Text, id=Text, attempt=Integer)
# One JSON document instead of an array for each column: a fifth of the driver's work.
_ACCEPT = Statement("""
    INSERT INTO event (source, id, type, user_id, channel, data, body_hash, at, next_attempt_at)
    SELECT source, id, type, user_id, channel, data, body_hash, at, clock_timestamp() + make_interval(secs => $2::float8)
    FROM json_to_recordset($1::json) AS given (
        source text, id text, type text, user_id text, channel text, data jsonb, body_hash text, at timestamptz
    )
    ON CONFLICT DO NOTHING
    RETURNING source, id
""")
_HASHES_OF = Statement("""
    SELECT event.source, event.id, event.body_hash
    FROM unnest($1::text[], $2::text[]) AS given (source, id)
    JOIN event ON event.source = given.source AND event.id = given.id
""")
_LOCK_UNROUTED = (
    select(*_COLUMNS)
    .join(_ATTEMPTS, and_(event.c.source == _ATTEMPTS.c.source, event.c.id == _ATTEMPTS.c.id))
    .where(event.c.attempts == _ATTEMPTS.c.attempt, event.c.routed_at.is_(None), event.c.parked_reason.is_(None))
    .order_by(event.c.source, event.c.id)
    .with_for_update(of=event, key_share=True, skip_locked=True)
)
_MARK_ROUTED = (
    update(event)
    .where(event.c.source == _GIVEN.c.source, event.c.id == _GIVEN.c.id)
    .values(routed_at=func.clock_timestamp(), next_attempt_at=None, outcome=bindparam("new_outcome"))
    .returning(event.c.type, extract("epoch", event.c.routed_at - event.c.received_at))
)

_BACKLOG = Statement("""
    SELECT count(*), clock_timestamp() FROM (
        SELECT 1 FROM event
        WHERE next_attempt_at IS NOT NULL AND routed_at IS NULL AND type <> 'asset'  -- these may wait for their asset
        LIMIT $1::bigint
    ) AS waiting
""")
_CONSUMED = Statement("""
    UPDATE event SET consumed_at = clock_timestamp() WHERE source = $1::text AND id = $2::text AND consumed_at IS NULL
""")
_PART = insert(event).values(routed_at=func.clock_timestamp())
_ANSWER = _PART.on_conflict_do_update(
    index_elements=[event.c.source, event.c.id],
    set_={
        "answer": func.coalesce(event.c.answer, func.jsonb_build_object()).op("||")(_PART.excluded.answer),
        "outcome": func.coalesce(_PART.excluded.outcome, event.c.outcome),
    },
    where=and_(event.c.abandoned_at.is_(None), event.c.body_hash == _PART.excluded.body_hash),
).returning(event.c.id)


def _row(one: Event, body_hash: str | None = None) -> dict[str, Any]:
    return {
        "source": one.source,
        "id": one.id,
        "type": one.type,
        "user_id": one.user_id,
        "channel": one.channel,
        "data": one.data,
        "body_hash": body_hash or one.body_hash,
        "at": one.at,
    }


def _event(row: Row[Any]) -> Event:
    return Event(row.source, row.id, row.type, row.user_id, row.channel, row.data, row.at)


def accept(conn: Connection, batch: Sequence[Event], claim_s: float) -> list[str]:
    """Insert events in one statement, due for the sweeper after `claim_s` seconds.

    Returns:
        For each event, in order: `accepted`, `duplicate` (same source, id and body) or `conflict` (another body).
    """
    if not batch:
        return []
    hashes = [one.body_hash for one in batch]
    first: dict[tuple[str, str], int] = {}
    for position, one in enumerate(batch):
        first.setdefault(one.key, position)
    # In one order, always: others may insert the same ones.
    rows = [_row(batch[first[key]], hashes[first[key]]) for key in sorted(first)]
    new = {(source, name) for source, name in _ACCEPT.all(conn, _encoded(rows), claim_s)}
    known = {key: hashes[position] for key, position in first.items()}
    if len(new) < len(first):
        sources, names = zip(*(key for key in first if key not in new), strict=True)
        found = _HASHES_OF.all(conn, list(sources), list(names))
        known.update({(source, name): body_hash for source, name, body_hash in found})
    statuses = []
    for one, body_hash in zip(batch, hashes, strict=True):
        if known[one.key] != body_hash:
            statuses.append("conflict")
        elif one.key in new:
            statuses.append("accepted")
            new.discard(one.key)
        else:
            statuses.append("duplicate")
    return statuses


def _encoded(rows: Sequence[dict[str, Any]]) -> str:
    try:
        return msgspec.json.encode(rows).decode()
    except OverflowError:  # a whole number that 64 bits do not hold
        return json.dumps(rows, default=datetime.isoformat)


def lock_unrouted(conn: Connection, refs: Sequence[Ref]) -> list[Event]:
    """Lock those of the events that are still to be routed by exactly this attempt; twins at work are passed over."""
    if not refs:
        return []
    sources, ids, attempts = zip(*refs, strict=True)
    wanted = {"sources": list(sources), "ids": list(ids), "attempts": list(attempts)}
    return [_event(row) for row in conn.execute(_LOCK_UNROUTED, wanted)]


def mark_routed(conn: Connection, keys: Sequence[tuple[str, str]], outcome: str) -> list[tuple[str, float]]:
    """Close events: everything that follows from them is in this transaction.

    Returns:
        The type of each, and how long it waited, in seconds.
    """
    if not keys:
        return []
    sources, ids = zip(*keys, strict=True)
    given = {"sources": list(sources), "ids": list(ids), "new_outcome": outcome}
    return [(kind, float(waited_s)) for kind, waited_s in conn.execute(_MARK_ROUTED, given)]


def add_behaviours(conn: Connection, batch: Sequence[Event], outcome: str) -> list[Event]:
    """Insert behaviour events that are routed in the same transaction; known ones are left out.

    Returns:
        The new ones.
    """
    if not batch:
        return []
    rows = [{**_row(one), "routed_at": func.clock_timestamp(), "outcome": outcome} for one in batch]
    statement = insert(event).values(rows).on_conflict_do_nothing().returning(event.c.source, event.c.id)
    new = {(row.source, row.id) for row in conn.execute(statement)}
    return [one for one in batch if one.key in new]


def behaviour_times(conn: Connection, user_id: str, channel: str, low: datetime, high: datetime) -> list[datetime]:
    """Give the times of a user's behaviour events of one rule, between `low` and `high`, both excluded."""
    query = select(event.c.at).where(
        event.c.user_id == user_id,
        event.c.type == "behaviour",
        event.c.channel == channel,
        event.c.at > low,
        event.c.at < high,
    )
    return list(conn.execute(query).scalars())


def find(conn: Connection, source: str, event_id: str) -> Event | None:
    """Read an event."""
    row = conn.execute(_ONE, {"source": source, "event": event_id}).one_or_none()
    return _event(row) if row else None


def state(conn: Connection, source: str, event_id: str) -> Row[*tuple[Any, ...]] | None:
    """Read what became of an event: body_hash, candidates, answer, abandoned_at, outcome, at."""
    return conn.execute(_STATE, {"source": source, "event": event_id}).one_or_none()


def mark_consumed(conn: Connection, source: str, event_id: str) -> None:
    """Record that an instance has consumed a behaviour event; the first time is kept."""
    _CONSUMED.run(conn, source, event_id)


def record_answer(
    conn: Connection, one: Event, part: dict[str, Any], *, candidates: Sequence[str] = (), outcome: str | None = None
) -> bool:
    """Add a part of a placement's answer to its event; the row is inserted if missing.

    Args:
        conn: the segment's transaction: this is its last statement.
        one: the placement event.
        part: activity code → its part of the answer.
        candidates: the activities to be run for it, in order; kept from the first part on.
        outcome: set when the whole is answered.

    Returns:
        False when the placement was abandoned meanwhile, or the row is another request's: the caller rolls back.
    """
    values = {**_row(one), "candidates": list(candidates), "answer": part, "outcome": outcome}
    return conn.execute(_ANSWER, values).one_or_none() is not None


def given_up(conn: Connection, one: Event, deadline_ms: int) -> bool:
    """Tell whether nobody waits for a placement's answer any more: abandoned, or older than its deadline."""
    passed = event.c.received_at + timedelta(milliseconds=deadline_ms) < func.clock_timestamp()
    query = select(or_(event.c.abandoned_at.is_not(None), passed))
    found = conn.execute(query.where(event.c.source == one.source, event.c.id == one.id)).scalar_one_or_none()
    return bool(found)


def lock_placement(conn: Connection, one: Event) -> Row[*tuple[Any, ...]] | None:
    """Read what became of a placement, as `state`, and hold it: nobody answers it or gives it up meanwhile."""
    return conn.execute(_STATE.with_for_update(), {"source": one.source, "event": one.id}).one_or_none()


def abandon_new(conn: Connection, one: Event) -> bool:
    """Store a placement of which nothing is stored as given up; tells whether nothing was."""
    now = func.clock_timestamp()
    row = {**_row(one), "abandoned_at": now, "routed_at": now, "outcome": "abandoned"}
    added = insert(event).values(row).on_conflict_do_nothing().returning(event.c.id)
    return conn.execute(added).one_or_none() is not None


def abandon(conn: Connection, one: Event) -> None:
    """Give a placement up that the caller has locked: what is not committed by now never will be."""
    when = func.coalesce(event.c.abandoned_at, func.clock_timestamp())
    mine = update(event).where(event.c.source == one.source, event.c.id == one.id)
    conn.execute(mine.values(abandoned_at=when, outcome="abandoned"))


def postpone(conn: Connection, refs: Sequence[Ref], wait_s: float, *, waits: bool = False) -> None:
    """Let the sweeper try these attempts again after `wait_s` seconds; those that wait for something do not count."""
    if refs:
        conn.execute(
            update(event)
            .where(tuple_(event.c.source, event.c.id, event.c.attempts).in_(list(refs)), event.c.routed_at.is_(None))
            .values(
                next_attempt_at=func.clock_timestamp() + timedelta(seconds=wait_s),
                waits=event.c.waits + (1 if waits else 0),
            )
        )


def park(conn: Connection, source: str, event_id: str, reason: str) -> None:
    """Give up on an event, with the reason."""
    _park(conn, and_(event.c.source == source, event.c.id == event_id, event.c.routed_at.is_(None)), reason)


def _park(conn: Connection, which: ColumnElement[bool], reason: str) -> None:
    parked = (
        update(event)
        .where(which)
        .values(parked_reason=reason, next_attempt_at=None, outcome="parked")
        .returning(event.c.source, event.c.id, event.c.user_id)
    )
    notices = [
        (name, {"what": "event", "event_source": source, "event_id": name, "user_id": user_id})
        for source, name, user_id in conn.execute(parked)
    ]
    outbox.add_all(conn, "tactics.parked", notices)


def backlog(conn: Connection, most: int) -> tuple[int, datetime]:
    """Count the events that are accepted and not routed yet, up to `most`; and tell the database's time."""
    count, now = _BACKLOG.one(conn, most)
    return int(count), now


def claim_due(conn: Connection, *, limit: int, claim_s: float, max_attempts: int) -> list[Ref]:
    """Take unrouted events whose time has come for another attempt; those past `max_attempts` are parked.

    The caller commits, then publishes.
    """
    due = (
        select(event.c.source, event.c.id, (event.c.attempts - event.c.waits).label("tries"))
        .where(event.c.next_attempt_at <= func.now(), event.c.routed_at.is_(None))
        .order_by(event.c.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = conn.execute(due).all()
    spent = [(row.source, row.id) for row in rows if row.tries >= max_attempts]
    again = [(row.source, row.id) for row in rows if row.tries < max_attempts]
    if spent:
        _park(conn, tuple_(event.c.source, event.c.id).in_(spent), "no attempt came to an end")
        metrics.PARKED.count("event", by=len(spent))
    if not again:
        return []
    statement = (
        update(event)
        .where(tuple_(event.c.source, event.c.id).in_(again))
        .values(attempts=event.c.attempts + 1, next_attempt_at=next_claim_at(event.c.attempts, claim_s))
        .returning(event.c.source, event.c.id, event.c.attempts)
    )
    return [(row.source, row.id, row.attempts) for row in conn.execute(statement)]
