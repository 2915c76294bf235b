"""Channel codes: what activities are bound to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by

from tactics.store.tables import activity_channel


def listing(conn: Connection, after: Sequence[str] = ("", ""), limit: int | None = None) -> Sequence[Row[Any]]:
    """Give link, channel code and the codes of the activities bound to it, by channel code and link.

    Args:
        conn: any connection.
        after: only those after this (channel code, link).
        limit: at most so many.
    """
    place = (activity_channel.c.channel_code, activity_channel.c.link)
    bound = func.array_agg(aggregate_order_by(activity_channel.c.activity_code, activity_channel.c.activity_code))
    query = select(*place, bound.label("activities")).where(tuple_(*place) > tuple_(*after))
    return conn.execute(query.group_by(*place).order_by(*place).limit(limit)).all()
