"""Assets in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from tactics.domain.asset import LIVE, Asset
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
    )
]
_OF_INSTANCE = (
    select(*_COLUMNS)
    .where(asset.c.user_id == bindparam("user"), asset.c.activity_code == bindparam("activity"))
    .order_by(asset.c.valid_from.desc(), asset.c.grant_id, asset.c.line)
)
_LIVE_OF_INSTANCE = _OF_INSTANCE.where(asset.c.status.in_(sorted(LIVE)))
_INSERT = insert(asset)


def _asset(row: Row[Any]) -> Asset:
    return Asset(**row._mapping)  # noqa: SLF001  # SQLAlchemy's documented name


def of_instance(conn: Connection, user_id: str, activity_code: str) -> list[Asset]:
    """Give all assets of a user's instance, newest first."""
    return [_asset(row) for row in conn.execute(_OF_INSTANCE, {"user": user_id, "activity": activity_code})]


def live_of_instance(conn: Connection, user_id: str, activity_code: str) -> list[Asset]:
    """Give the available and claimed assets of a user's instance, newest first; some may be due to expire."""
    return [_asset(row) for row in conn.execute(_LIVE_OF_INSTANCE, {"user": user_id, "activity": activity_code})]


def of_grant(conn: Connection, user_id: str, grant_id: UUID) -> list[Asset]:
    """Give the assets of a grant, by line."""
    query = select(*_COLUMNS).where(asset.c.user_id == user_id, asset.c.grant_id == grant_id).order_by(asset.c.line)
    return [_asset(row) for row in conn.execute(query)]


def of_user(conn: Connection, user_id: str, limit: int = 200) -> list[Asset]:
    """Give a user's assets, newest first."""
    query = select(*_COLUMNS).where(asset.c.user_id == user_id).order_by(asset.c.valid_from.desc(), asset.c.id)
    return [_asset(row) for row in conn.execute(query.limit(limit))]


def find(conn: Connection, asset_id: UUID) -> Asset | None:
    """Find an asset by its id alone."""
    row = conn.execute(select(*_COLUMNS).where(asset.c.id == asset_id)).one_or_none()
    return _asset(row) if row is not None else None


def add(conn: Connection, assets: Sequence[Asset]) -> None:
    """Write new assets."""
    rows = [{column.name: getattr(one, column.name) for column in _COLUMNS} for one in assets]
    conn.execute(_INSERT, [{**row, "status_at": row["valid_from"]} for row in rows])


def note_change(conn: Connection, user_id: str, asset_id: UUID, at: datetime) -> bool:
    """Remember when the last change that was reported of an asset happened, whether it changes its status or not.

    Returns:
        False when a later one is known: nothing was written.
    """
    not_later = or_(asset.c.changed_at.is_(None), asset.c.changed_at <= at)
    own = update(asset).where(asset.c.user_id == user_id, asset.c.id == asset_id, not_later)
    return conn.execute(own.values(changed_at=at).returning(asset.c.id)).one_or_none() is not None


def set_status(conn: Connection, user_id: str, asset_ids: Sequence[UUID], status: str, at: datetime) -> None:
    """Write a new status; whether the change is allowed is the caller's to know."""
    if asset_ids:
        conn.execute(
            update(asset)
            .where(asset.c.user_id == user_id, asset.c.id.in_(asset_ids))
            .values(status=status, status_at=at)
        )
