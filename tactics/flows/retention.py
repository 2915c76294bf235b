"""Retention: what is older than the settings say goes, unless something still needs it. Beat starts it once a day.

Read top-down: what needs the past → whole months → grants of activities that are over → executions → events. Each part
is a transaction of its own, so it is safe to interrupt, and the audit adds up after each.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from tactics import rules
from tactics.celery_app import TacticsApp
from tactics.chain import TacticsTask
from tactics.errors import UnreadableActivity
from tactics.runtime import Runtime
from tactics.store import activities, audit_log, behaviour_rules, partitions, retention

log = structlog.get_logger()

DAY_S = 86_400
TRIES = 5
_TABLES = ("execution", "event", "user_action")
_START = ("", 0)
_AGES = datetime(1, 1, 2, tzinfo=UTC)
"""Older than anything: what is kept for ever."""


@dataclass
class Retained:
    """What went: rows by table, and whole months; and why something older stayed. `next` is where a run goes on."""

    rows: Counter[str] = field(default_factory=Counter)
    months: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    next: tuple[str, str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        found = asdict(self)
        return {"rows": dict(self.rows), "months": found["months"], "kept": found["kept"], "done": self.next is None}


@dataclass(frozen=True, slots=True)
class LooksBack:
    """Who reads user actions of the past, and how far, in seconds; None is without end."""

    name: str
    window_s: int | None


def retain(
    runtime: Runtime,
    *,
    dry_run: bool = False,
    at_most_s: float | None = None,
    after: tuple[str, str, int] | None = None,
) -> Retained:
    """Let go of what is older than the settings say.

    Args:
        runtime: the process's runtime.
        dry_run: only count; nothing is deleted.
        at_most_s: begin no part after so many seconds; None goes on to the end.
        after: where an earlier run stopped, as its `next` says.

    Returns:
        What went, or would go.
    """
    settings, found = runtime.settings, Retained()
    if settings.replay:
        found.kept.append("business time is the events' own (TACTICS_REPLAY): nothing is old here")
        return found
    ends_at = None if at_most_s is None else time.monotonic() + at_most_s
    with runtime.engine.connect() as conn:
        now = runtime.now(conn)
        actions = _actions_cutoff(runtime, conn, now, found)
        old = _old_months(runtime, conn, actions, now)
        cutoffs = _cutoffs(runtime, conn, now, actions, found)
    found.months = [name for name in old if dry_run or _dropped(runtime, name, found)]
    if settings.keep_events_days:
        _grants(runtime, cutoffs, found, dry_run=dry_run, ends_at=ends_at)
    found.next = _rows(runtime, cutoffs, found, dry_run=dry_run, ends_at=ends_at, after=after)
    if not dry_run and (found.rows or found.months):
        with runtime.changing() as conn:
            gone = {"rows": dict(found.rows), "months": found.months}
            audit_log.add(conn, action="removed", kind="retention", after=gone)
        log.info("retained", rows=dict(found.rows), months=found.months)
    for reason in found.kept:
        log.warning("kept_longer", reason=reason)
    return found


def look_backs(runtime: Runtime, conn: Connection, now: datetime) -> list[LooksBack]:
    """Give the enabled behaviour rules, and the activities that are not over, that read user actions of the past."""
    found = [
        LooksBack(f"behaviour rule {one.rule_key!r}", _window_s(lambda one=one: rules.needs(rules.parse(one.rule))))  # type: ignore[misc]
        for one in behaviour_rules.enabled(conn)
    ]
    for row in activities.listing(conn):
        if row.ends_at > now:
            needs = lambda row=row: runtime.activity(row.code, row.version).rule_needs  # noqa: E731
            found.append(LooksBack(f"activity {row.code!r}", _window_s(needs)))
    return [one for one in found if one.window_s != 0]
