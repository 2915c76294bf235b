"""Instances: one row for an activity and a user; its lock serialises everything that writes for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from tactics.store.statement import Statement
from tactics.store.tables import instance


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """What an instance remembers: its epoch, and which event last prepared it under which epoch."""

    epoch: int
    prepared_epoch: int | None
    prepared_source: str | None
    prepared_event_id: str | None
    prepared_at: datetime | None


_STATE = [
    instance.c.epoch,
    instance.c.prepared_epoch,
    instance.c.prepared_source,
    instance.c.prepared_event_id,
    instance.c.prepared_at,
]
_KEY = (instance.c.user_id == bindparam("user"), instance.c.activity_code == bindparam("activity"))
# `wait` comes first: how long this transaction waits for any lock is set before it waits for this one.
_BUMP = Statement("""
    WITH wait AS MATERIALIZED (SELECT $3::text IS NULL OR set_config('lock_timeout', $3, true) IS NOT NULL AS is_set)
    INSERT INTO instance (user_id, activity_code, epoch) SELECT $1::text, $2::text, 1 FROM wait WHERE is_set
    ON CONFLICT (user_id, activity_code) DO UPDATE SET epoch = instance.epoch + 1
    RETURNING epoch, prepared_epoch, prepared_source, prepared_event_id, prepared_at
""")
_READ = select(*_STATE).where(*_KEY)
_LOCK = _READ.with_for_update(key_share=True)
_ENSURE = (
    insert(instance)
    .values(user_id=bindparam("user"), activity_code=bindparam("activity"), epoch=0)
    .on_conflict_do_nothing()
)
_PREPARED_OF = Statement("""
    SELECT activity_code FROM instance WHERE user_id = $1::text AND prepared_event_id IS NOT NULL
""")
_PREPARED = Statement("""
    UPDATE instance
    SET prepared_epoch = $3::bigint, prepared_source = $4::text, prepared_event_id = $5::text,
        prepared_at = $6::timestamptz
    WHERE user_id = $1::text AND activity_code = $2::text
""")


class StillLocked(Exception):  # an outcome, not an error
    """Another transaction kept the row for longer than this one may wait."""


def open_epoch(conn: Connection, user_id: str, activity_code: str, *, wait_ms: int | None = None) -> InstanceRow:
    """Insert the row if missing, lock it until the end of the transaction, and begin a new epoch.

    Everything that an older epoch still wants to write is then refused.

    Args:
        conn: an open transaction, of which this is the first statement.
        user_id: of the instance.
        activity_code: of the instance.
        wait_ms: how long the transaction waits for any lock, this one or later ones; None: without end.

    Raises:
        StillLocked: another transaction kept it for longer than `wait_ms`.
    """
    wait = None if wait_ms is None else f"{max(wait_ms, 1)}ms"
    try:
        row = _BUMP.one(conn, user_id, activity_code, wait)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise StillLocked from error
        raise
    return InstanceRow(*row)


def lock(conn: Connection, user_id: str, activity_code: str) -> InstanceRow:
    """Lock the row (inserted if missing) under its current epoch."""
    key = {"user": user_id, "activity": activity_code}
    row = conn.execute(_LOCK, key).one_or_none()
    if row is None:
        conn.execute(_ENSURE, key)
        row = conn.execute(_LOCK, key).one()
    return InstanceRow(*row)


def lock_known(conn: Connection, user_id: str, activity_code: str) -> bool:
    """Lock the row under its current epoch, unless there is none; tells whether there is one."""
    return conn.execute(_LOCK, {"user": user_id, "activity": activity_code}).one_or_none() is not None


def read(conn: Connection, user_id: str, activity_code: str) -> InstanceRow | None:
    """Read the row without a lock."""
    row = conn.execute(_READ, {"user": user_id, "activity": activity_code}).one_or_none()
    return InstanceRow(*row) if row else None


def prepared_of(conn: Connection, user_id: str) -> list[str]:
    """Give the activities that an event has prepared for a user, ended ones too."""
    return [code for (code,) in _PREPARED_OF.all(conn, user_id)]


def set_prepared(
    conn: Connection, user_id: str, activity_code: str, *, epoch: int, source: str, event_id: str, at: datetime
) -> None:
    """Record which event prepared the instance, under which epoch; prepared data of any other reads as missing."""
    _PREPARED.run(conn, user_id, activity_code, epoch, source, event_id, at)
