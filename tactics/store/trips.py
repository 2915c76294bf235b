"""Activities that pause themselves, and are let run again: what the loss breaker writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tactics.errors import Conflict
from tactics.store import activities, outbox

_OPEN = text("SELECT status = 'live' AND updated_at < :since FROM activity WHERE code = :code")
_PAUSE = text(
    "UPDATE activity SET status = 'paused', tripped_at = now(), tripped_reason = :reason, updated_at = now()"
    " WHERE code = :code AND status = 'live' AND updated_at < :since RETURNING tripped_at"
)
_NOW = text("SELECT now()")


@dataclass(frozen=True, slots=True)
class Trip:
    """A grant that would have passed a limit per minute: which limit, and why, for people.

    `since` is when its transaction began, by the database's clock: it says nothing of an activity that somebody has
    changed, or let run again, after that.
    """

    limit: str
    reason: str
    since: datetime


def began_at(conn: Connection) -> datetime:
    """Give when a transaction began."""
    found: datetime = conn.execute(_NOW).scalar_one()
    return found


def overtaken(conn: Connection, code: str, trip: Trip) -> bool:
    """Tell whether an activity is paused already, or was changed since; without waiting for anybody."""
    return not conn.execute(_OPEN, {"code": code, "since": trip.since}).scalar_one_or_none()


def pause(conn: Connection, code: str, trip: Trip) -> bool:
    """Pause an activity that has tripped, and tell others; once, however many processes find out at the same time.

    Args:
        conn: an open transaction, after `activities.serialize`.
        code: the activity's.
        trip: what came of the grant.

    Returns:
        Whether it is paused by this.
    """
    row = conn.execute(_PAUSE, {"code": code, "reason": trip.reason, "since": trip.since}).one_or_none()
    if row is None:
        return False
    activities.bump(conn, "activities")
    payload: dict[str, Any] = {"activity": code, "limit": trip.limit, "reason": trip.reason}
    outbox.add(conn, "tactics.paused", code, {**payload, "at": row.tripped_at.isoformat()})
    return True


def resume(conn: Connection, code: str) -> bool:
    """Let a paused activity run again in its current version, whoever paused it.

    Returns:
        Whether that changed anything.

    Raises:
        NotFound: there is no such activity.
        Conflict: it is a draft.
    """
    row = activities.locked(conn, code)
    if row.status == "draft":
        raise Conflict(
            f"activity {code!r} is a draft: `tactics activity publish {code}` lets it run for the first time",
            activity=code,
        )
    return activities.set_status(conn, code, "live")
