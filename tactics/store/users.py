"""Users' stored attributes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from tactics.store.statement import Statement

_ATTRIBUTES = Statement("SELECT attributes FROM user_profile WHERE user_id = $1::text")
_ATTRIBUTES_OF = Statement("SELECT user_id, attributes FROM user_profile WHERE user_id = ANY ($1::text[])")


def attributes(conn: Connection, user_id: str) -> dict[str, Any] | None:
    """Give a user's attributes; None when there is no such user."""
    row = _ATTRIBUTES.first(conn, user_id)
    return None if row is None else row[0]


def attributes_of(conn: Connection, user_ids: list[str]) -> dict[str, dict[str, Any]]:
    """Give the attributes of several users; an unknown one is left out."""
    return dict(_ATTRIBUTES_OF.all(conn, user_ids))
