"""What waits, and what is left: counts for whoever watches, cheap enough to be read every few seconds.

Each is read from a partial index and ends at MOST, so that a large backlog is not made worse by being counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from tactics.store.tables import OPEN_STATES

MOST = 100_000
MOST_STOCKS = 200


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not done. Counts end at MOST; ages are of what was due first, in seconds, 0 where nothing is due."""

    events: int
    events_overdue_s: float
    executions: int
    executions_overdue_s: float
    parked_events: int
    parked_executions: int
    unreconciled: int
    activities_tripped: int


@dataclass(frozen=True, slots=True)
class StockLeft:
    """How many of a benefit are left."""

    activity_code: str
    benefit_code: str
    remaining: int


def _count(table: str, condition: str) -> str:
    return f"(SELECT count(*) FROM (SELECT FROM {table} WHERE {condition} LIMIT {MOST}) AS waiting)"  # noqa: S608  # names of ours


def _overdue(table: str) -> str:
    # Not min(), which reads every partition's whole index: the first of each is enough.
    first = f"SELECT next_attempt_at FROM {table} WHERE next_attempt_at IS NOT NULL ORDER BY next_attempt_at LIMIT 1"  # noqa: S608  # names of ours
    return f"greatest(0, extract(epoch FROM clock_timestamp() - ({first})))::float8"


_DUE = "next_attempt_at IS NOT NULL"
_UNRECONCILED = "assets_unknown AND reconciled_at IS NULL AND finished_at IS NOT NULL"
# Conditions are written out, as the indexes have them: a statement planned for any value could not use those.
_BACKLOG = text(f"""
    SELECT {_count("event", _DUE)}, {_overdue("event")}, {_count("execution", _DUE)}, {_overdue("execution")},
           {_count("event", "parked_reason IS NOT NULL")}, {_count("execution", "outcome = 'parked'")},
           {_count("execution", _UNRECONCILED)}, {_count("activity", "tripped_at IS NOT NULL")}
""")
_STATES = ", ".join(f"'{state}'" for state in OPEN_STATES)
_OPEN = text(f"""
    SELECT state, count(*)
    FROM (SELECT state FROM grant_record WHERE state IN ({_STATES}) LIMIT {MOST}) AS waiting
    GROUP BY state
""")  # noqa: S608  # names of ours
_STOCK = text(f"""
    SELECT benefit.activity_code, benefit.code, benefit.remaining
    FROM benefit JOIN activity ON activity.code = benefit.activity_code
    WHERE benefit.remaining IS NOT NULL AND activity.status = 'live' AND activity.ends_at > now()
    ORDER BY benefit.remaining::float8 / greatest(benefit.stock_initial, 1), benefit.activity_code, benefit.code
    LIMIT {MOST_STOCKS}
""")  # noqa: S608  # a number of ours


def backlog(conn: Connection) -> Backlog:
    """Count what waits."""
    return Backlog(*conn.execute(_BACKLOG).one())


def open_grants(conn: Connection) -> dict[str, int]:
    """Count the grants that are open, by state."""
    found = dict.fromkeys(OPEN_STATES, 0)
    for state, count in conn.execute(_OPEN):
        found[state] = count
    return found


def stock_left(conn: Connection) -> list[StockLeft]:
    """Give what is left of live activities' limited benefits: the MOST_STOCKS of which the least share is left."""
    return [StockLeft(*row) for row in conn.execute(_STOCK)]
