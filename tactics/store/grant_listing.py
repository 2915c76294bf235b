"""Pages of grants, the newest first, by any of activity, user, state and time; each page is read along an index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, select, tuple_

from tactics.store.tables import grant_record


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which grants; None is any. `begin` belongs to the span of time, `end` does not."""

    activity_code: str | None = None
    user_id: str | None = None
    state: str | None = None
    begin: datetime | None = None
    end: datetime | None = None


def listing(
    conn: Connection, wanted: Wanted, *, after: tuple[datetime, UUID] | None = None, limit: int
) -> list[dict[str, Any]]:
    """Give grants, the newest first.

    Args:
        conn: any connection.
        wanted: which.
        after: `created_at` and id of the last one that was seen.
        limit: at most so many.
    """
    mine = grant_record.c
    query = select(grant_record)
    if wanted.activity_code is not None:
        query = query.where(mine.activity_code == wanted.activity_code)
    if wanted.user_id is not None:
        query = query.where(mine.user_id == wanted.user_id)
    if wanted.state is not None:
        # Written out: a statement planned for any value could not use the index of those that are not granted.
        query = query.where(mine.state == bindparam("state", wanted.state, literal_execute=True))
    if wanted.begin is not None:
        query = query.where(mine.created_at >= wanted.begin)
    if wanted.end is not None:
        query = query.where(mine.created_at < wanted.end)
    if after is not None:
        query = query.where(tuple_(mine.created_at, mine.id) < tuple_(*after))
    newest = query.order_by(mine.created_at.desc(), mine.id.desc()).limit(limit)
    return [dict(row) for row in conn.execute(newest).mappings()]
