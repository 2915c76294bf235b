"""Grant records, stock, limits' counters, the outbox: what the grant's transaction writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tactics.store.tables import OPEN_STATES, benefit, grant_record, limit_counter, outbox
from tactics.store.tables import benefit_code as pool


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant as stored."""

    id: UUID
    user_id: str
    activity_code: str
    activity_version: int
    will_send_count: int
    idempotency_id: str
    execution_id: UUID
    event_source: str
    event_id: str
    best_only: bool
    state: str
    usable: bool
    lines: list[dict[str, Any]]
    value_minor: int
    day: date
    reason: str | None
    assets_unknown: bool
    business_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What an instance's grants add up to."""

    highest_count: int
    taken: int
    open_grant_id: UUID | None


_COLUMNS = [grant_record.c[name] for name in GrantRow.__slots__]
_OF_INSTANCE = (grant_record.c.user_id == bindparam("user"), grant_record.c.activity_code == bindparam("activity"))
_HISTORY = select(
    func.coalesce(func.max(grant_record.c.will_send_count), 0),
    func.count().filter(grant_record.c.state != "refused"),
    func.array_agg(grant_record.c.id).filter(grant_record.c.state.in_(OPEN_STATES)),
).where(*_OF_INSTANCE)
_ADD = upsert(grant_record).on_conflict_do_nothing().returning(grant_record.c.id)
_TAKE_STOCK = (
    update(benefit)
    .where(
        benefit.c.activity_code == bindparam("activity"),
        benefit.c.code == bindparam("benefit"),
        or_(benefit.c.remaining.is_(None), benefit.c.remaining >= bindparam("needed")),
    )
    .values(remaining=benefit.c.remaining - bindparam("needed"))
    .returning(benefit.c.code)
)
_COUNT = (
    upsert(limit_counter)
    .values(
        activity_code=bindparam("activity"), scope=bindparam("scope"), period=bindparam("period"), used=bindparam("add")
    )
    .on_conflict_do_update(
        index_elements=[limit_counter.c.activity_code, limit_counter.c.scope, limit_counter.c.period],
        set_={"used": limit_counter.c.used + bindparam("add")},
        where=limit_counter.c.used + bindparam("add") <= bindparam("limit"),
    )
    .returning(limit_counter.c.used)
)
_OUTBOX = insert(outbox)


def history(conn: Connection, user_id: str, activity_code: str) -> History:
    """Add up the grants of an instance: the highest count, how many are not refused, and the open one."""
    highest, taken, open_ids = conn.execute(_HISTORY, {"user": user_id, "activity": activity_code}).one()
    return History(highest, taken, open_ids[0] if open_ids else None)


def add(conn: Connection, row: GrantRow) -> bool:
    """Insert a grant, unless one of its unique keys is taken: count, execution, best-only event, open, usable.

    Returns:
        Whether it was inserted.
    """
    values = {name: getattr(row, name) for name in GrantRow.__slots__}
    settled = row.business_at if row.state == "granted" else None
    return conn.execute(_ADD, {**values, "settled_at": settled}).one_or_none() is not None


def find_rival(conn: Connection, wanted: GrantRow) -> GrantRow | None:
    """Find the grant that kept `wanted` out, in this order: same execution, count, best-only event, open, usable."""
    mine = grant_record.c
    same = and_(mine.user_id == wanted.user_id, mine.activity_code == wanted.activity_code)
    reasons = [
        and_(mine.user_id == wanted.user_id, mine.execution_id == wanted.execution_id),
        and_(same, mine.will_send_count == wanted.will_send_count),
    ]
    if wanted.best_only:
        event = and_(mine.event_source == wanted.event_source, mine.event_id == wanted.event_id)
        reasons.append(and_(mine.user_id == wanted.user_id, event, mine.best_only, mine.state != "refused"))
    reasons += [and_(same, mine.state.in_(OPEN_STATES)), and_(same, mine.usable, ~mine.released)]
    for reason in reasons:
        row = conn.execute(select(*_COLUMNS).where(reason).limit(1)).one_or_none()
        if row is not None:
            return GrantRow(*row)
    return None


def find(conn: Connection, grant_id: UUID) -> GrantRow | None:
    """Find a grant by its id alone."""
    row = conn.execute(select(*_COLUMNS).where(grant_record.c.id == grant_id)).one_or_none()
    return GrantRow(*row) if row else None


def of_activity(
    conn: Connection, *, activity_code: str | None, user_id: str | None, state: str | None, limit: int
) -> Sequence[GrantRow]:
    """List grants, newest first, by any of activity, user and state."""
    query = select(*_COLUMNS).order_by(grant_record.c.created_at.desc()).limit(limit)
    for column, value in (("activity_code", activity_code), ("user_id", user_id), ("state", state)):
        if value is not None:
            query = query.where(grant_record.c[column] == value)
    return [GrantRow(*row) for row in conn.execute(query)]


def set_usable(conn: Connection, user_id: str, grant_id: UUID, *, usable: bool, released: bool = False) -> None:
    """Record whether any asset of a grant is usable; `released` exempts it from one-usable-grant-an-instance."""
    values: dict[str, Any] = {"usable": usable}
    if released:
        values["released"] = True
    conn.execute(
        update(grant_record).where(grant_record.c.user_id == user_id, grant_record.c.id == grant_id).values(values)
    )


def take_stock(conn: Connection, activity_code: str, benefit_code: str, needed: int) -> bool:
    """Take from a benefit's stock, all or nothing.

    Returns:
        False when there is not enough.
    """
    values = {"activity": activity_code, "benefit": benefit_code, "needed": needed}
    return conn.execute(_TAKE_STOCK, values).one_or_none() is not None


def take_codes(conn: Connection, activity_code: str, benefit_code: str, asset_ids: Sequence[UUID]) -> list[str] | None:
    """Take one code of a benefit's pool for each asset.

    Returns:
        The codes in the order of the assets, or None when the pool has too few.
    """
    free = (
        select(pool.c.code)
        .where(
            pool.c.activity_code == activity_code,
            pool.c.benefit_code == benefit_code,
            pool.c.asset_id.is_(None),
        )
        .order_by(pool.c.position)
        .limit(len(asset_ids))
        .with_for_update(skip_locked=True)
    )
    codes = list(conn.execute(free).scalars())
    if len(codes) < len(asset_ids):
        return None
    for code, asset_id in zip(codes, asset_ids, strict=True):
        conn.execute(
            update(pool)
            .where(
                pool.c.activity_code == activity_code,
                pool.c.benefit_code == benefit_code,
                pool.c.code == code,
            )
            .values(asset_id=asset_id)
        )
    return codes


def count_within(conn: Connection, activity_code: str, scope: str, period: str, *, add: int, limit: int) -> bool:
    """Add to a limit's counter, if that stays within the limit.

    Returns:
        False when it would not.
    """
    if add > limit:
        return False
    values = {"activity": activity_code, "scope": scope, "period": period, "add": add, "limit": limit}
    return conn.execute(_COUNT, values).one_or_none() is not None


def add_outbox(conn: Connection, topic: str, key: str, payload: dict[str, Any]) -> None:
    """Tell other systems, in the same transaction as what is told."""
    conn.execute(_OUTBOX, {"topic": topic, "key": key, "payload": payload})
