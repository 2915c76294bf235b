"""Shoppers' codes in Postgres: whose they are. Codes are never logged, nor put into errors."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, literal_column, select, tuple_

from tactics.domain.asset import Asset
from tactics.store import assets
from tactics.store.tables import asset

# As the index has it: a parameter for the key would keep it from being used.
_SHOWN: ColumnElement[str] = literal_column("(asset.details ->> 'code')")


class Holder(NamedTuple):
    """An instance that holds an asset with a code."""

    user_id: str
    activity_code: str


def holders(
    conn: Connection, code: str, *, user_id: str | None = None, activity_code: str | None = None
) -> list[Holder]:
    """Give whose a code is: nobody's, one instance's, or two of many, for one code may be everybody's."""
    query = select(asset.c.user_id, asset.c.activity_code).where(_SHOWN == code).limit(1)  # noqa: SIM300  # SQL
    if user_id is not None:
        query = query.where(asset.c.user_id == user_id)
    if activity_code is not None:
        query = query.where(asset.c.activity_code == activity_code)
    first = conn.execute(query).one_or_none()
    if first is None:
        return []
    other = query.where(tuple_(asset.c.user_id, asset.c.activity_code) != tuple_(*first))
    return [Holder(*row) for row in (first, conn.execute(other).one_or_none()) if row is not None]


def of_instance(conn: Connection, holder: Holder, code: str) -> list[Asset]:
    """Give the assets of an instance that have a code, newest first."""
    held = assets.of_instance(conn, holder.user_id, holder.activity_code)
    return [one for one in held if one.details.get("code") == code]
