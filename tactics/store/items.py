"""The catalogue, item sets, and what users did with items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, any_, bindparam, case, exists, false, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Text

from tactics.store.tables import item, item_set, user_item

_OF_USER = (
    select(user_item.c.item_id, item.c.title, item.c.category, item.c.price_minor, item.c.currency, item.c.attributes)
    .join(item, item.c.item_id == user_item.c.item_id, isouter=True)
    .where(user_item.c.user_id == bindparam("user"))
    .order_by(user_item.c.favourite.desc(), user_item.c.last_at.desc(), user_item.c.item_id)
    .limit(bindparam("limit"))
)
_SETS_OF = select(item_set.c.item_id, item_set.c.item_set).where(
    item_set.c.item_id == any_(bindparam("items", type_=ARRAY(Text)))
)

_NEW_TO_USER = select(item).where(
    item.c.item_id == any_(bindparam("items", type_=ARRAY(Text))),
    ~exists().where(user_item.c.user_id == bindparam("user"), user_item.c.item_id == item.c.item_id),
)


def of_user(conn: Connection, user_id: str, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Give the items that a user acted on, favourites first, then the latest; unknown items have no title."""
    return conn.execute(_OF_USER, {"user": user_id, "limit": limit}).all()


def sets_of(conn: Connection, item_ids: Sequence[str]) -> dict[str, list[str]]:
    """Give the item sets of each item; an item in none is left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for item_id, name in conn.execute(_SETS_OF, {"items": sorted(set(item_ids))}):
        found[item_id].append(name)
    return found


def new_to_user(conn: Connection, user_id: str, item_ids: Sequence[str]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Give those of some items that the catalogue has and a user never acted on."""
    return conn.execute(_NEW_TO_USER, {"user": user_id, "items": list(item_ids)}).all()


def categories_of(conn: Connection, item_ids: Sequence[str]) -> dict[str, str]:
    """Give the category of each item that has one."""
    query = select(item.c.item_id, item.c.category).where(
        item.c.item_id == any_(bindparam("items", list(item_ids), type_=ARRAY(Text))), item.c.category.is_not(None)
    )
    return {row.item_id: row.category for row in conn.execute(query)}


def record_actions(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add to what users did with items.

    Args:
        conn: an open transaction that holds the users' advisory locks.
        rows: one for each (user_id, item_id): actions, quantity, favourite, last_action, last_at.
    """
    if not rows:
        return
    statement = insert(user_item)
    new = statement.excluded
    later = new.last_at >= user_item.c.last_at
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=[user_item.c.user_id, user_item.c.item_id],
            set_={
                "actions": user_item.c.actions + new.actions,
                "quantity": user_item.c.quantity + new.quantity,
                "favourite": or_(user_item.c.favourite, new.favourite),
                "last_action": case((later, new.last_action), else_=user_item.c.last_action),
                "last_at": func.greatest(user_item.c.last_at, new.last_at),
                # An item that was too old for recall may be among the latest again.
                "learnt": func.nullif(user_item.c.learnt, false()),
            },
        ),
        list(rows),
    )
