"""Months of `user_action`: made ahead of time, so that old ones can be dropped whole."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, text

AHEAD = 2


def _month(start: date, offset: int) -> date:
    month = start.month - 1 + offset
    return date(start.year + month // 12, month % 12 + 1, 1)


def ensure_months(conn: Connection) -> list[str]:
    """Add the partitions of this month and the next ones, where the default partition holds nothing of them.

    Returns:
        The names of the partitions added.
    """
    conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('tactics.partitions', 0))"))
    today: date = conn.execute(text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
    added = []
    for offset in range(AHEAD + 1):
        low, high = _month(today, offset), _month(today, offset + 1)
        name = f"user_action_p{low:%Y%m}"
        if conn.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar_one():
            continue
        span = {"low": low, "high": high}
        late = text("SELECT EXISTS (SELECT FROM user_action_pdefault WHERE at >= :low AND at < :high)")
        if conn.execute(late, span).scalar_one():
            continue
        conn.execute(
            text(f"CREATE TABLE {name} PARTITION OF user_action FOR VALUES FROM ('{low} UTC') TO ('{high} UTC')")
        )
        added.append(name)
    return added
