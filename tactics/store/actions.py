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
# Rows that somebody wants: all of them ($4), some actions whatever the item ($5), or items of some sets ($6). A bound that
# is not there is infinite, so the index is used; OFFSET 0 looks an item's few sets up, instead of each set for the item.
_FITS = """
    user_id = ANY ($1::text[]) AND at > coalesce($2::timestamptz, '-infinity')
    AND at <= coalesce($3::timestamptz, 'infinity')
    AND ($4::boolean OR action = ANY ($5::text[]) OR EXISTS (
        SELECT FROM (SELECT item_set FROM item_set WHERE item_id = user_action.item_id OFFSET 0) AS own
        WHERE own.item_set = ANY ($6::text[])))
"""
_ORDER = "ORDER BY user_id, at, event_source, event_id"
_READ = Statement(f"SELECT {_COLUMNS} FROM user_action WHERE {_FITS} {_ORDER}")  # noqa: S608  # our own words
_READ_ACTIONS = Statement(
    f"SELECT {_COLUMNS} FROM user_action WHERE action = ANY ($7::text[]) AND {_FITS} {_ORDER}"  # noqa: S608  # as above
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
        wanted: pairs of action and item set; None is any. What fits one of them is given, and perhaps more: an action
            of one pair with an item of another's set.
        after: only later ones; None is no bound.
        until: only up to this time, included.
    """
    if not user_ids or not wanted:
        return []
    names = {name for name, _ in wanted}
    whole = {name for name, item_set in wanted if item_set is None}
    sets = {item_set for _, item_set in wanted if item_set is not None}
    actions = sorted(name for name in whole if name is not None)
    given = (sorted(user_ids), after, until, None in whole, actions, sorted(sets))
    if None in names:
        rows = _READ.all(conn, *given)
    else:
        rows = _READ_ACTIONS.all(conn, *given, sorted(name for name in names if name is not None))
    return [ActionRow(*row) for row in rows]
