"""Deleting what is old, a bounded part at a time, and only what nothing hangs on any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

PAGES = 256
"""So many pages of a table are looked at in one transaction: at 8 KB each, some thousands of rows."""
USERS = 1_000
"""Grants of so many users are deleted in one transaction."""
NOTICES = 5_000
"""So many notices of the outbox are looked at in one transaction."""
REASON = "retention"
"""The reason of the stock movements that stand for deleted grants."""


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """What is older than these may go; `behaviours` is for events that cooldowns look at, `ended` names activities."""

    now: datetime
    events: datetime
    behaviours: datetime
    actions: datetime
    ended: Sequence[str]


@dataclass(frozen=True, slots=True)
class Piece:
    """Pages of a table's partition, `low` included and `high` not."""

    table: str
    partition: str
    low: int
    high: int


# An execution that a grant names says how it came about, and goes with the grants of its activity.
_EXECUTION = """
    execution.finished_at < :events AND execution.outcome <> 'parked'
    AND (NOT execution.assets_unknown OR execution.reconciled_at IS NOT NULL)
    AND NOT EXISTS (
        SELECT FROM grant_record AS held
        WHERE held.user_id = execution.user_id AND held.execution_id = execution.id
            AND held.activity_code <> ALL (:ended))
"""
# Kept: what is not done, what an execution may still be tried again for, what prepared an instance that may be rebuilt.
_EVENT = """
    event.received_at < :events AND event.at < :events AND event.routed_at IS NOT NULL AND event.parked_reason IS NULL
    AND event.next_attempt_at IS NULL AND (event.type <> 'behaviour' OR event.at < :behaviours)
    AND NOT EXISTS (
        SELECT FROM execution AS started
        WHERE started.user_id = event.user_id AND started.event_source = event.source AND started.event_id = event.id
            AND (started.finished_at IS NULL OR started.outcome = 'parked'
                 OR (started.assets_unknown AND started.reconciled_at IS NULL)))
    AND NOT EXISTS (
        SELECT FROM instance JOIN activity ON activity.code = instance.activity_code
        WHERE instance.user_id = event.user_id AND instance.prepared_source = event.source
            AND instance.prepared_event_id = event.id AND activity.ends_at >= :now)
"""
_OLD = {"execution": _EXECUTION, "event": _EVENT, "user_action": "user_action.at < :actions"}
_TYPES = {"ended": ARRAY(Text)}

_PARTITIONS = text(
    "SELECT child.relname, pg_relation_size(child.oid) / current_setting('block_size')::bigint AS pages"
    " FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = to_regclass(:name)"
    " ORDER BY 1"
)
# Over for long: nothing of it is open, can still be used, or was changed since.
_ENDED = text(
    "SELECT code FROM activity WHERE ends_at < :cutoff"
    " AND EXISTS (SELECT FROM grant_record WHERE activity_code = code)"
    " AND NOT EXISTS (SELECT FROM grant_record WHERE activity_code = code"
    " AND (state IN ('pending', 'unknown', 'parked') OR created_at >= :cutoff))"
    " AND NOT EXISTS (SELECT FROM execution WHERE activity_code = code AND finished_at IS NULL)"
    " AND code NOT IN (SELECT activity_code FROM asset WHERE status_at >= :cutoff"
    " OR (valid_until >= :cutoff AND status IN ('available', 'claimed')))"
    " ORDER BY code"
)
_OVER = text("SELECT ends_at < :cutoff FROM activity WHERE code = :code FOR NO KEY UPDATE")
_MARK = text("UPDATE activity SET grants_removed_at = coalesce(grants_removed_at, now()) WHERE code = :code")
_COUNTS = text(
    "SELECT (SELECT count(*) FROM grant_record WHERE activity_code = ANY (:codes)),"
    " (SELECT count(*) FROM asset WHERE activity_code = ANY (:codes))"
).bindparams(bindparam("codes", type_=ARRAY(Text)))
# Whole instances: the grants of one are counted without gaps.
_SOME_USERS = text("SELECT user_id FROM grant_record WHERE activity_code = :code LIMIT :most")
_THEIRS = "WHERE activity_code = :code AND user_id = ANY (:users)"
_CODES = text(
    f"DELETE FROM benefit_code WHERE activity_code = :code AND asset_id IN (SELECT id FROM asset {_THEIRS})"  # noqa: S608  # our own words
).bindparams(bindparam("users", type_=ARRAY(Text)))
_ASSETS = text(f"DELETE FROM asset {_THEIRS}").bindparams(bindparam("users", type_=ARRAY(Text)))  # noqa: S608  # as above
_OF_THEIRS = f"WHERE user_id = ANY (:users) AND grant_id IN (SELECT id FROM grant_record {_THEIRS})"  # noqa: S608  # as above
_ATTEMPTS, _OUTSIDE = (
    text(f"DELETE FROM {table} {_OF_THEIRS}").bindparams(bindparam("users", type_=ARRAY(Text)))  # noqa: S608  # as above
    for table in ("provider_attempt", "outside_grant")
)
# What was granted of a limited stock is moved out of it: what remains stays what it is.
_GRANTS = text(
    f"WITH gone AS (DELETE FROM grant_record {_THEIRS} RETURNING state, lines), taken AS ("  # noqa: S608  # as above
    " SELECT line ->> 'benefit' AS benefit, count(*) AS given FROM gone CROSS JOIN jsonb_array_elements(lines) AS line"
    " WHERE state <> 'refused' GROUP BY 1"
    "), moved AS ("
    " INSERT INTO stock_movement (activity_code, benefit_code, delta, reason)"
    " SELECT activity_code, code, -given, :reason FROM taken JOIN benefit ON code = taken.benefit"
    " WHERE activity_code = :code AND stock_initial IS NOT NULL ORDER BY code RETURNING 1"
    ") SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM moved)"
).bindparams(bindparam("users", type_=ARRAY(Text)))
# What is left of the grants that a limit counts: those under versions up to the last one that sets it.
_COUNTERS = text(
    "UPDATE limit_counter SET used = coalesce(("
    " SELECT CASE limit_counter.scope WHEN 'day' THEN count(*) ELSE sum(value_minor)::bigint END FROM grant_record AS held"
    " WHERE held.activity_code = :code AND held.state <> 'refused'"
    " AND (limit_counter.scope = 'budget' OR to_char(held.day, 'YYYY-MM-DD') = limit_counter.period)"
    " AND held.activity_version <= (SELECT max(version) FROM activity_version"
    " WHERE activity_code = :code AND definition -> 'limits'"
    " ->> CASE limit_counter.scope WHEN 'day' THEN 'per_day' ELSE 'budget_minor' END IS NOT NULL)"
    "), 0) WHERE activity_code = :code AND scope IN ('day', 'budget')"
)
_OLD_NOTICES = text("SELECT count(*) FROM outbox WHERE created_at < :cutoff")
# Ids are in the order of time, but for those of transactions at the same time: many young ones together end it.
_NOTICES = text(
    "WITH next AS (SELECT id, created_at FROM outbox WHERE id > :after ORDER BY id LIMIT :most), gone AS ("
    " DELETE FROM outbox WHERE id IN (SELECT id FROM next WHERE created_at < :cutoff) RETURNING 1"
    ") SELECT (SELECT max(id) FROM next WHERE (SELECT count(*) FROM gone) > 0), (SELECT count(*) FROM gone)"
)
# Rules that are off too: one may be switched on again.
_LOOK_BACK = text("SELECT coalesce(max(cooldown_s), 0) AS cooldown_s FROM behaviour_rule")


def pieces(conn: Connection, table: str, after: tuple[str, int]) -> Iterator[Piece]:
    """Cut a table's partitions into pieces, by name and page; of `user_action`, the default partition alone.

    Args:
        conn: any connection.
        table: which table.
        after: partition and page; only what comes from there on.
    """
    for partition, size in conn.execute(_PARTITIONS, {"name": table}).all():
        if table == "user_action" and not partition.endswith("_pdefault"):  # its months are dropped whole
            continue
        for low in range(0, size, PAGES):
            if (partition, low) >= after:
                yield Piece(table, partition, low, low + PAGES)


def delete(conn: Connection, piece: Piece, cutoffs: Cutoffs, *, count_only: bool = False) -> int:
    """Delete what is old in a piece of a table, or only count it; gives how many rows."""
    verb = "SELECT count(*)" if count_only else "DELETE"
    sql = (
        f"{verb} FROM {piece.partition} AS {piece.table} WHERE {piece.table}.ctid >= CAST(:low AS tid)"
        f" AND {piece.table}.ctid < CAST(:high AS tid) AND {_OLD[piece.table]}"
    )
    statement = text(sql)
    wanted = statement.compile().params.keys()
    statement = statement.bindparams(*[bindparam(name, type_=kind) for name, kind in _TYPES.items() if name in wanted])
    given = {
        "low": f"({piece.low},0)",
        "high": f"({piece.high},0)",
        "now": cutoffs.now,
        "events": cutoffs.events,
        "behaviours": cutoffs.behaviours,
        "actions": cutoffs.actions,
        "ended": list(cutoffs.ended),
    }
    found = conn.execute(statement, {name: given[name] for name in wanted})
    return int(found.scalar_one()) if count_only else found.rowcount


def longest_cooldown_s(conn: Connection) -> int:
    """Give how far back cooldowns of behaviour rules look at events, in seconds."""
    return int(conn.execute(_LOOK_BACK).scalar_one())


def count_notices(conn: Connection, cutoff: datetime) -> int:
    """Count the notices in the outbox that were written before `cutoff`."""
    return int(conn.execute(_OLD_NOTICES, {"cutoff": cutoff}).scalar_one())


def delete_notices(conn: Connection, after: int, cutoff: datetime) -> tuple[int | None, int]:
    """Delete old notices from the outbox, among the next ones.

    Args:
        conn: a transaction of its own.
        after: the id of the last notice that was looked at.
        cutoff: those written before it go.

    Returns:
        The last id that was looked at, None when those that come after are young; and how many went.
    """
    last, gone = conn.execute(_NOTICES, {"after": after, "most": NOTICES, "cutoff": cutoff}).one()
    return last, gone


def over_for_long(conn: Connection, cutoff: datetime) -> list[str]:
    """Give the activities with grants that ended before `cutoff`, and of which nothing can be used or settled any more."""
    return list(conn.execute(_ENDED, {"cutoff": cutoff}).scalars())


def count_grants(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """Count the grants and assets of activities."""
    grants, assets = conn.execute(_COUNTS, {"codes": list(codes)}).one()
    return {"grant_record": grants, "asset": assets}


def delete_grants(conn: Connection, code: str, cutoff: datetime) -> dict[str, int]:
    """Delete the grants and assets of some users of an activity that is over; what the audit adds up stays equal.

    Args:
        conn: a transaction of its own.
        code: the activity's.
        cutoff: it ended before that; if it does not any more, nothing is deleted.

    Returns:
        How many rows of each table; empty when nothing is left.
    """
    if not conn.execute(_OVER, {"code": code, "cutoff": cutoff}).scalar_one():
        return {}
    users = sorted(set(conn.execute(_SOME_USERS, {"code": code, "most": USERS}).scalars()))
    if not users:
        return {}
    theirs = {"code": code, "users": users}
    conn.execute(_MARK, {"code": code})
    codes = conn.execute(_CODES, theirs).rowcount
    assets = conn.execute(_ASSETS, theirs).rowcount
    attempts = conn.execute(_ATTEMPTS, theirs).rowcount
    outside = conn.execute(_OUTSIDE, theirs).rowcount
    grants, _ = conn.execute(_GRANTS, {**theirs, "reason": REASON}).one()
    conn.execute(_COUNTERS, {"code": code})
    more = {"benefit_code": codes, "outside_grant": outside, "provider_attempt": attempts}
    return {"grant_record": grants, "asset": assets, **{table: rows for table, rows in more.items() if rows}}
