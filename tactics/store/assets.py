"""Assets in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, or_, select, update

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
    )
]
_OF_INSTANCE = Statement("""
    SELECT id, user_id, activity_code, grant_id, line, benefit_code, kind, status, value_minor, currency, valid_from,
           valid_until, details
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


def of_user(conn: Connection, user_id: str, limit: int = 200) -> list[Asset]:
    """Give a user's assets, newest first."""
    query = select(*_COLUMNS).where(asset.c.user_id == user_id).order_by(asset.c.valid_from.desc(), asset.c.id)
    return [_asset(row) for row in conn.execute(query.limit(limit))]


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


def set_status(conn: Connection, user_id: str, asset_ids: Sequence[UUID], status: str, at: datetime) -> None:
    """Write a new status; whether the change is allowed is the caller's to know."""
    if asset_ids:
        conn.execute(
            update(asset)
            .where(asset.c.user_id == user_id, asset.c.id.in_(asset_ids))
            .values(status=status, status_at=at)
        )
