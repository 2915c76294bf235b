"""How much of a benefit there is: declared by documents, counted down by grants.

`remaining` = `stock_initial` + movements - what is granted or reserved. Documents declare a total: another total is a
movement of the difference, so that grants running at the same moment are neither lost nor counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import BigInteger, Connection, Row, bindparam, func, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert

from tactics.domain.activity import Benefit, TacticsActivity
from tactics.errors import Conflict
from tactics.store.tables import benefit, benefit_code, stock_movement

DECLARED = "import"
"""The reason of movements that documents cause; a movement for any other reason comes on top of what they declare."""

Least = Literal["refuse", "keep"]
"""What happens where less is declared than was granted or reserved: it is refused, or that much stays the stock."""

_KEY = (benefit.c.activity_code == bindparam("activity"), benefit.c.code == bindparam("benefit"))
_MOVEMENTS = select(
    func.coalesce(func.sum(stock_movement.c.delta), 0).cast(BigInteger),
    func.coalesce(func.sum(stock_movement.c.delta).filter(stock_movement.c.reason == DECLARED), 0).cast(BigInteger),
).where(stock_movement.c.activity_code == bindparam("activity"), stock_movement.c.benefit_code == bindparam("benefit"))
_MOVE = (
    update(benefit)
    .where(*_KEY, benefit.c.remaining + bindparam("delta") >= 0)
    .values(remaining=benefit.c.remaining + bindparam("delta"))
    .returning(benefit.c.remaining)
)
_RESET = update(benefit).where(*_KEY).values(stock_initial=bindparam("initial"), remaining=bindparam("left"))
_POOL_SIZE = select(func.count()).where(
    benefit_code.c.activity_code == bindparam("activity"), benefit_code.c.benefit_code == bindparam("benefit")
)


def of_activity(conn: Connection, activity_code: str) -> Sequence[Row[Any]]:
    """Give code, stock_initial, moved and remaining of an activity's benefits; no stock is no limit."""
    moved = (
        select(func.coalesce(func.sum(stock_movement.c.delta), 0))
        .where(stock_movement.c.activity_code == benefit.c.activity_code)
        .where(stock_movement.c.benefit_code == benefit.c.code)
        .scalar_subquery()
    )
    columns = [benefit.c.code, benefit.c.stock_initial, moved.label("moved"), benefit.c.remaining]
    return conn.execute(select(*columns).where(benefit.c.activity_code == activity_code).order_by(benefit.c.code)).all()


def taken(conn: Connection, activity_code: str) -> dict[str, int]:
    """Give how much of each limited benefit is granted or reserved, less what was added beside its document."""
    beside = func.coalesce(func.sum(stock_movement.c.delta).filter(stock_movement.c.reason != DECLARED), 0)
    query = (
        select(stock_movement.c.benefit_code, beside.cast(BigInteger))
        .where(stock_movement.c.activity_code == activity_code)
        .group_by(stock_movement.c.benefit_code)
    )
    added = {row[0]: int(row[1]) for row in conn.execute(query)}
    return {
        row.code: row.stock_initial + int(row.moved) - row.remaining - added.get(row.code, 0)
        for row in of_activity(conn, activity_code)
        if row.stock_initial is not None
    }


def declare(conn: Connection, activity: TacticsActivity, *, never_ran: bool, least: Least = "refuse") -> list[str]:
    """Make the stock of an activity's benefits what its document declares.

    Codes of a pool are only ever added: one that the document no longer lists stays, for it may be given already. So do
    the benefits themselves. A pool without `stock` declares as many as it has codes by now.

    Args:
        conn: an open transaction with the activity's row locked.
        activity: the document's activity.
        never_ran: nothing was granted yet and nothing is at this moment, so unlimited and limited may change places.
        least: what happens where less is declared than was granted.

    Returns:
        What the operator may not expect, in sentences.

    Raises:
        Conflict: less is declared than was granted and `least` refuses, or an activity that ran goes from unlimited to limited or back.
    """
    known = {row.code: row for row in of_activity(conn, activity.code)}
    notes = [
        f"benefit {name!r} is no longer in the document; what was granted of it stays"
        for name in sorted(known.keys() - activity.benefits.keys())
    ]
    for name, declared in sorted(activity.benefits.items()):
        if name in known:
            notes += _redeclare(conn, activity, name, declared, never_ran=never_ran, least=least)
        else:
            left = declared.initial_stock
            row = {"activity_code": activity.code, "code": name, "stock_initial": left, "remaining": left}
            conn.execute(insert(benefit).values(row))
            _add_codes(conn, activity.code, name, declared)
    return notes


def _redeclare(
    conn: Connection, activity: TacticsActivity, name: str, declared: Benefit, *, never_ran: bool, least: Least
) -> list[str]:
    notes: list[str] = []
    key = {"activity": activity.code, "benefit": name}
    row = conn.execute(select(benefit).where(*_KEY).with_for_update(key_share=True), key).one()
    moved, moved_by_documents = conn.execute(_MOVEMENTS, key).one()
    pool = 0 if declared.codes is None else int(conn.execute(_POOL_SIZE, key).scalar_one())
    wanted = pool if declared.codes is not None and declared.stock is None else declared.stock
    if (wanted is None) != (row.stock_initial is None):
        if not never_ran:
            raise _not_after_start(activity.code, name, wanted)
        conn.execute(_RESET, {**key, "initial": None if wanted is None else wanted - int(moved), "left": wanted})
    elif wanted is not None:
        before = row.stock_initial + int(moved_by_documents)
        if least == "keep" and wanted < before - row.remaining:
            notes.append(f"benefit {name!r}: the stock cannot be {wanted} again, {before - row.remaining} are given")
            wanted = before - row.remaining
        if wanted != before:
            _move(conn, key, before, wanted)
    gone = pool - len(declared.codes) if declared.codes is not None else 0
    if gone > 0:
        notes.append(f"benefit {name!r}: codes that are no longer in the document stay in the pool: {gone}")
    return notes


def _move(conn: Connection, key: dict[str, str], before: int, wanted: int) -> None:
    delta = wanted - before
    if conn.execute(_MOVE, {**key, "delta": delta}).one_or_none() is None:
        left = conn.execute(select(benefit.c.remaining).where(*_KEY), key).scalar_one()
        raise Conflict(
            f"activity {key['activity']!r}, benefit {key['benefit']!r}: the stock cannot go from {before} to {wanted}, "
            f"for only {left} are left that are neither granted nor reserved; the least is {before - left}",
            activity=key["activity"],
            benefit=key["benefit"],
            least=before - left,
        )
    conn.execute(
        plain_insert(stock_movement).values(
            activity_code=key["activity"], benefit_code=key["benefit"], delta=delta, reason=DECLARED
        )
    )


def add_codes(conn: Connection, activity: TacticsActivity) -> None:
    """Add to the pools of an activity's known benefits the codes that are new.

    It waits for grants that have just taken a code, so it comes before whatever such a grant takes after its codes: the
    limits' counters and the benefit's row.
    """
    known = {row.code for row in of_activity(conn, activity.code)}
    for name, declared in sorted(activity.benefits.items()):
        if name in known:
            _add_codes(conn, activity.code, name, declared)


def _add_codes(conn: Connection, activity_code: str, name: str, declared: Benefit) -> None:
    if declared.codes:
        rows = [{"activity_code": activity_code, "benefit_code": name, "code": code} for code in declared.codes]
        conn.execute(insert(benefit_code).on_conflict_do_nothing(), rows)


def _not_after_start(activity_code: str, name: str, wanted: int | None) -> Conflict:
    now, then = ("limited", "unlimited") if wanted is None else ("unlimited", "limited")
    return Conflict(
        f"activity {activity_code!r}, benefit {name!r}: its stock is {now} and cannot become {then} "
        "once the activity was published; give the benefit another code",
        activity=activity_code,
        benefit=name,
    )
