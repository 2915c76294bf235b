"""Retention: what is older than the settings say goes, unless something still needs it. Beat starts it once a day.

Read top-down: what is old enough → whole months → grants of activities that are over → the outbox →
executions and events. Each part
is a transaction of its own, so it is safe to interrupt, and the audit adds up after each.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from celery.schedules import crontab
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from tactics.celery_app import TacticsApp
from tactics.chain import TacticsTask
from tactics.flows.look_back import look_backs
from tactics.runtime import Runtime
from tactics.store import audit_log, partitions, retention
from tactics.store.retention import Cutoffs

log = structlog.get_logger()

TASK = "tactics.retain"
DAY_S = 86_400
TRIES = 5
PAUSE_S = 0.2
Place = tuple[str, str, int]
"""Where a run goes on: table, partition, page."""

_TABLES = ("execution", "event", "user_action")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Retained:
    """What went: rows by table, and whole months; and why something older stayed. `next` is where a run goes on."""

    rows: Counter[str] = field(default_factory=Counter)
    months: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    next: Place | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"rows": dict(self.rows), "months": self.months, "kept": self.kept, "done": self.next is None}


@dataclass
class _Run:
    """A run: what it may do, and what came of it."""

    runtime: Runtime
    dry: bool
    ends_at: float | None
    found: Retained = field(default_factory=Retained)

    @property
    def over(self) -> bool:
        """Whether its time is."""
        return self.ends_at is not None and time.monotonic() >= self.ends_at


def retain(
    runtime: Runtime, *, dry_run: bool = False, at_most_s: float | None = None, after: Place | None = None
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
    run = _Run(runtime, dry_run, None if at_most_s is None else time.monotonic() + at_most_s)
    found = run.found
    if runtime.settings.replay:
        found.kept.append("business time is the events' own (TACTICS_REPLAY): nothing is old here")
        return found
    with runtime.engine.connect() as conn:
        cutoffs = _cutoffs(runtime, conn, found)
        months = _old_months(runtime, conn, cutoffs)
    found.months = [name for name in months if dry_run or _dropped(run, name)]
    _delete_grants(run, cutoffs)
    _delete_notices(run, cutoffs)
    found.next = _delete_rows(run, cutoffs, after or ("", "", 0))
    if not dry_run and (found.rows or found.months):
        gone = {"rows": dict(found.rows), "months": found.months}
        with runtime.changing() as conn:
            audit_log.add(conn, action="removed", kind="retention", after=gone)
        log.info("retained", **gone)
    for reason in found.kept:
        log.warning("kept_longer", reason=reason)
    return found


def _cutoffs(runtime: Runtime, conn: Connection, found: Retained) -> Cutoffs:
    """Say what is old: by the settings, unless something still needs it, which is then said in `kept`."""
    settings, now = runtime.settings, runtime.now(conn)
    late_s = settings.max_event_age_s + settings.max_event_ahead_s
    events = behaviours = _NEVER
    ended: list[str] = []
    if settings.keep_events_days:
        keep_s = settings.keep_events_days * DAY_S
        if keep_s < late_s:
            found.kept.append(
                f"events are kept for {late_s} seconds, as an event may come again for so long (TACTICS_MAX_EVENT_AGE_S)"
            )
        events = now - timedelta(seconds=max(keep_s, late_s))
        behaviours = now - timedelta(seconds=max(keep_s, late_s + retention.longest_cooldown_s(conn)))
        ended = retention.over_for_long(conn, events)
    return Cutoffs(now, events, behaviours, _actions_cutoff(runtime, conn, now, found), ended)


def _actions_cutoff(runtime: Runtime, conn: Connection, now: datetime, found: Retained) -> datetime:
    """Say before when nobody reads what users did. One that comes late is judged among those before it."""
    settings = runtime.settings
    if not settings.keep_actions_days:
        return _NEVER
    keep_s = furthest_s = settings.keep_actions_days * DAY_S
    for one in look_backs(runtime, conn, now):
        if one.window_s is None:
            found.kept.append(f"no user action goes: {one.name} looks back without end")
            return _NEVER
        needed_s = one.window_s + settings.max_event_age_s
        if needed_s > keep_s:
            found.kept.append(
                f"user actions are kept for {needed_s / DAY_S:g} days: {one.name} looks back {one.window_s / DAY_S:g},"
                f" and an action may come {settings.max_event_age_s / DAY_S:g} late"
            )
            furthest_s = max(furthest_s, needed_s)
    return now - timedelta(seconds=furthest_s)


def _old_months(runtime: Runtime, conn: Connection, cutoffs: Cutoffs) -> list[str]:
    days = runtime.settings.keep_audit_log_days
    before = {
        "user_action": cutoffs.actions,
        "audit_log": cutoffs.now - timedelta(days=days) if days else _NEVER,
    }
    return [
        month.name
        for table in partitions.TABLES
        for month in partitions.months(conn, table)
        if month.ends_at <= before[table]
    ]


def _dropped(run: _Run, name: str) -> bool:
    """Drop a month; where the table is never free for a moment, the next run does."""
    for _ in range(TRIES):
        try:
            with run.runtime.changing() as conn:
                partitions.drop(conn, [name])
        except OperationalError:
            time.sleep(PAUSE_S)
        else:
            return True
    run.found.kept.append(f"{name} was in use all the while: the next run drops it")
    return False


def _delete_grants(run: _Run, cutoffs: Cutoffs) -> None:
    """Delete the grants of activities that are over for long, some users at a time."""
    if run.dry:
        with run.runtime.engine.connect() as conn:
            run.found.rows.update(retention.count_grants(conn, cutoffs.ended) if cutoffs.ended else {})
        return
    for code in cutoffs.ended:
        while not run.over:
            with run.runtime.changing() as conn:
                gone = retention.delete_grants(conn, code, cutoffs.events)
            if not gone:
                break
            run.found.rows.update(gone)


def _delete_notices(run: _Run, cutoffs: Cutoffs) -> None:
    """Delete old notices from the outbox, some at a time: they hold users' ids and codes."""
    if cutoffs.events == _NEVER:
        return
    if run.dry:
        with run.runtime.engine.connect() as conn:
            count = retention.count_notices(conn, cutoffs.events)
            run.found.rows.update({"outbox": count} if count else {})
        return
    place: int | None = 0
    while place is not None and not run.over:
        with run.runtime.engine.begin() as conn:
            place, gone = retention.delete_notices(conn, place, cutoffs.events)
        if gone:
            run.found.rows["outbox"] += gone


def _delete_rows(run: _Run, cutoffs: Cutoffs, after: Place) -> Place | None:
    """Delete done executions and events, and actions that came before the first month, some pages at a time.

    Returns:
        Where to go on, when the time is over.
    """
    wanted = {
        "execution": cutoffs.events > _NEVER,
        "event": cutoffs.events > _NEVER,
        "user_action": cutoffs.actions > _NEVER,
    }
    begin = _TABLES.index(after[0]) if after[0] else 0
    for table in _TABLES[begin:]:
        if not wanted[table]:
            continue
        with run.runtime.engine.connect() as conn:
            parts = list(retention.pieces(conn, table, after[1:] if table == after[0] else ("", 0)))
        for piece in parts:
            if run.over:
                return (table, piece.partition, piece.low)
            with run.runtime.engine.begin() as conn:
                gone = retention.delete(conn, piece, cutoffs, count_only=run.dry)
            if gone:
                run.found.rows[table] += gone
    return None


def register(app: TacticsApp) -> None:
    """Make the task `tactics.retain`, which goes on in messages of half a time limit; beat sends it where anything is set."""
    settings = app.settings

    def run_retain(_: TacticsTask, after: list[Any] | None = None) -> None:
        place: Place | None = (after[0], after[1], after[2]) if after else None
        found = retain(app.runtime, at_most_s=settings.task_time_limit_s / 2, after=place)
        if found.next is not None:
            app.tasks[TASK].apply_async((list(found.next),))

    app.task(name=TASK, base=TacticsTask, bind=True, shared=False)(run_retain)
    app.send_to(TASK, "ops")
    if settings.keep_actions_days or settings.keep_events_days or settings.keep_audit_log_days:
        # By the clock, so that a beat that is started anew each day does it too.
        app.conf.beat_schedule["retain"] = {
            "task": TASK,
            "schedule": crontab(hour="3", minute="17"),
            "options": {"queue": "ops", "expires": DAY_S // 2},
        }
