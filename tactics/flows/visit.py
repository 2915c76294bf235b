"""A visit: one placement being answered, from the activities found for it to its parts of the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import structlog

from tactics.celery_app import TacticsApp
from tactics.choosing import StoredChains, stored_chains
from tactics.domain.activity import TacticsActivity
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.erased import is_pseudonym
from tactics.domain.event import Event
from tactics.domain.grant import largest_value
from tactics.domain.placement import Part, PlacementRequest
from tactics.domain.plain import plain_problem
from tactics.errors import BadInput, IdempotencyConflict, UnknownChannel, UnreadableActivity
from tactics.flows.look_up import LookedUp, look_up
from tactics.runtime import Runtime
from tactics.store import activities, events, executions, lease
from tactics.store.executions import ExecutionRow
from tactics.store.lease import Lease
from tactics.store.segments import Stopped

log = structlog.get_logger()


@dataclass
class Visit:
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
    # Activities that paused themselves, and why.
    tripped: Mapping[str, str] = field(default_factory=dict)
    looked_up: LookedUp = field(default_factory=LookedUp)
    # Answered without a segment, and not stored yet.
    stopped: list[Stopped] = field(default_factory=list)
    # Executions that were begun here, by activity.
    begun: dict[str, ExecutionRow] = field(default_factory=dict)

    @property
    def given_up(self) -> bool:
        """Whether the placement was abandoned before: nobody resumes it."""
        return not self.complete

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.deadline

    @property
    def codes(self) -> list[str]:
        """The activities to be run for it, in order."""
        return [activity.code for activity in self.candidates] + self.unreadable

    def context(self, kind: type[TacticsInstanceContext], activity: TacticsActivity) -> TacticsInstanceContext:
        """Give the context that an activity's chain begins with."""
        return kind(
            activity=activity,
            event=self.event,
            link="grant",
            now=self.now,
            language=self.request.language,
            placement=self.request.placement,
            scene=self.request.scene,
            order=self.request.order,
            best_only=self.request.best_only,
        )

    def execution(self, activity: TacticsActivity, *, chain_id: int | None, template_locks: bool) -> ExecutionRow:
        """Give the execution of an activity's chain, as it begins."""
        wishes = (self.request.lock, activity.lock, template_locks)
        return ExecutionRow(
            id=uuid4(),
            user_id=self.event.user_id,
            activity_code=activity.code,
            activity_version=activity.version,
            link="grant",
            channel_code=self.request.channel_code,
            event_source=self.event.source,
            event_id=self.event.id,
            best_only=self.request.best_only,
            locked=next(choice for choice in wishes if choice is not None),
            attempts=1,
            business_at=self.now,
            chain_id=chain_id,
        )


def begin(app: TacticsApp, request: PlacementRequest) -> Visit:
    """Find the activities; under a key that was used before, those of then, with what was answered then.

    Raises:
        BadInput, UnknownChannel, IdempotencyConflict: as `tactics.flows.placement.visit`.
    """
    runtime = app.runtime
    unplain = plain_problem({name: getattr(request, name) for name in PlacementRequest.__slots__ if name != "at"})
    if unplain is None and is_pseudonym(request.user_id):
        unplain = {"path": "/user_id", "message": "this is the pseudonym of a user who was erased"}
    if unplain is not None:
        raise BadInput(f"placement: {unplain['path'] or '/'}: {unplain['message']}", problems=[unplain])
    wait_ms = request.deadline_ms or runtime.settings.placement_deadline_ms
    deadline = time.monotonic() + wait_ms / 1000
    with runtime.reading() as conn:
        at = request.at if runtime.settings.replay else None
        now, revisions, versions, tripped = activities.live_now(conn, request.channel_code, at)
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
        raise conflict(request)
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
    one = Visit(app, request, event, now, stored, loaded, deadline, twin, parts, ids, complete, unreadable, tripped)
    _look_up(one)
    return one


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


def _look_up(one: Visit) -> None:
    """Find out which of the activities that have not begun yet can come to something."""
    if one.given_up:
        return
    begun = one.execution_ids.keys() | one.parts.keys() | one.tripped.keys()
    waiting = [activity for activity in one.candidates if activity.code not in begun]
    request = one.request
    one.looked_up = look_up(one.app, one.stored, request.channel_code, request.user_id, waiting, one.context)


def conflict(request: PlacementRequest) -> IdempotencyConflict:
    """Give the error of a key that says something else than before."""
    return IdempotencyConflict(f"the key {request.key!r} was used before with another request")
