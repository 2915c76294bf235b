"""Months of the tables that are partitioned by time: made ahead of time, so that old ones can be dropped whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from sqlalchemy import Connection, text

AHEAD = 2
TABLES = ("user_action", "audit_log")

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('tactics.partitions', 0))")
_MISSING = text("SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NULL")
_OF_TABLE = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = to_regclass(:name)"
    " AND child.relname ~ '_p[0-9]{6}$' ORDER BY 1"
)
# Dropping a partition needs its parent for a moment; who waits for that holds up everybody who comes after.
_PATIENCE = text("SET LOCAL lock_timeout = '500ms'")


@dataclass(frozen=True, slots=True)
class Month:
    """A month's partition; `ends_at` is where the next one begins."""

    name: str
    ends_at: datetime


def _month(start: date, offset: int) -> date:
    month = start.month - 1 + offset
    return date(start.year + month // 12, month % 12 + 1, 1)


def ensure_months(conn: Connection) -> list[str]:
    """Add the partitions of this month and the next ones, where the default partition holds nothing of them.

    Returns:
        The names of the partitions added.
    """
    conn.execute(_LOCK)
    today: date = conn.execute(text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
    spans = [(_month(today, offset), _month(today, offset + 1)) for offset in range(AHEAD + 1)]
    wanted = {f"{table}_p{low:%Y%m}": (table, low, high) for table in TABLES for low, high in spans}
    missing = conn.execute(_MISSING, {"names": list(wanted)}).scalars().all()
    return [name for name in missing if _made(conn, name, *wanted[name])]


def _made(conn: Connection, name: str, table: str, low: date, high: date) -> bool:
    late = text(f"SELECT EXISTS (SELECT FROM {table}_pdefault WHERE at >= :low AND at < :high)")  # noqa: S608  # a table of ours
    if conn.execute(late, {"low": low, "high": high}).scalar_one():
        return False
    conn.execute(text(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{low} UTC') TO ('{high} UTC')"))
    if table == "audit_log":  # triggers of statements are not handed down
        conn.execute(
            text(
                f"CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON {name} FOR EACH STATEMENT"
                " EXECUTE FUNCTION tactics_append_only()"
            )
        )
    return True


def months(conn: Connection, table: str) -> list[Month]:
    """Give the months that a table has partitions of, the oldest first; the default partition is none."""
    found = []
    for name in conn.execute(_OF_TABLE, {"name": table}).scalars():
        start = date(int(name[-6:-2]), int(name[-2:]), 1)
        found.append(Month(name, datetime.combine(_month(start, 1), time(), UTC)))
    return found


def drop(conn: Connection, names: Sequence[str]) -> None:
    """Drop months with all that they hold. Writers wait for a moment at most.

    Raises:
        OperationalError: somebody was using the table all the while: try again later.
    """
    conn.execute(_PATIENCE)
    for name in names:
        conn.execute(text(f"DROP TABLE {name}"))
