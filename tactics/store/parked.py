"""What was given up on: events and executions past their last attempt, or that can never work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Text, and_, func, literal, null, select, true, union_all, update

from tactics.store.events import Ref
from tactics.store.executions import Claim
from tactics.store.tables import event, execution


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """One parked event or execution; `id` is what `claim` takes."""

    kind: str
    id: str
    user_id: str
    about: str
    reason: str
    attempts: int
    since: datetime

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {**asdict(self), "since": self.since.isoformat()}


_EVENT_ID = event.c.source + " " + event.c.id
_EVENTS = select(
    literal("event").label("kind"),
    _EVENT_ID.label("id"),
    event.c.user_id.label("user_id"),
    func.coalesce(event.c.channel, event.c.type).label("about"),
    event.c.parked_reason.label("reason"),
    event.c.attempts.label("attempts"),
    event.c.received_at.label("since"),
).where(event.c.parked_reason.is_not(None))
_EXECUTIONS = select(
    literal("execution"),
    execution.c.id.cast(Text),
    execution.c.user_id,
    execution.c.activity_code,
    execution.c.reason,
    execution.c.attempts,
    execution.c.created_at,
).where(execution.c.outcome == "parked")


def listing(conn: Connection, limit: int) -> list[ParkedRow]:
    """Give what is parked, the newest first."""
    both = union_all(_EVENTS, _EXECUTIONS).subquery()
    return [ParkedRow(*row) for row in conn.execute(select(both).order_by(both.c.since.desc()).limit(limit))]


def claim(conn: Connection, ids: Sequence[str] | None, claim_s: float) -> tuple[list[Ref], list[Claim]]:
    """Take parked events and executions for one more attempt. The caller commits, then publishes.

    Args:
        conn: an open transaction.
        ids: as `listing` gives them; None is all.
        claim_s: how long the attempt has before it counts as failed, in seconds.

    Returns:
        The events and the executions that were taken; what is not parked any more is passed over.
    """
    chosen_events = and_(event.c.parked_reason.is_not(None), true() if ids is None else _EVENT_ID.in_(ids))
    id_text = execution.c.id.cast(Text)
    chosen_executions = and_(execution.c.outcome == "parked", true() if ids is None else id_text.in_(ids))
    due = func.clock_timestamp() + timedelta(seconds=claim_s)
    events = conn.execute(
        update(event)
        .where(chosen_events)
        .values(
            attempts=event.c.attempts + 1, parked_reason=null(), outcome=null(), routed_at=null(), next_attempt_at=due
        )
        .returning(event.c.source, event.c.id, event.c.attempts)
    ).all()
    executions = conn.execute(
        update(execution)
        .where(chosen_executions)
        .values(attempts=execution.c.attempts + 1, outcome=null(), finished_at=null(), next_attempt_at=due)
        .returning(execution.c.id, execution.c.attempts)
    ).all()
    return [(row.source, row.id, row.attempts) for row in events], [Claim(*row) for row in executions]
