"""Users, items and item sets as operators keep them: writes of many rows in one statement, and pages of what there is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from tactics.domain.catalogue import ItemRow, UserRow
from tactics.store.activities import bump
from tactics.store.tables import item, item_set

# Arrays in, rows out: one round trip for a batch, whatever its size, and one statement for the server to plan.
_USERS = text(
    "INSERT INTO user_profile (user_id, attributes)"
    " SELECT user_id, attributes::jsonb"
    " FROM unnest(CAST(:user_ids AS text[]), CAST(:attributes AS text[])) AS row (user_id, attributes)"
    " ON CONFLICT (user_id) DO UPDATE SET attributes = excluded.attributes, updated_at = now()"
)
_ITEMS = text(
    "INSERT INTO item (item_id, category, title, price_minor, currency, attributes)"
    " SELECT item_id, category, title, price_minor, currency, attributes::jsonb"
    " FROM unnest(CAST(:item_ids AS text[]), CAST(:categories AS text[]), CAST(:titles AS text[]),"
    " CAST(:prices AS bigint[]), CAST(:currencies AS text[]), CAST(:attributes AS text[]))"
    " AS row (item_id, category, title, price_minor, currency, attributes)"
    " ON CONFLICT (item_id) DO UPDATE SET category = excluded.category, title = excluded.title,"
    " price_minor = excluded.price_minor, currency = excluded.currency, attributes = excluded.attributes,"
    " updated_at = now()"
)
_EMPTY_SETS = text("DELETE FROM item_set WHERE item_set = ANY(CAST(:names AS text[]))")
_FILL_SET = text("INSERT INTO item_set (item_set, item_id) SELECT :name, unnest(CAST(:item_ids AS text[]))")


def save_users(conn: Connection, rows: Sequence[UserRow]) -> None:
    """Write users, each id once; a known user's attributes are replaced whole."""
    conn.execute(
        _USERS,
        {"user_ids": [row.user_id for row in rows], "attributes": [json.dumps(row.attributes) for row in rows]},
    )


def save_items(conn: Connection, rows: Sequence[ItemRow]) -> None:
    """Write items, each id once; a known item is replaced whole. One without a title is called by its id."""
    conn.execute(
        _ITEMS,
        {
            "item_ids": [row.item_id for row in rows],
            "categories": [row.category for row in rows],
            "titles": [row.title or row.item_id for row in rows],
            "prices": [row.price_minor for row in rows],
            "currencies": [row.currency for row in rows],
            "attributes": [json.dumps(row.attributes) for row in rows],
        },
    )


def replace_item_sets(conn: Connection, sets: Mapping[str, Iterable[str]]) -> None:
    """Make each of these sets hold exactly these items; other sets stay as they are."""
    conn.execute(_EMPTY_SETS, {"names": sorted(sets)})
    for name, item_ids in sorted(sets.items()):
        conn.execute(_FILL_SET, {"name": name, "item_ids": sorted(set(item_ids))})
    bump(conn, "item_sets")


def items(conn: Connection, *, category: str | None = None, after: str = "", limit: int) -> Sequence[Row[Any]]:
    """Give items by id, of one category or all; `after` is the last id that was seen."""
    query = select(item).where(item.c.item_id > after).order_by(item.c.item_id).limit(limit)
    return conn.execute(query if category is None else query.where(item.c.category == category)).all()


def item_of(conn: Connection, item_id: str) -> Row[Any] | None:
    """Give an item; None when the catalogue does not have it."""
    return conn.execute(select(item).where(item.c.item_id == item_id)).one_or_none()


def item_sets(conn: Connection, *, after: str = "", limit: int) -> Sequence[Row[Any]]:
    """Give name and size of item sets, by name; `after` is the last name that was seen."""
    query = select(item_set.c.item_set.label("name"), func.count().label("items")).where(item_set.c.item_set > after)
    return conn.execute(query.group_by(item_set.c.item_set).order_by(item_set.c.item_set).limit(limit)).all()


def item_set_of(conn: Connection, name: str) -> list[str]:
    """Give the ids of a set's items, in order; none of a set that there is not."""
    query = select(item_set.c.item_id).where(item_set.c.item_set == name).order_by(item_set.c.item_id)
    return list(conn.execute(query).scalars())
