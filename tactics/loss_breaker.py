"""The loss breaker: an activity that grants or costs more within a minute than its limits say pauses itself.

The grant that would pass the limit is refused in its own transaction, so nothing is given past it, whatever becomes of
the pause. Once that transaction has ended, whoever ran it pauses the activity; if that process dies first, whoever meets
the limit next does.
"""

from __future__ import annotations

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from tactics import metrics
from tactics.domain.activity import TacticsActivity
from tactics.errors import TacticsError
from tactics.runtime import Runtime
from tactics.store import activities, trips
from tactics.store.trips import Trip

log = structlog.get_logger()

ACTOR = "tactics:loss-breaker"
PATIENCE_MS = 1_000
"""Somebody may wait for an answer: who sets activities up at this moment is not waited for any longer."""


class LimitMet(TacticsError):
    """A grant that nobody waits for met a limit per minute: its execution waits until the activity runs again."""

    code = "limit_met"

    def __init__(self, trip: Trip) -> None:
        """Keep what the activity is paused for."""
        super().__init__(trip.reason)
        self.trip = trip


def trip_of(conn: Connection, activity: TacticsActivity, limit: str) -> Trip:
    """Say what a grant met, within its transaction; `limit` is the name of one of the activity's limits per minute."""
    most = getattr(activity.limits, limit)
    what = f"{most} grants a minute are" if limit == "grants_per_minute" else f"a cost of {most} a minute is"
    return Trip(limit, f"{what} the most", trips.began_at(conn))


def pause_itself(runtime: Runtime, activity_code: str, trip: Trip | None) -> bool:
    """Pause an activity that has tripped, and tell: outbox, audit log, log and metric, once for all who find out.

    Args:
        runtime: the process's runtime.
        activity_code: which.
        trip: what a grant met whose transaction has ended; None: there was nothing.

    Returns:
        Whether it is paused by this; not where it is paused already, was changed since, or could not be reached now.
    """
    if trip is None:
        return False
    try:
        with runtime.reading() as conn:
            if trips.overtaken(conn, activity_code, trip):
                return False
        with runtime.acting_as(ACTOR, patience_ms=PATIENCE_MS).changing() as conn:
            activities.serialize(conn)
            paused = trips.pause(conn, activity_code, trip)
    except (SQLAlchemyError, TacticsError) as error:  # the next grant that meets the limit does it
        log.warning("not_paused", activity=activity_code, error=type(error).__name__)
        return False
    if paused:
        metrics.TRIPS.count(activity_code, trip.limit)
        log.error("paused_itself", activity=activity_code, limit=trip.limit, reason=trip.reason)
    return paused
