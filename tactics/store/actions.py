"""User actions: the raw history that behaviour rules read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from tactics.store.statement import Statement

_LOCK_USERS = Statement("""
    SELECT pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT hashtextextended('tactics.user:' || id, 0) AS key FROM unnest($1::text[]) AS id ORDER BY key
    ) AS keys
""")
_ADDED = (
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
_ADD = Statement("""
    INSERT INTO user_action (
        user_id, at, event_source, event_id, action, item_id, quantity, amount_minor, attributes)
    SELECT * FROM unnest(
        $1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
        $9::jsonb[])
    ON CONFLICT DO NOTHING
""")
_COLUMNS = "user_id, at, event_source, event_id, action, item_id, quantity, amount_minor, attributes"
# Rows that some pair of action and item set wants. A bound that is not there is infinite: so the index is used.
_FITS = """
    user_id = ANY ($1::text[]) AND at > coalesce($2::timestamptz, '-infinity')
    AND at <= coalesce($3::timestamptz, 'infinity')
    AND EXISTS (
        SELECT FROM unnest($4::text[], $5::text[]) AS wanted (action, item_set)
        WHERE (wanted.action IS NULL OR wanted.action = user_action.action)
            AND (wanted.item_set IS NULL OR EXISTS (
                SELECT FROM item_set
                WHERE item_set.item_set = wanted.item_set AND item_set.item_id = user_action.item_id)))
"""
_ORDER = "ORDER BY user_id, at, event_source, event_id"
_READ = Statement(f"SELECT {_COLUMNS} FROM user_action WHERE {_FITS} {_ORDER}")  # noqa: S608  # our own words
_READ_ACTIONS = Statement(
    f"SELECT {_COLUMNS} FROM user_action WHERE action = ANY ($6::text[]) AND {_FITS} {_ORDER}"  # noqa: S608  # as above
)


class ActionRow(NamedTuple):
    """A user's action as stored."""

    user_id: str
    at: datetime
    event_source: str
    event_id: str
    action: str
    item_id: str | None
    quantity: int
    amount_minor: int | None
    attributes: dict[str, Any] | None


def lock_users(conn: Connection, user_ids: Collection[str]) -> None:
    """Let one transaction at a time judge a user's actions: without it two at once would each count only themselves."""
    _LOCK_USERS.all(conn, sorted(user_ids))


def add(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert actions; each event is one action, once."""
    if rows:
        *columns, attributes = ([row[name] for row in rows] for name in _ADDED)
        _ADD.run(conn, *columns, [None if one is None else Jsonb(one) for one in attributes])


def read(
    conn: Connection,
    user_ids: Collection[str],
    wanted: Sequence[tuple[str | None, str | None]],
    *,
    after: datetime | None,
    until: datetime | None = None,
) -> list[ActionRow]:
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
    names, sets = zip(*sorted(set(wanted), key=str), strict=True)
    given = (sorted(user_ids), after, until, list(names), list(sets))
    rows = _READ.all(conn, *given) if None in names else _READ_ACTIONS.all(conn, *given, sorted(set(names)))
    return [ActionRow(*row) for row in rows]
