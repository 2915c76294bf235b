"""The journey of a placement: a user visits a resource slot, and is answered with the benefit, granted exactly once.

Read top-down: find the activities → pass over those that cannot come to anything → run each other one's chain here, a
segment each → put the answer together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tactics import metrics
from tactics.celery_app import TacticsApp
from tactics.chain import run_here
from tactics.choosing import choose, template_of
from tactics.domain.activity import TacticsActivity
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.placement import Part, PlacementAnswer, PlacementRequest, moves_on, outranked
from tactics.errors import BadInput, Busy, Conflict, InvalidTemplate, NotFound, Overloaded
from tactics.flows.recording import (
    abandon,
    answer_of,
    answered_elsewhere,
    error_part,
    name_execution,
    record_error,
    record_stopped,
)
from tactics.flows.visit import Visit, begin, conflict
from tactics.opening import open_placement
from tactics.run import Step, Template
from tactics.segment import Segment, let_go, not_shown
from tactics.store import events, held, lease
from tactics.store.executions import ExecutionRow
from tactics.store.segments import Stopped

__all__ = ["PlacementAnswer", "PlacementRequest", "all_busy", "answer", "counted", "visit"]

log = structlog.get_logger()

POLL_S = 0.02


def visit(app: TacticsApp, request: PlacementRequest) -> PlacementAnswer:
    """Answer a placement.

    Args:
        app: prepared by `tactics.chain.prepare_app`.
        request: who visits what.

    Raises:
        BadInput: the request holds something that cannot be stored as JSON; `problems` has the paths.
        UnknownChannel: no activity has ever been bound to the channel code.
        IdempotencyConflict: the key was used before with another body.
        Busy: the same key is being answered at this moment.
    """
    with counted() as note:
        return note(answer(begin(app, request)))


@contextmanager
def counted() -> Iterator[Callable[[PlacementAnswer], PlacementAnswer]]:
    """Count how long a placement takes, by what comes of it; gives what notes the answer and hands it on."""
    started, outcome = time.perf_counter(), "error"

    def note(found: PlacementAnswer) -> PlacementAnswer:
        nonlocal outcome
        outcome = "deadline" if not found.complete else "busy" if all_busy(found) else "ok"
        return found

    try:
        yield note
    except Busy:
        outcome = "busy"
        raise
    except Overloaded:
        outcome = "overloaded"
        raise
    except (BadInput, NotFound, Conflict):
        outcome = "refused"
        raise
    finally:
        metrics.PLACEMENT_SECONDS.observe(time.perf_counter() - started, outcome)


def answer(one: Visit) -> PlacementAnswer:
    """Run what was found for a visit, up to its deadline.

    Raises:
        Busy, IdempotencyConflict: as `visit`.
    """
    app = one.app
    if one.given_up:
        return _answer(one)
    try:
        _run_each(one)
        record_stopped(one)
        for code in one.unreadable:
            if code not in one.parts:
                record_error(one, code)
        if not one.complete:
            already = abandon(one)
            if already is not None:
                return already
        elif not one.codes:
            with app.runtime.engine.begin() as conn:
                events.record_answer(conn, one.event, {}, outcome="no_match")
    finally:
        if one.twin is not None:
            let_go(app.runtime, one.twin)
    return _answer(one)


def _run_each(one: Visit) -> None:
    """Run one activity after the other; at the deadline the placement is not complete."""
    for position, activity in enumerate(one.candidates):
        part = one.parts.get(activity.code)
        if part is None or part.get("reason") == "busy":
            if one.late:
                one.complete = False
                return
            part = _pass_over(one, activity) or _run(one, activity)
        if part is None:
            return
        if one.request.best_only and not moves_on(part):
            one.parts.update({loser.code: outranked(loser.code) for loser in one.candidates[position + 1 :]})
            return


def _pass_over(one: Visit, activity: TacticsActivity) -> Part | None:
    """Answer for an activity whose chain would come to nothing; what is stored of it is stored later, of many at once.

    Returns:
        Its part of the answer; None where its chain has to run.
    """
    if activity.code in one.execution_ids:
        return None
    if activity.code in one.tripped:
        row = one.execution(activity, chain_id=None, template_locks=True)
        return _stopped(one, row, "limit", held.reason_of(one.tripped[activity.code]), [])
    stop = one.looked_up.stop(activity)
    if stop is None:
        return None
    row = one.execution(activity, chain_id=stop.entry.chain_id, template_locks=stop.entry.template_locks)
    return _stopped(one, row, stop.outcome, stop.text, stop.trace)


def _stopped(one: Visit, row: ExecutionRow, outcome: str, text: str, trace: list[dict[str, Any]]) -> Part:
    part: Part = {"activity": row.activity_code, "reason": outcome, "text": text}
    one.parts[row.activity_code] = part
    one.stopped.append(Stopped(row, outcome, text, trace, part))
    return part


def _run(one: Visit, activity: TacticsActivity) -> Part | None:
    """Run one activity's chain for the user; whatever happens to it stays with it (C-13).

    Returns:
        Its part of the answer; None when the deadline passed.
    """
    app, request = one.app, one.request
    try:
        template = template_of(app, activity)
        chosen = choose(app.runtime, app, one.stored, template, "grant", request.channel_code)
    except InvalidTemplate as error:
        log.warning("cannot_run", activity=activity.code, error=error.message)
        row = one.execution(activity, chain_id=None, template_locks=True)
        return record_error(one, activity.code, row, error.message)
    # Nothing opens before it is committed that those before it come to nothing.
    if request.best_only and not record_stopped(one):
        one.parts[activity.code] = error_part(activity.code)
        return one.parts[activity.code] if one.complete else None
    ctx = one.context(template.context_type, activity)
    ctx.candidates = one.codes
    row = one.execution(activity, chain_id=chosen.chain_id, template_locks=template.lock)
    one.begun[activity.code] = row
    try:
        code, segment = _open(one, template, chosen.steps, ctx, row)
    except SQLAlchemyError as error:  # a database that is away is DatabaseDown, and ends the visit
        log.warning("not_opened", activity=activity.code, execution=str(row.id), error=type(error).__name__)
        one.parts[activity.code] = error_part(activity.code)
        return one.parts[activity.code]
    if segment is None:
        if code == lease.TWIN:
            raise answered_elsewhere(request)
        ctx.outcome, ctx.text = "busy", "another execution of this instance is running"
        one.parts[activity.code] = not_shown(ctx)
        return one.parts[activity.code]
    one.execution_ids[activity.code] = str(row.id)
    run_here(app, segment)
    part: Part | None = (ctx.result or not_shown(ctx)) if segment.committed else _await(one, activity.code, segment)
    if part is None:
        one.complete = False
        return None
    one.parts[activity.code] = part
    return part


def _open(
    one: Visit, template: Template, steps: Sequence[Step], ctx: TacticsInstanceContext, row: ExecutionRow
) -> tuple[int, Segment | None]:
    """Open the segment; an instance that another execution has is waited for a moment, as it is mostly free by then."""
    runtime = one.app.runtime
    until = min(one.deadline, time.monotonic() + runtime.settings.busy_wait_ms / 1000)
    while True:
        wait_ms = max(1, int((one.deadline - time.monotonic()) * 1000))
        code, segment = open_placement(runtime, one.app, template, steps, ctx, row, wait_ms=wait_ms, twin=one.twin)
        if code != lease.BUSY or time.monotonic() >= until:
            return code, segment
        time.sleep(POLL_S)


def _await(one: Visit, code: str, segment: Segment) -> Part | None:
    """Find the answer of a segment that did not commit here: it failed, a twin was faster, or its chain hopped.

    Returns:
        None when the deadline passed; the placement is abandoned then.
    """
    runtime = one.app.runtime
    while True:
        with runtime.reading() as conn:
            state = events.state(conn, *one.event.key)
        if state is not None and state.body_hash != one.event.body_hash:
            raise conflict(one.request)
        answer: dict[str, Part] = (state.answer if state is not None else None) or {}
        if code in answer:
            name_execution(one, code)
            return answer[code]
        if not segment.run.stored:
            segment.ctx.outcome = "error"
            return not_shown(segment.ctx)
        if one.late or (state is not None and state.abandoned_at is not None):
            return None
        time.sleep(POLL_S)


def _answer(one: Visit) -> PlacementAnswer:
    return answer_of(one.codes, one.parts, one.execution_ids, complete=one.complete)


def all_busy(answer: PlacementAnswer) -> bool:
    """Tell whether every matching instance was busy: the one case in which the caller should simply try again."""
    return bool(answer.not_shown) and not answer.results and all(part["reason"] == "busy" for part in answer.not_shown)
