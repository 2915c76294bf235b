"""The journey of a behaviour event: routed to every live activity on its channel, each gets an execution."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog
from kombu.exceptions import OperationalError
from sqlalchemy import Connection

from tactics.celery_app import TacticsApp
from tactics.chain import start_chain
from tactics.choosing import StoredChains, chain_of, choose_id, stored_chains, template_of
from tactics.domain.event import Event
from tactics.errors import InvalidTemplate, TacticsError, UnreadableActivity
from tactics.store import activities, executions, held
from tactics.store.chains import UNDECIDED
from tactics.store.executions import ExecutionRow

log = structlog.get_logger()

FIRST_ATTEMPT = 1


def route_behaviours(app: TacticsApp, conn: Connection, batch: Sequence[Event]) -> list[ExecutionRow]:
    """Insert the executions that behaviour events ask for, in the transaction that marks them routed.

    Args:
        app: knows the templates.
        conn: an open transaction.
        batch: behaviour events; one for which no activity is live gets no execution. Those of an activity that paused
            itself wait until it is live again.

    Returns:
        The new executions that are to be started, in the order of the events.
    """
    live: dict[tuple[str | None, datetime], list[tuple[str, int, str | None]]] = {}
    rows: list[ExecutionRow] = []
    waiting: list[tuple[ExecutionRow, str]] = []
    if not batch:
        return rows
    stored = stored_chains(app.runtime, conn, activities.revisions(conn))
    now = None
    for event in batch:
        if now is None or app.settings.replay:
            now = app.runtime.now(conn, event.at)
        key = (event.channel, now)
        if key not in live:
            live[key] = activities.by_channel(conn, "prepare", event.channel or "", now)
        for code, version, tripped in live[key]:
            row = _execution(app, stored, event, code, version, now)
            if tripped is None:
                rows.append(row)
            else:
                waiting.append((row, tripped))
    held.add(conn, waiting)
    new = executions.add_new(conn, [row.new() for row in rows], app.settings.claim_s)
    return [row for row in rows if row.id in new]


def _execution(
    app: TacticsApp, stored: StoredChains, event: Event, code: str, version: int, now: datetime
) -> ExecutionRow:
    locked, chain_id = _lock_and_chain(app, stored, event, code, version)
    return ExecutionRow(
        id=uuid4(),
        user_id=event.user_id,
        activity_code=code,
        activity_version=version,
        link="prepare",
        channel_code=event.channel or "",
        event_source=event.source,
        event_id=event.id,
        best_only=False,
        locked=locked,
        attempts=FIRST_ATTEMPT,
        business_at=now,
        chain_id=chain_id,
    )


def _lock_and_chain(
    app: TacticsApp, stored: StoredChains, event: Event, code: str, version: int
) -> tuple[bool, int | None]:
    """Tell whether the instance is locked, and which stored chain it runs.

    What this process cannot read or run, another one may: it is locked, and whoever starts it chooses the chain.
    """
    unknown = UNDECIDED if stored.by_key else None
    locked: bool | None = None
    try:
        activity = app.runtime.activity(code, version)
        locked = activity.lock
        template = template_of(app, activity)
    except (UnreadableActivity, InvalidTemplate) as error:
        log.warning("cannot_run", activity=code, error=error.message)
        return True if locked is None else locked, unknown
    chain_id = choose_id(stored, template, "prepare", event.channel or "")
    return template.lock if locked is None else locked, chain_id


def start_executions(app: TacticsApp, rows: Sequence[ExecutionRow]) -> None:
    """Start committed executions: here, after the current task, or by messages. What fails to start is swept."""
    for row in rows:
        try:
            start_chain(app, remaining_steps(app, row), row)
        except TacticsError as error:  # its own trouble: the others start
            log.warning("not_started", execution=str(row.id), error=error.message)
        except (OperationalError, OSError) as error:  # no broker: the sweeper starts them all
            log.warning("not_published", execution=str(row.id), error=str(error))
            return


def remaining_steps(app: TacticsApp, row: ExecutionRow) -> Sequence[Any]:
    """Give the steps of an execution from the one where it goes on.

    Raises:
        InvalidTemplate: this process cannot run its chain, or the chain in code was changed and has no such step any
            more.
    """
    steps = chain_of(app.runtime, app, row)
    names = [step.name for step in steps]
    if row.step is None:
        return steps
    if row.step not in names:
        raise InvalidTemplate(f"step {row.step!r}, where execution {row.id} goes on, is no longer in its chain")
    return steps[names.index(row.step) :]
