"""Instances: one row for an activity and a user; its lock serialises everything that writes for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

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
_BUMP = (
    insert(instance)
    .values(user_id=bindparam("user"), activity_code=bindparam("activity"), epoch=1)
    .on_conflict_do_update(
        index_elements=[instance.c.user_id, instance.c.activity_code], set_={"epoch": instance.c.epoch + 1}
    )
    .returning(*_STATE)
)
_WAIT = text("SELECT set_config('lock_timeout', :wait, true)")
_READ = select(*_STATE).where(*_KEY)
_LOCK = _READ.with_for_update(key_share=True)
_ENSURE = (
    insert(instance)
    .values(user_id=bindparam("user"), activity_code=bindparam("activity"), epoch=0)
    .on_conflict_do_nothing()
)
_PREPARED = (
    update(instance)
    .where(*_KEY)
    .values(
        prepared_epoch=bindparam("new_epoch"),
        prepared_source=bindparam("source"),
        prepared_event_id=bindparam("event"),
        prepared_at=bindparam("at"),
    )
)


class StillLocked(Exception):  # an outcome, not an error
    """Another transaction kept the row for longer than this one may wait."""


def wait_at_most(conn: Connection, wait_ms: int) -> None:
    """Let this transaction wait so many milliseconds for any lock, and no longer."""
    conn.execute(_WAIT, {"wait": f"{max(wait_ms, 1)}ms"})


def open_epoch(conn: Connection, user_id: str, activity_code: str) -> InstanceRow:
    """Insert the row if missing, lock it until the end of the transaction, and begin a new epoch.

    Everything that an older epoch still wants to write is then refused.

    Raises:
        StillLocked: another transaction kept it for longer than `wait_at_most` allows.
    """
    try:
        row = conn.execute(_BUMP, {"user": user_id, "activity": activity_code}).one()
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


def read(conn: Connection, user_id: str, activity_code: str) -> InstanceRow | None:
    """Read the row without a lock."""
    row = conn.execute(_READ, {"user": user_id, "activity": activity_code}).one_or_none()
    return InstanceRow(*row) if row else None


def set_prepared(
    conn: Connection, user_id: str, activity_code: str, *, epoch: int, source: str, event_id: str, at: datetime
) -> None:
    """Record which event prepared the instance, under which epoch; prepared data of any other reads as missing."""
    key = {"user": user_id, "activity": activity_code}
    conn.execute(_PREPARED, {**key, "new_epoch": epoch, "source": source, "event": event_id, "at": at})
