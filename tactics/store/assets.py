"""Assets in Postgres."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, and_, func, or_, select, tuple_, update

from tactics.domain.asset import LIVE, Asset
from tactics.store.statement import Statement
from tactics.store.tables import asset

_COLUMNS = [
    asset.c[name]
    for name in (
        "id",
        "user_id",
        "activity_code",
        "grant_id",
        "line",
        "benefit_code",
        "kind",
        "status",
        "value_minor",
        "currency",
        "valid_from",
        "valid_until",
        "details",
        "reference",
    )
]
_OF_INSTANCE = Statement("""
    SELECT id, user_id, activity_code, grant_id, line, benefit_code, kind, status, value_minor, currency, valid_from,
           valid_until, details, reference
    FROM asset
    WHERE user_id = $1::text AND activity_code = $2::text AND (NOT $3::boolean OR status = ANY ($4::text[]))
    ORDER BY valid_from DESC, grant_id, line
""")
_LIVE = sorted(LIVE)


def _asset(row: Row[Any]) -> Asset:
    return Asset(**row._mapping)  # noqa: SLF001  # SQLAlchemy's documented name


def of_instance(conn: Connection, user_id: str, activity_code: str) -> list[Asset]:
    """Give all assets of a user's instance, newest first."""
    return [Asset(*row) for row in _OF_INSTANCE.all(conn, user_id, activity_code, False, _LIVE)]


def live_of_instance(conn: Connection, user_id: str, activity_code: str) -> list[Asset]:
    """Give the available and claimed assets of a user's instance, newest first; some may be due to expire."""
    return [Asset(*row) for row in _OF_INSTANCE.all(conn, user_id, activity_code, True, _LIVE)]


def of_grant(conn: Connection, user_id: str, grant_id: UUID) -> list[Asset]:
    """Give the assets of a grant, by line."""
    query = select(*_COLUMNS).where(asset.c.user_id == user_id, asset.c.grant_id == grant_id).order_by(asset.c.line)
    return [_asset(row) for row in conn.execute(query)]


def of_user(
    conn: Connection,
    user_id: str,
    now: datetime,
    *,
    status: str | None = None,
    activity_code: str | None = None,
    usable: bool | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[Asset]:
    """Give a user's assets, newest first.

    Args:
        conn: any connection.
        user_id: whose.
        now: business time; what is due by then counts as expired, whether that is written down yet or not.
        status: only those that have it.
        activity_code: only those of this activity.
        usable: only those that can, or cannot, be used now.
        after: `valid_from` and id of the last one that was seen.
        limit: at most so many.
    """
    query = select(*_COLUMNS).where(asset.c.user_id == user_id)
    live = asset.c.status.in_(_LIVE)
    due = and_(live, asset.c.valid_until <= now)
    if status is not None:
        query = query.where(or_(asset.c.status == status, due) if status == "expired" else asset.c.status == status)
        query = query.where(~due) if status in LIVE else query
    if activity_code is not None:
        query = query.where(asset.c.activity_code == activity_code)
    if usable is not None:
        can = and_(live, asset.c.valid_until > now)
        query = query.where(can if usable else ~can)
    if after is not None:
        query = query.where(tuple_(asset.c.valid_from, asset.c.id) < tuple_(*after))
    newest = query.order_by(asset.c.valid_from.desc(), asset.c.id.desc())
    return [_asset(row) for row in conn.execute(newest.limit(limit))]


def find(conn: Connection, asset_id: UUID) -> Asset | None:
    """Find an asset by its id alone."""
    row = conn.execute(select(*_COLUMNS).where(asset.c.id == asset_id)).one_or_none()
    return _asset(row) if row is not None else None


def note_change(conn: Connection, user_id: str, asset_id: UUID, at: datetime) -> bool:
    """Remember when the last change that was reported of an asset happened, whether it changes its status or not.

    Returns:
        False when a later one is known: nothing was written.
    """
    not_later = or_(asset.c.changed_at.is_(None), asset.c.changed_at <= at)
    own = update(asset).where(asset.c.user_id == user_id, asset.c.id == asset_id, not_later)
    return conn.execute(own.values(changed_at=at).returning(asset.c.id)).one_or_none() is not None


def note_latest(conn: Connection, user_id: str, asset_id: UUID, at: datetime) -> None:
    """Remember that an asset changes now, later than whatever was reported of it before."""
    latest = func.greatest(asset.c.changed_at, at)
    conn.execute(update(asset).where(asset.c.user_id == user_id, asset.c.id == asset_id).values(changed_at=latest))


def set_status(
    conn: Connection, user_id: str, asset_id: UUID, status: str, at: datetime, *, reference: str | None = None
) -> None:
    """Write a new status, and the order that redeems it; whether the change is allowed is the caller's to know."""
    own = update(asset).where(asset.c.user_id == user_id, asset.c.id == asset_id)
    conn.execute(own.values(status=status, status_at=at, reference=reference))
