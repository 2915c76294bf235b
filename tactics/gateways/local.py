"""The ports answered from Tactics' own tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from tactics.domain.asset import Asset
from tactics.errors import DatabaseDown, GatewayError
from tactics.gateways.ports import Candidate, Item
from tactics.store import assets, items, recall, users


class LocalItems:
    """Items from the `item`, `item_set` and `user_item` tables."""

    def of_user(self, conn: Connection, user_id: str, limit: int) -> Sequence[Item]:
        """Give the items that the user acted on or likes; one that the catalogue lacks is called by its id."""
        return [Item(*row) for row in items.of_user(conn, user_id, limit)]

    def sets_of(self, conn: Connection, item_ids: Sequence[str]) -> dict[str, list[str]]:
        """Give the item sets that each item belongs to."""
        return items.sets_of(conn, item_ids)

    def new_to_user(self, conn: Connection, user_id: str, item_ids: Sequence[str]) -> Sequence[Item]:
        """Give those of some items that the catalogue has and the user never acted on."""
        return [Item(*row) for row in items.new_to_user(conn, user_id, item_ids)]


class LocalRecall:
    """Items that the same users acted on, learnt from the actions: over connections with a short statement timeout."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine: autocommit, with its own pool and `statement_timeout`."""
        self._engine = engine

    def candidates(self, user_id: str, item_ids: Sequence[str], limit: int) -> Sequence[Candidate]:
        """Give what goes with the items and is new to the user, the best first.

        Raises:
            GatewayError: the database did not answer in time.
        """
        try:
            with self._engine.connect() as conn:
                found = recall.candidates(conn, user_id, item_ids, limit)
        except (SQLAlchemyError, DatabaseDown) as error:
            raise GatewayError(f"recall did not answer: {type(error).__name__}") from error
        return [Candidate(item_id, score) for item_id, score in found]


class LocalUsers:
    """Users from the `user_profile` table."""

    def attributes(self, conn: Connection, user_id: str) -> dict[str, Any] | None:
        """Give the user's stored attributes; None when there is no such user."""
        return users.attributes(conn, user_id)


class LocalAssets:
    """Assets from the `asset` table, over connections of their own with a short statement timeout."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine: autocommit, with its own pool and `statement_timeout`."""
        self._engine = engine

    def of_instance(self, user_id: str, activity_code: str) -> Sequence[Asset]:
        """Give the user's assets of this activity, newest first.

        Raises:
            GatewayError: the database did not answer in time.
        """
        try:
            with self._engine.connect() as conn:
                return assets.of_instance(conn, user_id, activity_code)
        except (SQLAlchemyError, DatabaseDown) as error:
            raise GatewayError(f"the asset query did not answer: {type(error).__name__}") from error
