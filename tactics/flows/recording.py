"""What is stored of a placement beside its segments: what never had one, what could not begin, and what was given up."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tactics import metrics
from tactics.domain.placement import Part, PlacementAnswer, PlacementRequest
from tactics.errors import Busy
from tactics.flows.visit import Visit, conflict
from tactics.segment import DEADLINE_PASSED, WENT_WRONG
from tactics.store import events, executions, segments
from tactics.store.executions import ExecutionRow

log = structlog.get_logger()

_NOT_LONG = text("SET LOCAL lock_timeout = '200ms'")


def give_up(one: Visit) -> PlacementAnswer:
    """Give a visit up at its deadline, whatever it is doing in another thread: what it has not committed, it never will.

    Returns:
        The executions that were begun: each can be looked up, and tells what became of it.
    """
    runtime, begun = one.app.runtime, dict(one.begun)
    with runtime.engine.begin() as conn:
        events.abandon(conn, one.event)
    for row in begun.values():
        # Another transaction: one that is just ending holds the execution and waits for the event.
        with suppress(SQLAlchemyError), runtime.engine.begin() as conn:
            conn.execute(_NOT_LONG)
            if executions.add_finished(conn, _ended(row, "abandoned", DEADLINE_PASSED)):
                metrics.execution_ended("grant", row.activity_code, "abandoned")
    with runtime.reading() as conn:
        stored = executions.of_event(conn, one.event.user_id, *one.event.key)
    ids = {row.activity_code: str(row.id) for row in [*begun.values(), *stored]}
    return PlacementAnswer([ids[code] for code in one.codes if code in ids], complete=False)


def record_stopped(one: Visit) -> bool:
    """Store the executions that no segment was opened for, with their parts of the answer, in one transaction.

    Returns:
        Whether all of them are stored.

    Raises:
        Busy: the same placement is being answered elsewhere at this moment.
    """
    stopped, one.stopped = one.stopped, []
    if not stopped or not one.complete:
        return one.complete
    codes = [each.row.activity_code for each in stopped]
    try:
        with one.app.runtime.engine.connect() as conn:
            closed = segments.close_stopped(conn, one.event, stopped, one.codes)
            if closed == "closed":
                conn.commit()
    except SQLAlchemyError as error:  # as where a segment cannot be opened
        log.warning("not_recorded", activities=len(codes), error=type(error).__name__)
        one.parts.update({code: error_part(code) for code in codes})
        return False
    if closed == "twin":
        raise answered_elsewhere(one.request)
    if closed == "abandoned":
        with one.app.runtime.reading() as conn:
            state = events.state(conn, *one.event.key)
        if state is not None and state.body_hash != one.event.body_hash:
            raise conflict(one.request)
        one.complete = False
        return False
    one.execution_ids.update({each.row.activity_code: str(each.row.id) for each in stopped})
    for each in stopped:
        metrics.execution_ended("grant", each.row.activity_code, each.outcome)
    return True


def record_error(one: Visit, code: str, row: ExecutionRow | None = None, reason: str = "") -> Part:
    """Answer for an activity that could not begin to run, and keep the answer with the event.

    Args:
        one: the placement.
        code: of the activity.
        row: the execution that could not begin, which keeps the reason for operators; None where nobody can read it.
        reason: for operators.
    """
    one.parts[code] = error_part(code)
    with one.app.runtime.engine.begin() as conn:
        if row is not None and executions.add_finished(conn, _ended(row, "error", reason)):
            one.execution_ids[code] = str(row.id)
            metrics.execution_ended("grant", code, "error")
        events.record_answer(conn, one.event, {code: one.parts[code]}, candidates=one.codes)
    return one.parts[code]


def name_execution(one: Visit, code: str) -> None:
    """Name the execution that is stored: a faster twin's, where this one was taken back."""
    with one.app.runtime.reading() as conn:
        stored = executions.of_event(conn, one.event.user_id, *one.event.key)
    one.execution_ids.update({row.activity_code: str(row.id) for row in stored if row.activity_code == code})


def error_part(code: str) -> Part:
    return {"activity": code, "reason": "error", "text": WENT_WRONG}


def answered_elsewhere(request: PlacementRequest) -> Busy:
    return Busy(f"the request with key {request.key!r} is being answered at this moment")


def _ended(row: ExecutionRow, outcome: str, reason: str) -> dict[str, Any]:
    """Give an execution that ends without a segment of its own, as stored."""
    return {
        **row.new(),
        "epoch": None,
        "trace": [],
        "assets_unknown": False,
        "outcome": outcome,
        "reason": reason,
    }
