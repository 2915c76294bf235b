"""The journey of a placement: a user visits a resource slot, and is answered with the benefit, granted exactly once.

Read top-down: find the activities → run each one's chain here, a segment each → put the answer together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tactics.celery_app import TacticsApp
from tactics.chain import run_here
from tactics.choosing import Chosen, StoredChains, choose, stored_chains, template_of
from tactics.domain.activity import TacticsActivity
from tactics.domain.context import SHOWN
from tactics.domain.event import Event
from tactics.domain.grant import largest_value
from tactics.domain.placement import Part, PlacementAnswer, PlacementRequest
from tactics.domain.plain import plain_problem
from tactics.errors import BadInput, Busy, IdempotencyConflict, InvalidTemplate, UnknownChannel, UnreadableActivity
from tactics.opening import open_placement
from tactics.runtime import Runtime
from tactics.segment import WENT_WRONG, Segment, let_go, not_shown
from tactics.store import activities, events, executions, lease
from tactics.store.executions import ExecutionRow
from tactics.store.lease import Lease

__all__ = ["PlacementAnswer", "PlacementRequest", "all_busy", "visit"]

log = structlog.get_logger()

POLL_S = 0.02
# With these, a best-only placement goes on to the next activity; an error or a busy instance may still come to a grant.
MOVES_ON = frozenset({"not_prepared", "not_matched", "unknown", "sold_out", "limit", "holdout"})


@dataclass
class _Visit:
    """One placement being answered."""

    app: TacticsApp
    request: PlacementRequest
    event: Event
    now: datetime
    stored: StoredChains
    candidates: list[TacticsActivity]
    deadline: float
    twin: Lease | None
    parts: dict[str, Part]
    execution_ids: dict[str, str] = field(default_factory=dict)
    complete: bool = True
    unreadable: list[str] = field(default_factory=list)

    @property
    def given_up(self) -> bool:
        """Whether the placement was abandoned before: nobody resumes it."""
        return not self.complete


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
    one = _begin(app, request)
    if one.given_up:
        return _answer(one)
    try:
        for position, activity in enumerate(one.candidates):
            part = one.parts.get(activity.code)
            if part is None or part.get("reason") == "busy":
                part = _run(one, activity)
            if part is None:
                break
            if request.best_only and not _moves_on(part):
                _outrank(one, one.candidates[position + 1 :])
                break
        for code in one.unreadable:
            if code not in one.parts:
                _record_error(one, code)
        if not _codes(one):
            with app.runtime.engine.begin() as conn:
                events.record_answer(conn, one.event, {}, outcome="no_match")
    finally:
        if one.twin is not None:
            let_go(app.runtime, one.twin)
    return _answer(one)


def _begin(app: TacticsApp, request: PlacementRequest) -> _Visit:
    """Find the activities; under a key that was used before, those of then, with what was answered then."""
    runtime = app.runtime
    unplain = plain_problem({name: getattr(request, name) for name in PlacementRequest.__slots__ if name != "at"})
    if unplain is not None:
        raise BadInput(f"placement: {unplain['path'] or '/'}: {unplain['message']}", problems=[unplain])
    deadline = time.monotonic() + runtime.settings.placement_deadline_ms / 1000
    with runtime.reading() as conn:
        at = request.at if runtime.settings.replay else None
        now, revisions, versions = activities.live_now(conn, request.channel_code, at)
        stored = stored_chains(runtime, conn, revisions)
        event = Event(
            source=request.source,
            id=request.key or str(uuid4()),
            type="placement",
            user_id=request.user_id,
            channel=request.channel_code,
            data=request.body(),
            at=request.at or now,
        )
        known = events.state(conn, *event.key) if request.key else None
        earlier = executions.of_event(conn, request.user_id, *event.key) if known is not None else []
        if not versions and not activities.channel_known(conn, "grant", request.channel_code):
            raise UnknownChannel(
                f"no activity grants on channel code {request.channel_code!r}: see `tactics activity list`",
                channel_code=request.channel_code,
            )
    if known is not None and known.body_hash != event.body_hash:
        raise _conflict(request)
    parts: dict[str, Part] = {}
    if known is not None:  # one that ended since then keeps its part
        versions = {row.activity_code: row.activity_version for row in earlier} | versions
        versions = {code: versions[code] for code in known.candidates or [] if code in versions}
        parts = dict(known.answer or {})
    loaded, unreadable = _load(runtime, versions)
    if known is None and request.best_only:
        loaded.sort(key=lambda one: (-one.priority, -largest_value(one), one.code))
    twin = lease.twin_mark(request.source, request.key) if request.key else None
    ids = {row.activity_code: str(row.id) for row in earlier}
    complete = known is None or known.abandoned_at is None
    return _Visit(app, request, event, now, stored, loaded, deadline, twin, parts, ids, complete, unreadable)


def _load(runtime: Runtime, versions: Mapping[str, int]) -> tuple[list[TacticsActivity], list[str]]:
    """Load activities; one that this process cannot read does not keep the others from answering."""
    loaded, unreadable = [], []
    for code, version in versions.items():
        try:
            loaded.append(runtime.activity(code, version))
        except UnreadableActivity as error:
            log.warning("cannot_run", activity=code, error=error.message)
            unreadable.append(code)
    return loaded, unreadable


def _error_part(code: str) -> Part:
    return {"activity": code, "reason": "error", "text": WENT_WRONG}


def _conflict(request: PlacementRequest) -> IdempotencyConflict:
    return IdempotencyConflict(f"the key {request.key!r} was used before with another request")


def _run(one: _Visit, activity: TacticsActivity) -> Part | None:
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
        return _record_error(one, activity.code, _execution(one, activity, Chosen(None, ()), True), error.message)
    ctx = template.context_type(
        activity=activity,
        event=one.event,
        link="grant",
        now=one.now,
        language=request.language,
        placement=request.placement,
        scene=request.scene,
        order=request.order,
        best_only=request.best_only,
        candidates=_codes(one),
    )
    row = _execution(one, activity, chosen, template.lock)
    wait_ms = int((one.deadline - time.monotonic()) * 1000)
    try:
        code, segment = open_placement(
            app.runtime, app, template, chosen.steps, ctx, row, wait_ms=wait_ms, twin=one.twin
        )
    except SQLAlchemyError as error:  # a database that is away is DatabaseDown, and ends the visit
        log.warning("not_opened", activity=activity.code, execution=str(row.id), error=type(error).__name__)
        one.parts[activity.code] = _error_part(activity.code)
        return one.parts[activity.code]
    if segment is None:
        if code == lease.TWIN:
            raise Busy(f"the request with key {request.key!r} is being answered at this moment")
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


def _record_error(one: _Visit, code: str, row: ExecutionRow | None = None, reason: str = "") -> Part:
    """Answer for an activity that could not begin to run, and keep the answer with the event.

    Args:
        one: the placement.
        code: of the activity.
        row: the execution that could not begin, which keeps the reason for operators; None where nobody can read it.
        reason: for operators.
    """
    one.parts[code] = _error_part(code)
    with one.app.runtime.engine.begin() as conn:
        if row is not None:
            ended: dict[str, object] = {
                "epoch": None,
                "trace": [],
                "assets_unknown": False,
                "outcome": "error",
                "reason": reason,
            }
            if executions.add_finished(conn, {**row.new(), **ended}):
                one.execution_ids[code] = str(row.id)
        events.record_answer(conn, one.event, {code: one.parts[code]}, candidates=_codes(one))
    return one.parts[code]


def _codes(one: _Visit) -> list[str]:
    return [activity.code for activity in one.candidates] + one.unreadable


def _execution(one: _Visit, activity: TacticsActivity, chosen: Chosen, template_locks: bool) -> ExecutionRow:
    wishes = (one.request.lock, activity.lock, template_locks)
    return ExecutionRow(
        id=uuid4(),
        user_id=one.event.user_id,
        activity_code=activity.code,
        activity_version=activity.version,
        link="grant",
        channel_code=one.request.channel_code,
        event_source=one.event.source,
        event_id=one.event.id,
        best_only=one.request.best_only,
        locked=next(choice for choice in wishes if choice is not None),
        attempts=1,
        business_at=one.now,
        chain_id=chosen.chain_id,
    )


def _await(one: _Visit, code: str, segment: Segment) -> Part | None:
    """Find the answer of a segment that did not commit here: it failed, a twin was faster, or its chain hopped.

    Returns:
        None when the deadline passed; the placement is abandoned then.
    """
    runtime = one.app.runtime
    while True:
        with runtime.reading() as conn:
            state = events.state(conn, *one.event.key)
        if state is not None and state.body_hash != one.event.body_hash:
            raise _conflict(one.request)
        answer: dict[str, Part] = (state.answer if state is not None else None) or {}
        if code in answer:
            _name_execution(one, code)
            return answer[code]
        if not segment.run.stored:
            segment.ctx.outcome = "error"
            return not_shown(segment.ctx)
        if time.monotonic() >= one.deadline:
            with runtime.engine.begin() as conn:
                events.abandon(conn, one.event)
            return None
        time.sleep(POLL_S)


def _name_execution(one: _Visit, code: str) -> None:
    """Name the execution that is stored: a faster twin's, where this one was taken back."""
    with one.app.runtime.reading() as conn:
        stored = executions.of_event(conn, one.event.user_id, *one.event.key)
    one.execution_ids.update({row.activity_code: str(row.id) for row in stored if row.activity_code == code})


def _moves_on(part: Part) -> bool:
    return part.get("reason") in MOVES_ON


def _outrank(one: _Visit, losers: Sequence[TacticsActivity]) -> None:
    for activity in losers:
        text = "another activity came first"
        one.parts[activity.code] = {"activity": activity.code, "reason": "outranked", "text": text}


def _answer(one: _Visit) -> PlacementAnswer:
    codes = _codes(one)
    parts = [one.parts[code] for code in codes if code in one.parts]
    results = [part for part in parts if part.get("outcome") in SHOWN]
    ids = [one.execution_ids[code] for code in codes if code in one.execution_ids]
    return PlacementAnswer(
        execution_ids=ids,
        results=results,
        not_shown=[part for part in parts if part.get("outcome") not in SHOWN],
        complete=one.complete,
    )


def all_busy(answer: PlacementAnswer) -> bool:
    """Tell whether every matching instance was busy: the one case in which the caller should simply try again."""
    return bool(answer.not_shown) and not answer.results and all(part["reason"] == "busy" for part in answer.not_shown)
