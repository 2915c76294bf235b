"""Executions that wait for an activity which paused itself: parked until it is live again, then let go, none left out.

They are told apart by the beginning of their reason, which the index `ix_execution_held` knows too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, and_, func, literal_column, text, update
from sqlalchemy.dialects.postgresql import insert

from tactics.store.executions import Claim, ExecutionRow
from tactics.store.tables import execution

PAUSED_ITSELF = "the activity paused itself"
"""How the reason of each begins. The index has it written out: another wording needs a migration."""

# Written out here too: a statement planned for any value could not use the index.
HELD = and_(
    execution.c.outcome == literal_column("'parked'"),
    execution.c.reason.op("LIKE")(literal_column(f"'{PAUSED_ITSELF}%'")),
)
_ADD = insert(execution).values(outcome="parked", finished_at=func.clock_timestamp()).on_conflict_do_nothing()
# They never began: one that did so in a minute which had given all it may begins in another.
_LET_GO = text(f"""
    WITH due AS MATERIALIZED (
        SELECT execution.user_id, execution.id, activity.ends_at
        FROM activity JOIN execution ON execution.activity_code = activity.code
        WHERE execution.outcome = 'parked' AND execution.reason LIKE '{PAUSED_ITSELF}%'
            AND activity.status = 'live' AND activity.code = coalesce(:code, activity.code)
        ORDER BY execution.created_at
        LIMIT :limit
        FOR NO KEY UPDATE OF execution SKIP LOCKED
    )
    UPDATE execution
    SET attempts = attempts + 1, waits = waits + 1, outcome = NULL, reason = NULL, finished_at = NULL,
        next_attempt_at = clock_timestamp() + :claim,
        business_at = CASE WHEN :begins_now AND now() < due.ends_at THEN now() ELSE business_at END
    FROM due
    WHERE execution.user_id = due.user_id AND execution.id = due.id
    RETURNING execution.id, execution.attempts
""")  # noqa: S608  # our own words


def reason_of(tripped_reason: str) -> str:
    """Say what an execution, or a placement, of an activity that paused itself meets."""
    return f"{PAUSED_ITSELF}: {tripped_reason}"


def add(conn: Connection, rows: Sequence[tuple[ExecutionRow, str]]) -> None:
    """Insert executions that wait before they begin, each with why its activity paused itself.

    One an (event, instance) that exists is left out.
    """
    ordered = sorted(rows, key=lambda one: (one[0].user_id, one[0].event_source, one[0].event_id, one[0].activity_code))
    if ordered:
        conn.execute(_ADD, [{**row.new(), "reason": reason_of(why)} for row, why in ordered])


def hold(conn: Connection, row: ExecutionRow, *, attempt: int, tripped_reason: str) -> None:
    """Let an execution wait that met the limit itself, unless a later attempt has begun: then it begins anew."""
    current = and_(execution.c.attempts == attempt, execution.c.finished_at.is_(None))
    conn.execute(
        update(execution)
        .where(execution.c.user_id == row.user_id, execution.c.id == row.id, current)
        .values(
            step=None,
            epoch=None,
            context=None,
            trace=None,
            next_attempt_at=None,
            outcome="parked",
            reason=reason_of(tripped_reason),
            finished_at=func.clock_timestamp(),
        )
    )


def let_go(
    conn: Connection, *, limit: int, claim_s: float, code: str | None = None, begins_now: bool = True
) -> list[Claim]:
    """Take executions whose activity is live again for an attempt, the oldest first. The caller commits, then publishes.

    Args:
        conn: an open transaction.
        limit: at most so many; those that somebody else takes at this moment are passed over.
        claim_s: how long the attempt has before it counts as failed, in seconds.
        code: only this activity's.
        begins_now: their business time is this moment, unless their activity is over; else it stays what it was.
    """
    claim = timedelta(seconds=claim_s)
    given = {"limit": limit, "claim": claim, "code": code, "begins_now": begins_now}
    return [Claim(*row) for row in conn.execute(_LET_GO, given)]
