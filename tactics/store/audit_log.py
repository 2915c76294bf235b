"""The audit log: who changed what, before and after. The database's triggers write it, whoever makes the change.

Rows are never changed or deleted: the database refuses. Months that nobody needs any more go as whole partitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, literal, select, text, tuple_
from sqlalchemy.types import BigInteger, DateTime

from tactics.store.tables import audit_log

_ACT_AS = text("SELECT set_config('tactics.actor', :actor, true), set_config('tactics.request_id', :request_id, true)")
_ACTOR = text("SELECT tactics_actor(), nullif(current_setting('tactics.request_id', true), '')")
_COLUMNS = [
    audit_log.c[name] for name in ("id", "at", "actor", "request_id", "action", "kind", "subject", "before", "after")
]

Place = tuple[datetime, int]
"""Where a page of the log begins: time and id of the entry before it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: `subject` names what was changed among others of its `kind`, `*` where they are many."""

    id: int
    at: datetime
    actor: str
    request_id: str | None
    action: str
    kind: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def act_as(conn: Connection, actor: str, request_id: str | None = None) -> None:
    """Say who makes the changes of this transaction, and by which request."""
    conn.execute(_ACT_AS, {"actor": actor, "request_id": request_id or ""})


def add(
    conn: Connection,
    *,
    action: str,
    kind: str,
    subject: str = "*",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Tell of a change that no trigger can tell of, in the name of whoever this transaction acts for."""
    actor, request_id = conn.execute(_ACTOR).one()
    row = {"actor": actor, "request_id": request_id, "action": action, "kind": kind, "subject": subject}
    conn.execute(insert(audit_log).values({**row, "before": before, "after": after}))


def listing(
    conn: Connection,
    *,
    kind: str | None = None,
    subject: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: Place | None = None,
    limit: int,
) -> list[Entry]:
    """Give entries of the log, the newest first.

    Args:
        conn: any connection.
        kind: only of this kind of thing.
        subject: only about this one.
        actor: only what they changed.
        since: only from this time on.
        until: only before this time.
        after: only what comes after this place, so that it is older.
        limit: at most so many.
    """
    query = select(*_COLUMNS).order_by(audit_log.c.at.desc(), audit_log.c.id.desc()).limit(limit)
    for column, value in ((audit_log.c.kind, kind), (audit_log.c.subject, subject), (audit_log.c.actor, actor)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(audit_log.c.at >= since)
    if until is not None:
        query = query.where(audit_log.c.at < until)
    if after is not None:
        place = tuple_(literal(after[0], DateTime(timezone=True)), literal(after[1], BigInteger))
        query = query.where(tuple_(audit_log.c.at, audit_log.c.id) < place)
    return [Entry(*row) for row in conn.execute(query)]
