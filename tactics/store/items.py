"""The catalogue, item sets, and what users did with items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from tactics.store.statement import Statement

# OFFSET 0 keeps the planner, which may know nothing of the catalogue yet, from reading all of it.
_OF_USER = Statement("""
    SELECT mine.item_id, coalesce(item.title, mine.item_id), item.category, item.price_minor, item.currency,
           coalesce(item.attributes, '{}')
    FROM (
        SELECT item_id, favourite, last_at FROM user_item
        WHERE user_id = $1::text ORDER BY favourite DESC, last_at DESC, item_id LIMIT $2::int
    ) AS mine
    LEFT JOIN LATERAL (SELECT * FROM item WHERE item.item_id = mine.item_id OFFSET 0) AS item ON true
    ORDER BY mine.favourite DESC, mine.last_at DESC, mine.item_id
""")
_SETS_OF = Statement("SELECT item_id, item_set FROM item_set WHERE item_id = ANY ($1::text[])")
_NEW_TO_USER = Statement("""
    SELECT item_id, title, category, price_minor, currency, attributes
    FROM item
    WHERE item_id = ANY ($1::text[])
        AND NOT EXISTS (SELECT FROM user_item WHERE user_id = $2::text AND user_item.item_id = item.item_id)
""")
_CATEGORIES_OF = Statement(
    "SELECT item_id, category FROM item WHERE item_id = ANY ($1::text[]) AND category IS NOT NULL"
)
# An item that was too old for recall may be among the latest again.
_RECORD = Statement("""
    INSERT INTO user_item AS known (user_id, item_id, actions, quantity, favourite, last_action, last_at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::boolean[], $6::text[], $7::timestamptz[])
    ON CONFLICT (user_id, item_id) DO UPDATE SET
        actions = known.actions + excluded.actions, quantity = known.quantity + excluded.quantity,
        favourite = known.favourite OR excluded.favourite,
        last_action = CASE WHEN excluded.last_at >= known.last_at THEN excluded.last_action ELSE known.last_action END,
        last_at = greatest(known.last_at, excluded.last_at), learnt = nullif(known.learnt, false)
""")
_RECORDED = ("user_id", "item_id", "actions", "quantity", "favourite", "last_action", "last_at")

ItemRow = tuple[str, str, str | None, int | None, str | None, dict[str, Any]]
"""Item id, title, category, price, currency, attributes."""


def of_user(conn: Connection, user_id: str, limit: int) -> list[ItemRow]:
    """Give the items that a user acted on, favourites first, then the latest; unknown items are called by their id."""
    return _OF_USER.all(conn, user_id, limit)


def sets_of(conn: Connection, item_ids: Sequence[str]) -> dict[str, list[str]]:
    """Give the item sets of each item; an item in none is left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for item_id, name in _SETS_OF.all(conn, sorted(set(item_ids))):
        found[item_id].append(name)
    return found


def new_to_user(conn: Connection, user_id: str, item_ids: Sequence[str]) -> list[ItemRow]:
    """Give those of some items that the catalogue has and a user never acted on."""
    return _NEW_TO_USER.all(conn, list(item_ids), user_id)


def categories_of(conn: Connection, item_ids: Sequence[str]) -> dict[str, str]:
    """Give the category of each item that has one."""
    return dict(_CATEGORIES_OF.all(conn, list(item_ids)))


def record_actions(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add to what users did with items.

    Args:
        conn: an open transaction that holds the users' advisory locks.
        rows: one for each (user_id, item_id), in this order: actions, quantity, favourite, last_action, last_at.
    """
    if rows:
        _RECORD.run(conn, *[[row[name] for row in rows] for name in _RECORDED])
