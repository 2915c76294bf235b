"""The outbox: what other systems should hear of, written in the transaction in which it comes true.

A trigger makes a delivery of each row for every webhook that wants its topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import Connection, select

from tactics.domain.asset import Asset, AssetChange
from tactics.store.statement import Statement
from tactics.store.tables import outbox

_ADD = Statement("""
    INSERT INTO outbox (topic, key, payload)
    SELECT $1::text, key, payload FROM unnest($2::text[], $3::jsonb[]) AS given (key, payload)
""")


@dataclass(frozen=True, slots=True)
class Notice:
    """A row of the outbox."""

    id: int
    topic: str
    payload: dict[str, Any]
    created_at: datetime


def add(conn: Connection, topic: str, key: str, payload: dict[str, Any]) -> None:
    """Write a notice; nobody hears of it unless the transaction is committed.

    Args:
        conn: the transaction in which what it tells comes true.
        topic: such as `tactics.parked`.
        key: what it is about; not unique.
        payload: ids, plain data. Under `user_id` whose it is, for the user may be erased.
    """
    add_all(conn, topic, [(key, payload)])


def add_all(conn: Connection, topic: str, notices: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Write notices of one topic, each with its key, in one statement."""
    if notices:
        _ADD.run(conn, topic, [key for key, _ in notices], [Jsonb(payload) for _, payload in notices])


def tell_change(conn: Connection, changed: Asset, change: AssetChange) -> None:
    """Tell what became of an asset: it was claimed, redeemed, released, expired or revoked."""
    payload = {
        "activity": changed.activity_code,
        "user_id": changed.user_id,
        "grant_id": str(changed.grant_id),
        "asset_id": str(changed.id),
        "benefit": changed.benefit_code,
        "status": changed.status,
    }
    add(conn, f"tactics.{change}", str(changed.id), payload)


def read(conn: Connection, ids: Sequence[int]) -> dict[int, Notice]:
    """Read notices, by id; those that retention took are left out."""
    query = select(outbox.c.id, outbox.c.topic, outbox.c.payload, outbox.c.created_at).where(outbox.c.id.in_(ids))
    return {row.id: Notice(*row) for row in conn.execute(query)}
