"""User actions: the raw history that behaviour rules read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, any_, bindparam, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Text

from tactics.store.tables import item_set, user_action

_LOCK_USERS = text(
    "SELECT pg_advisory_xact_lock(key) FROM"
    " (SELECT DISTINCT hashtextextended('tactics.user:' || id, 0) AS key FROM unnest(CAST(:users AS text[])) AS id"
    " ORDER BY key) AS keys"
)
_COLUMNS = [
    user_action.c[name]
    for name in (
        "user_id",
        "at",
        "event_source",
        "event_id",
        "action",
        "item_id",
        "quantity",
        "amount_minor",
        "attributes",
    )
]


def lock_users(conn: Connection, user_ids: Collection[str]) -> None:
    """Let one transaction at a time judge a user's actions: without it two at once would each count only themselves."""
    conn.execute(_LOCK_USERS, {"users": sorted(user_ids)}).all()


def add(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert actions; each event is one action, once."""
    if rows:
        conn.execute(insert(user_action).on_conflict_do_nothing(), list(rows))


def read(
    conn: Connection,
    user_ids: Collection[str],
    wanted: Sequence[tuple[str | None, str | None]],
    *,
    after: datetime | None,
    until: datetime | None = None,
) -> Sequence[Row[Any]]:
    """Read the actions of users that somebody needs, in the order in which they happened.

    Args:
        conn: a connection.
        user_ids: whose.
        wanted: pairs of action and item set; None is any. An action fits when one pair does.
        after: only later ones; None is no bound.
        until: only up to this time, included.
    """
    if not user_ids or not wanted:
        return []
    query = select(*_COLUMNS).where(
        user_action.c.user_id == any_(bindparam("users", sorted(user_ids), type_=ARRAY(Text))),
        or_(*[_fits(action, name) for action, name in sorted(set(wanted), key=str)]),
    )
    if after is not None:
        query = query.where(user_action.c.at > after)
    if until is not None:
        query = query.where(user_action.c.at <= until)
    order = (user_action.c.user_id, user_action.c.at, user_action.c.event_source, user_action.c.event_id)
    return conn.execute(query.order_by(*order)).all()


def _fits(action: str | None, name: str | None) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = [user_action.c.action == action] if action is not None else []
    if name is not None:
        parts.append(user_action.c.item_id.in_(select(item_set.c.item_id).where(item_set.c.item_set == name)))
    return and_(True, *parts)  # SQLAlchemy's neutral element
