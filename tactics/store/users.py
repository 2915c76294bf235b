"""Users' stored attributes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from tactics.store.tables import user_profile

_ATTRIBUTES = select(user_profile.c.attributes).where(user_profile.c.user_id == bindparam("user"))


def attributes(conn: Connection, user_id: str) -> dict[str, Any] | None:
    """Give a user's attributes; None when there is no such user."""
    found: dict[str, Any] | None = conn.execute(_ATTRIBUTES, {"user": user_id}).scalar_one_or_none()
    return found


def attributes_of(conn: Connection, user_ids: list[str]) -> dict[str, dict[str, Any]]:
    """Give the attributes of several users; an unknown one is left out."""
    query = select(user_profile.c.user_id, user_profile.c.attributes).where(user_profile.c.user_id.in_(user_ids))
    return {row.user_id: row.attributes for row in conn.execute(query)}
