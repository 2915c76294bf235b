"""The counters of limits: those per day and of budgets as a new version of an activity finds them; old ones go.

Granting counts only under versions that set a limit. Saving such a version therefore counts again all that was given,
so that a limit also holds against what was given before there was one. Grants that count at the same moment are neither
lost nor counted twice. Not counted is a grant made after this moment by an execution that began under a version without
the limit: it is judged by the version that it was made under, and the next version saved counts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlalchemy import BigInteger, Connection, bindparam, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.dml import Insert, Update

from tactics.domain.activity import TacticsActivity
from tactics.store.tables import grant_record, limit_counter

Scope = Literal["day", "budget"]

_PERIOD = {"day": func.to_char(grant_record.c.day, "YYYY-MM-DD"), "budget": literal("")}
_USED = {"day": func.count(), "budget": func.sum(grant_record.c.value_minor)}
_GIVEN = (grant_record.c.activity_code == bindparam("activity"), grant_record.c.state != "refused")
_LOCK = (
    select(limit_counter.c.period)
    .where(limit_counter.c.activity_code == bindparam("activity"), limit_counter.c.scope == bindparam("scope"))
    .order_by(limit_counter.c.period)
    .with_for_update(key_share=True)
)
# A day is longer than an execution goes on with the business time it began with.
_OLD_MINUTES = text(
    "DELETE FROM limit_counter WHERE scope IN ('minute', 'minute_cost')"
    """ AND period < to_char((now() - interval '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI')"""
)


@dataclass(frozen=True, slots=True)
class Given:
    """What an activity has given by now, under all its versions, refused grants aside."""

    on_day: int
    value_minor: int


def given(conn: Connection, code: str, day: date) -> Given:
    """Count what an activity gave on a day of its time zone, and the value of all that it ever gave."""
    on_day = func.count().filter(grant_record.c.day == day)
    value = func.coalesce(func.sum(grant_record.c.value_minor), 0).cast(BigInteger)
    return Given(*conn.execute(select(on_day, value).where(*_GIVEN), {"activity": code}).one())


def count_again(conn: Connection, code: str, scope: Scope, period: str) -> None:
    """Let a counter say what the grants add up to, where there is one: a grant that it came to count is refused."""
    mine = limit_counter.c
    this = (mine.activity_code == code, mine.scope == scope, mine.period == period)
    if conn.execute(select(mine.period).where(*this).with_for_update(key_share=True)).one_or_none() is not None:
        conn.execute(_count(scope), {"activity": code, "periods": [period]})


def forget_minutes(conn: Connection) -> int:
    """Delete the counters of minutes that are long over; whatever begins now counts in another.

    Returns:
        How many were deleted.
    """
    return conn.execute(_OLD_MINUTES).rowcount


def _begin(scope: Scope) -> Insert:
    periods = select(grant_record.c.activity_code, literal(scope), _PERIOD[scope], literal(0)).where(*_GIVEN).distinct()
    columns = ["activity_code", "scope", "period", "used"]
    return upsert(limit_counter).from_select(columns, periods.order_by(_PERIOD[scope])).on_conflict_do_nothing()


def _count(scope: Scope) -> Update:
    used = select(func.coalesce(_USED[scope], 0).cast(BigInteger)).where(
        *_GIVEN, _PERIOD[scope] == limit_counter.c.period
    )
    return (
        update(limit_counter)
        .where(limit_counter.c.activity_code == bindparam("activity"), limit_counter.c.scope == scope)
        .where(limit_counter.c.period.in_(bindparam("periods", expanding=True)))
        .values(used=used.scalar_subquery())
    )


def recount(conn: Connection, activity: TacticsActivity) -> None:
    """Make the counters of the limits that an activity sets what its grants, refused ones aside, add up to.

    Args:
        conn: an open transaction with the activity's row locked, before it locks benefits; grants of the activity that
            count wait until it ends.
        activity: the version that is being saved.
    """
    # Locked in the order in which grants lock them.
    if activity.limits.per_day is not None:
        _recount(conn, activity.code, "day")
    if activity.limits.budget_minor is not None:
        _recount(conn, activity.code, "budget")


def _recount(conn: Connection, code: str, scope: Scope) -> None:
    # First the locks, then the count, in a statement that begins after them: whoever has added to a counter by then has
    # committed its grant, and whoever has not adds to what is written here.
    conn.execute(_begin(scope), {"activity": code})
    periods = list(conn.execute(_LOCK, {"activity": code, "scope": scope}).scalars())
    if periods:
        conn.execute(_count(scope), {"activity": code, "periods": periods})
