"""What decides whether a grant can be tried once more, and what operators' changes of a grant write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, update

from tactics.store.outside_grants import OutsideGrant
from tactics.store.tables import OPEN_STATES, benefit, benefit_code, grant_record, limit_counter, outside_grant


@dataclass(frozen=True, slots=True)
class Given:
    """What a user has had of an activity: how many grants, refused ones aside, and which of them is open."""

    count: int
    open_id: UUID | None


def given_to(conn: Connection, user_id: str, activity_code: str) -> Given:
    """Count a user's grants of an activity, as granting does."""
    mine = grant_record.c
    open_ids = func.array_agg(mine.id).filter(mine.state.in_(OPEN_STATES))
    query = select(func.count().filter(mine.state != "refused"), open_ids)
    count, found = conn.execute(query.where(mine.user_id == user_id, mine.activity_code == activity_code)).one()
    return Given(count, found[0] if found else None)


def used(conn: Connection, activity_code: str, day: date) -> Mapping[str, int]:
    """Give what the counters of the day and of the budget say; one that has never counted is missing."""
    mine = limit_counter.c
    query = select(mine.scope, mine.used).where(
        mine.activity_code == activity_code, mine.scope.in_(("day", "budget")), mine.period.in_((str(day), ""))
    )
    return {row.scope: row.used for row in conn.execute(query)}


def left(conn: Connection, activity_code: str, names: Collection[str]) -> Mapping[str, int | None]:
    """Give how much of each benefit is left; None is without limit."""
    mine = benefit.c
    query = select(mine.code, mine.remaining).where(mine.activity_code == activity_code, mine.code.in_(sorted(names)))
    return {row.code: row.remaining for row in conn.execute(query)}


def codes_left(conn: Connection, activity_code: str, name: str) -> int:
    """Count the free codes of a benefit's pool."""
    mine = benefit_code.c
    query = select(func.count()).where(
        mine.activity_code == activity_code, mine.benefit_code == name, mine.asset_id.is_(None)
    )
    return int(conn.execute(query).scalar_one())


def granted_by(conn: Connection, user_id: str, source: str, event_id: str) -> UUID | None:
    """Find the grant that an event led to. Grants are kept longer than events and executions."""
    mine = grant_record.c
    query = select(mine.id).where(mine.user_id == user_id, mine.event_source == source, mine.event_id == event_id)
    return conn.execute(query.limit(1)).scalar_one_or_none()


def fence(conn: Connection, one: OutsideGrant) -> None:
    """Make every attempt at a grant that is held stale: a worker that was about to ask must not any more."""
    mine = outside_grant.c
    held = update(outside_grant).where(mine.user_id == one.user_id, mine.grant_id == one.grant_id)
    conn.execute(held.values(attempts=mine.attempts + 1, waits=mine.waits + 1))


def outside_of(conn: Connection, user_id: str, grant_id: UUID) -> dict[str, Any] | None:
    """Give what is known of a grant's settling; None where no outside system gives it."""
    mine = outside_grant.c
    names = ("provider", "attempts", "waits", "calls", "first_called_at", "next_attempt_at", "reference")
    query = select(*[mine[name] for name in names]).where(mine.user_id == user_id, mine.grant_id == grant_id)
    row = conn.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)
