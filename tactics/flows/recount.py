"""Putting stock right that does not add up: after a restored backup, or a row that somebody changed by hand.

Read top-down: lock → count again what is given → write what differs, each with a line in the audit log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from tactics.errors import NotFound
from tactics.flows import reading
from tactics.runtime import Runtime
from tactics.store import activities, audit_log, limits, recount


@dataclass(frozen=True, slots=True)
class Recounted:
    """A number that did not add up, and what it is now; `what` is `stock` or a limit's counter, such as `budget`.

    `missing` is how many more were given of a benefit than there were, beyond what a movement made good.
    """

    what: str
    benefit: str | None
    before: int | None
    after: int
    missing: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def recount_stock(
    runtime: Runtime, activity_code: str, benefit: str | None = None, *, reason: str = "", dry_run: bool = False
) -> list[Recounted]:
    """Make stock, and the counters of limits, what declarations, movements and grants add up to.

    It may run beside grants, which wait for it, and a second time changes nothing.

    Args:
        runtime: the process's runtime, acting as whoever asks for it.
        activity_code: the activity's.
        benefit: only this benefit's stock; None: of all, and the counters of limits per day and of the budget.
        reason: why, for the audit log.
        dry_run: tell it, and change nothing.

    Returns:
        What differed. Stock is never below 0: where more was given than there was, `missing` says how many.

    Raises:
        NotFound: there is no such activity or benefit.
    """
    with reading.transaction(runtime) as conn, conn.begin_nested() as point:
        row = activities.locked(conn, activity_code)
        # Counters are locked before benefits, as grants do.
        found = _of_limits(conn, activity_code, row.version) if benefit is None else []
        found += _of_stock(conn, activity_code, benefit)
        for one in found:
            _tell(conn, activity_code, one, reason)
        if dry_run:
            point.rollback()
    return found


def _of_limits(conn: Connection, activity_code: str, version: int) -> list[Recounted]:
    before = recount.counters(conn, activity_code)
    limits.recount(conn, activities.load(conn, activity_code, version))
    after = recount.counters(conn, activity_code)
    return [
        Recounted(name, None, before.get(name), used) for name, used in after.items() if before.get(name, 0) != used
    ]


def _of_stock(conn: Connection, activity_code: str, benefit: str | None) -> list[Recounted]:
    due = recount.due(conn, activity_code)
    if benefit is not None and all(one.benefit != benefit for one in due):
        raise NotFound(
            f"activity {activity_code!r} has no limited benefit {benefit!r}; `tactics stock list` shows those it has",
            activity=activity_code,
            benefit=benefit,
        )
    found = []
    for one in due:
        left = max(one.due, 0)
        if benefit in {None, one.benefit} and (one.remaining != left or one.due < 0):
            recount.set_left(conn, activity_code, one.benefit, left)
            found.append(Recounted("stock", one.benefit, one.remaining, left, left - one.due))
    return found


def _tell(conn: Connection, activity_code: str, one: Recounted, reason: str) -> None:
    if one.before == one.after:
        return
    before: Mapping[str, Any] = {one.what: one.before}
    subject = activity_code if one.benefit is None else f"{activity_code}/{one.benefit}"
    kind = "activity" if one.benefit is None else "benefit"
    after = {one.what: one.after, "reason": reason}
    audit_log.add(conn, action="recounted", kind=kind, subject=subject, before=before, after=after)
