"""What is stored of a placement beside its segments: what never had one, what could not begin, and what was given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import redis
import structlog
from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError

from tactics import metrics
from tactics.domain.context import SHOWN
from tactics.domain.placement import Part, PlacementAnswer, PlacementRequest, moves_on, outranked
from tactics.errors import Busy
from tactics.flows.visit import Visit, conflict
from tactics.segment import DEADLINE_PASSED, WENT_WRONG
from tactics.store import events, executions, lease, segments
from tactics.store.executions import ExecutionRow

log = structlog.get_logger()

# Somebody waits for the answer; what is held so long belongs to somebody who is about to answer.
_NOT_LONG = text("SELECT set_config('lock_timeout', '300ms', true), set_config('statement_timeout', '900ms', true)")


def give_up(one: Visit) -> PlacementAnswer:
    """Give a visit up at its deadline, whatever it is doing in another thread: what it has not committed, it never will.

    Returns:
        The executions that were begun: each can be looked up, and tells what became of it. Where all was answered
        already, by an earlier request under the same key or in this very moment, that answer.

    Raises:
        Busy, IdempotencyConflict: as `abandon`.
    """
    already = abandon(one)
    if already is not None:
        return already
    runtime, begun = one.app.runtime, dict(one.begun)
    for row in begun.values():
        # Another transaction: one that is just ending holds the execution and waits for the event.
        with suppress(SQLAlchemyError), runtime.engine.begin() as conn:
            conn.execute(_NOT_LONG)
            if executions.add_finished(conn, _ended(row, "abandoned", DEADLINE_PASSED)):
                metrics.execution_ended("grant", row.activity_code, "abandoned")
    stored = _stored_ids(one)
    ids = {**{code: str(row.id) for code, row in begun.items()}, **stored}
    return PlacementAnswer([ids[code] for code in one.codes if code in ids], complete=False)


def abandon(one: Visit) -> PlacementAnswer | None:
    """Mark a visit as given up, unless it is answered.

    Returns:
        The answer that is stored already; None where it is given up now.

    Raises:
        Busy: the same placement is being answered elsewhere; that one is not given up.
        IdempotencyConflict: the key belongs to another request.
        OperationalError: whoever is answering it did not come to an end in time.
    """
    runtime = one.app.runtime
    if one.twin is not None and not one.begun and _is_elsewhere(one):
        raise answered_elsewhere(one.request)
    with runtime.engine.begin() as conn:
        conn.execute(_NOT_LONG)
        state = events.lock_placement(conn, one.event)
        if state is None and events.abandon_new(conn, one.event):
            return None
        # Somebody else's came in between: nobody deletes it.
        state = state or events.lock_placement(conn, one.event)
        if state is not None and state.body_hash != one.event.body_hash:
            raise conflict(one.request)
        if state is None or not _is_answered(one, state):
            events.abandon(conn, one.event)
            return None
    return _stored_answer(one, state)


def _is_elsewhere(one: Visit) -> bool:
    try:
        return one.twin is not None and lease.taken_by_other(one.app.runtime.redis, one.twin)
    except redis.RedisError:
        return False


def _is_answered(one: Visit, state: Row[Any]) -> bool:
    answer: dict[str, Part] = state.answer or {}
    if state.outcome == "no_match" or (state.candidates and all(code in answer for code in state.candidates)):
        return True
    return one.request.best_only and any(not moves_on(part) for part in answer.values())


def _stored_answer(one: Visit, state: Row[Any]) -> PlacementAnswer:
    codes: list[str] = state.candidates or []
    parts: dict[str, Part] = state.answer or {}
    if one.request.best_only:  # answered, so those without a part were never run
        parts = {code: outranked(code) for code in codes} | parts
    return answer_of(codes, parts, _stored_ids(one))


def answer_of(
    codes: Sequence[str], parts: Mapping[str, Part], ids: Mapping[str, str], *, complete: bool = True
) -> PlacementAnswer:
    """Put an answer together from its parts and executions, by activity, in the order of `codes`."""
    found = [parts[code] for code in codes if code in parts]
    return PlacementAnswer(
        execution_ids=[ids[code] for code in codes if code in ids],
        results=[part for part in found if part.get("outcome") in SHOWN],
        not_shown=[part for part in found if part.get("outcome") not in SHOWN],
        complete=complete,
    )


def _stored_ids(one: Visit) -> dict[str, str]:
    with one.app.runtime.reading() as conn:
        stored = executions.of_event(conn, one.event.user_id, *one.event.key)
    return {row.activity_code: str(row.id) for row in stored}


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
    with one.app.runtime.engine.connect() as conn:
        ended = row is not None and executions.add_finished(conn, _ended(row, "error", reason))
        if events.record_answer(conn, one.event, {code: one.parts[code]}, candidates=one.codes):
            conn.commit()  # else it was given up meanwhile, and nothing of it is stored
            if row is not None and ended:
                one.execution_ids[code] = str(row.id)
                metrics.execution_ended("grant", code, "error")
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
