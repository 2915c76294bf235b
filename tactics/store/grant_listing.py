"""Pages of grants, the newest first, by any of activity, user, state, provider and time; each is read along an index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, and_, bindparam, exists, func, or_, select, tuple_

from tactics.store.tables import grant_record, outside_grant


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which grants; None is any. `begin` belongs to the span of time, `end` does not. `states` matters without `state`."""

    activity_code: str | None = None
    user_id: str | None = None
    state: str | None = None
    begin: datetime | None = None
    end: datetime | None = None
    provider: str | None = None
    states: tuple[str, ...] | None = None


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
    return [dict(row) for row in conn.execute(_newest(select(grant_record), wanted, after, limit)).mappings()]


def places(
    conn: Connection, wanted: Wanted, *, after: tuple[datetime, UUID] | None = None, limit: int
) -> list[tuple[datetime, UUID]]:
    """Give where grants stand in the list, arguments as for `listing`: when each was made, and its id."""
    query = select(grant_record.c.created_at, grant_record.c.id)
    return [(row[0], row[1]) for row in conn.execute(_newest(query, wanted, after, limit))]


def count(conn: Connection, wanted: Wanted) -> int:
    """Count the grants that are wanted."""
    return int(conn.execute(_chosen(select(func.count()).select_from(grant_record), wanted)).scalar_one())


def _newest(query: Select[Any], wanted: Wanted, after: tuple[datetime, UUID] | None, limit: int) -> Select[Any]:
    mine = grant_record.c
    query = _chosen(query, wanted)
    if after is not None:
        query = query.where(tuple_(mine.created_at, mine.id) < tuple_(*after))
    return query.order_by(mine.created_at.desc(), mine.id.desc()).limit(limit)


def _chosen(query: Select[Any], wanted: Wanted) -> Select[Any]:
    mine, theirs = grant_record.c, outside_grant.c
    if wanted.activity_code is not None:
        query = query.where(mine.activity_code == wanted.activity_code)
    if wanted.user_id is not None:
        query = query.where(mine.user_id == wanted.user_id)
    states = wanted.states if wanted.state is None else (wanted.state,)
    if states is not None:
        # Written out: a statement planned for any value could not use the index of those that are not granted.
        query = query.where(
            or_(*[mine.state == bindparam(f"state_{one}", one, literal_execute=True) for one in states])
        )
    if wanted.provider is not None:
        same = and_(theirs.user_id == mine.user_id, theirs.grant_id == mine.id)
        query = query.where(exists().where(same, theirs.provider == wanted.provider))
    if wanted.begin is not None:
        query = query.where(mine.created_at >= wanted.begin)
    if wanted.end is not None:
        query = query.where(mine.created_at < wanted.end)
    return query
