"""Movements of stock beside what documents declare: who added or took back how much, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, func, insert, select, true, update

from tactics.store.stock import DECLARED
from tactics.store.tables import benefit, benefit_code, stock_movement


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement as stored; `key` is the id that its caller gave it, `actor` is None where a document caused it."""

    id: int
    delta: int
    reason: str
    key: str | None
    actor: str | None
    created_at: datetime


_COLUMNS = (
    stock_movement.c.id,
    stock_movement.c.delta,
    stock_movement.c.reason,
    stock_movement.c.movement_key,
    stock_movement.c.actor,
    stock_movement.c.created_at,
)


def of_activity(conn: Connection, activity_code: str) -> Sequence[Any]:
    """Give code, declared, added, remaining, taken, codes and codes_left of an activity's benefits.

    `declared`, `remaining` and `taken` are None of an unlimited benefit; `codes` of one without a pool is 0.
    """
    pair = (stock_movement.c.activity_code == benefit.c.activity_code, stock_movement.c.benefit_code == benefit.c.code)
    pool = (benefit_code.c.activity_code == benefit.c.activity_code, benefit_code.c.benefit_code == benefit.c.code)
    moved = (
        select(
            func.coalesce(func.sum(stock_movement.c.delta), 0).cast(BigInteger).label("all"),
            func.coalesce(func.sum(stock_movement.c.delta).filter(stock_movement.c.reason == DECLARED), 0)
            .cast(BigInteger)
            .label("declared"),
        )
        .where(*pair)
        .lateral()
    )
    codes = (
        select(func.count().label("all"), func.count().filter(benefit_code.c.asset_id.is_(None)).label("left"))
        .where(*pool)
        .lateral()
    )
    columns = (
        benefit.c.code,
        (benefit.c.stock_initial + moved.c.declared).label("declared"),
        (moved.c["all"] - moved.c.declared).label("added"),
        benefit.c.remaining,
        (benefit.c.stock_initial + moved.c["all"] - benefit.c.remaining).label("taken"),
        codes.c["all"].label("codes"),
        codes.c["left"].label("codes_left"),
    )
    query = select(*columns).select_from(benefit).join(moved, true()).join(codes, true())
    return conn.execute(query.where(benefit.c.activity_code == activity_code).order_by(benefit.c.code)).all()


def locked(conn: Connection, activity_code: str, name: str) -> Row[Any] | None:
    """Give a benefit's row, which no grant takes from until the transaction ends."""
    mine = (benefit.c.activity_code == activity_code, benefit.c.code == name)
    return conn.execute(select(benefit).where(*mine).with_for_update(key_share=True)).one_or_none()


def codes_left(conn: Connection, activity_code: str, name: str) -> int | None:
    """Count the codes of a benefit's pool that no asset has; None where it has no pool."""
    mine = (benefit_code.c.activity_code == activity_code, benefit_code.c.benefit_code == name)
    counts = select(func.count(), func.count().filter(benefit_code.c.asset_id.is_(None))).where(*mine)
    found, left = conn.execute(counts).one()
    return int(left) if found else None


def move(
    conn: Connection, activity_code: str, name: str, *, delta: int, reason: str, key: str | None, actor: str
) -> Movement:
    """Write a movement and what remains after it; the caller has locked the benefit and knows that it may be."""
    mine = (benefit.c.activity_code == activity_code, benefit.c.code == name)
    conn.execute(update(benefit).where(*mine).values(remaining=benefit.c.remaining + delta))
    row = {
        "activity_code": activity_code,
        "benefit_code": name,
        "delta": delta,
        "reason": reason,
        "movement_key": key,
        "actor": actor,
    }
    return Movement(*conn.execute(insert(stock_movement).values(row).returning(*_COLUMNS)).one())


def by_key(conn: Connection, activity_code: str, name: str, key: str) -> Movement | None:
    """Give the movement of a benefit that a caller gave this id."""
    found = conn.execute(
        select(*_COLUMNS).where(*_of(activity_code, name), stock_movement.c.movement_key == key)
    ).one_or_none()
    return Movement(*found) if found else None


def listing(conn: Connection, activity_code: str, name: str, *, before: int | None, limit: int) -> list[Movement]:
    """Give the movements of a benefit, the newest first; `before` is the number of the last one that was seen."""
    query = select(*_COLUMNS).where(*_of(activity_code, name))
    if before is not None:
        query = query.where(stock_movement.c.id < before)
    return [Movement(*row) for row in conn.execute(query.order_by(stock_movement.c.id.desc()).limit(limit))]


def _of(activity_code: str, name: str) -> tuple[Any, Any]:
    return stock_movement.c.activity_code == activity_code, stock_movement.c.benefit_code == name
