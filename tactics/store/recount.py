"""What is left, worked out again from what was declared, moved and given: the same sum that the audit makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, text, update

from tactics.store.tables import benefit, limit_counter

_LOCK = (
    select(benefit.c.code)
    .where(benefit.c.activity_code == bindparam("activity"))
    .order_by(benefit.c.code)
    .with_for_update(key_share=True)
)
_DUE = text("""
    WITH taken AS (
        SELECT line.value ->> 'benefit' AS code, count(*) AS taken
        FROM grant_record g CROSS JOIN LATERAL jsonb_array_elements(g.lines) AS line (value)
        WHERE g.activity_code = :activity AND g.state <> 'refused'
        GROUP BY 1
    ), moved AS (
        SELECT benefit_code AS code, sum(delta)::bigint AS moved FROM stock_movement
        WHERE activity_code = :activity GROUP BY 1
    )
    SELECT code, remaining, stock_initial + coalesce(moved, 0) - coalesce(taken, 0) AS due
    FROM benefit LEFT JOIN taken USING (code) LEFT JOIN moved USING (code)
    WHERE activity_code = :activity AND stock_initial IS NOT NULL ORDER BY code
""")
_SET = (
    update(benefit)
    .where(benefit.c.activity_code == bindparam("activity"), benefit.c.code == bindparam("name"))
    .values(remaining=bindparam("left"))
)
_COUNTERS = (
    select(func.concat_ws("/", limit_counter.c.scope, func.nullif(limit_counter.c.period, "")), limit_counter.c.used)
    .where(limit_counter.c.activity_code == bindparam("activity"), limit_counter.c.scope.in_(("day", "budget")))
    .order_by(limit_counter.c.scope.desc(), limit_counter.c.period)  # days before the budget, as grants lock them
    .with_for_update(key_share=True)
)


@dataclass(frozen=True, slots=True)
class Due:
    """What remains of a limited benefit by its row, and by what was declared, moved and given; below 0: too much was."""

    benefit: str
    remaining: int
    due: int


def due(conn: Connection, activity_code: str) -> Sequence[Due]:
    """Lock an activity's benefits, and give what is due of each that is limited.

    Grants that have taken stock have committed by then, and are counted; those that have not take from what is set.
    """
    key = {"activity": activity_code}
    conn.execute(_LOCK, key)
    return [Due(*row) for row in conn.execute(_DUE, key)]  # begun after the locks: it sees whoever was before them


def set_left(conn: Connection, activity_code: str, name: str, left: int) -> None:
    """Write what is left of a benefit; the caller has locked it."""
    conn.execute(_SET, {"activity": activity_code, "name": name, "left": left})


def counters(conn: Connection, activity_code: str) -> dict[str, int]:
    """Lock and give an activity's counters of days and of its budget: `day/2026-11-23` or `budget`, and what each counts."""
    return {name: int(used) for name, used in conn.execute(_COUNTERS, {"activity": activity_code})}
