"""Editing one user, item or item set, as the imports do with many."""

from __future__ import annotations

from collections.abc import Collection

from tactics.domain.catalogue import ItemRow, UserRow
from tactics.flows.reading import Around, transaction
from tactics.runtime import Runtime
from tactics.store import catalogue


def save_user(runtime: Runtime, user: UserRow, around: Around) -> None:
    """Save a user; the attributes of a known one are replaced. `around` surrounds it within its transaction."""
    with transaction(runtime, around) as conn:
        catalogue.save_users(conn, [user])


def save_item(runtime: Runtime, item: ItemRow, around: Around) -> None:
    """Save an item; a known one is replaced whole. `around` surrounds it within its transaction."""
    with transaction(runtime, around) as conn:
        catalogue.save_items(conn, [item])


def save_item_set(runtime: Runtime, name: str, item_ids: Collection[str], around: Around) -> None:
    """Make a set hold exactly these items; with none there is no such set. `around` surrounds it as above."""
    with transaction(runtime, around) as conn:
        catalogue.replace_item_sets(conn, {name: item_ids})
