"""The journey of an event from a producer: accepted once its row is committed, then routed, then prepared.

Read top-down: accept → publish → route → (behaviour rules) → executions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

import structlog
from celery.exceptions import Reject, SoftTimeLimitExceeded
from kombu.exceptions import OperationalError
from sqlalchemy import Connection

from tactics import metrics
from tactics.behaviour import record_actions
from tactics.celery_app import MASKED, TacticsApp
from tactics.chain import TacticsTask
from tactics.domain.event import Event
from tactics.errors import BadInput, NotFound, TacticsError
from tactics.flows.accepting import Receipt, accept_events
from tactics.flows.behaviour import route_behaviours, start_executions
from tactics.granting import change_asset
from tactics.segment import backoff_s, failure_text
from tactics.store import events, outside_grants
from tactics.store.events import Ref
from tactics.store.executions import ExecutionRow

log = structlog.get_logger()

REQUEUE_WAIT_S = 1.0
"""How long an event that could not be stored is held before its message goes back: so that it does not spin."""


def submit_events(app: TacticsApp, messages: Sequence[Mapping[str, Any]]) -> list[Receipt]:
    """Accept events and wake the workers up.

    Args:
        app: database and broker.
        messages: CloudEvents in the JSON format.

    Returns:
        A receipt for each, in order. What is `accepted` is committed and will be worked on, whatever happens to the
        broker; what is `rejected` is not stored.
    """
    receipts, refs = accept_events(app, messages)
    publish_routing(app, refs)
    return receipts


def publish_routing(app: TacticsApp, refs: Sequence[Ref]) -> bool:
    """Publish what is to be routed, in messages of up to `batch_size`. A broker that is away costs time, not events.

    Returns:
        False when something could not be published: the sweeper will do it.
    """
    size = app.settings.batch_size
    for start in range(0, len(refs), size):
        batch = [list(ref) for ref in refs[start : start + size]]
        try:
            app.tasks["tactics.route_events"].apply_async((batch,), retry=False, argsrepr=MASKED, kwargsrepr=MASKED)
        except (OperationalError, OSError) as error:
            log.warning("routing_not_published", events=len(refs) - start, error=str(error))
            return False
    return True


def route_events(app: TacticsApp, refs: Sequence[Ref]) -> None:
    """Route accepted events. One that cannot be routed does not hold the others up."""
    if not refs:
        return
    try:
        started = _route(app, refs)
    except SoftTimeLimitExceeded:  # the message's time is up: the sweeper goes on
        raise
    except Exception as error:  # noqa: BLE001  # whatever an event causes is its own trouble
        if len(refs) > 1:
            for ref in refs:
                route_events(app, [ref])
            return
        _not_routed(app, refs[0], error)
        return
    start_executions(app, started)


def _not_routed(app: TacticsApp, ref: Ref, error: Exception) -> None:
    source, event_id, attempt = ref
    # Neither the id nor the error's text: producers may have put into them whose they are. Where it is parked, both are.
    log.warning("not_routed", source=source, attempt=attempt, error=type(error).__name__)
    with app.runtime.engine.begin() as conn:
        if attempt >= app.settings.max_attempts:
            events.park(conn, source, event_id, failure_text(error))
            metrics.PARKED.count("event")
        else:
            events.postpone(conn, [ref], backoff_s(app.runtime, attempt))


def _route(app: TacticsApp, refs: Sequence[Ref]) -> list[ExecutionRow]:
    """Do everything that follows from a batch, in one transaction.

    Returns:
        The executions to start.
    """
    runtime = app.runtime
    with runtime.engine.begin() as conn:
        batch = events.lock_unrouted(conn, refs)
        by_type: dict[str, list[Event]] = {"action": [], "behaviour": [], "asset": []}
        for event in batch:
            by_type[event.type].append(event)
        emitted = record_actions(runtime, conn, by_type["action"]) if by_type["action"] else []
        emitted = events.add_behaviours(conn, emitted, "routed")
        started = route_behaviours(app, conn, [*by_type["behaviour"], *emitted])
        # As they happened. Batches that lock the same instances crosswise are taken back, and routed one by one.
        changes = sorted(by_type["asset"], key=lambda event: (event.at, event.key))
        attempts = {(source, name): attempt for source, name, attempt in refs}
        ends = {event.key: _change_asset(app, conn, event, attempts[event.key]) for event in changes}
        done = [event.key for event in batch if ends.get(event.key, "routed") == "routed"]
        routed = events.mark_routed(conn, done, "routed")
    metrics.EVENTS_ROUTED.count("behaviour", by=len(emitted))
    metrics.PARKED.count("event", by=list(ends.values()).count("parked"))
    for kind, waited_s in routed:
        metrics.EVENTS_ROUTED.count(kind)
        metrics.ROUTING_LAG.observe(waited_s, kind)
    return started


def _change_asset(
    app: TacticsApp, conn: Connection, event: Event, attempt: int
) -> Literal["routed", "waits", "parked"]:
    """Apply what an outer system says of an asset; what cannot be applied is parked with the reason.

    A benefit system may tell of an asset before its grant is settled here: such an event waits for its asset, as long
    as the grant is open; without one, for some attempts.

    Returns:
        `routed` where it was applied, or had been overtaken by a later change.
    """
    now = app.runtime.now(conn, event.at)
    try:
        with conn.begin_nested():
            change_asset(conn, UUID(event.data["asset_id"]), event.data["status"], now, at=event.at)
    except NotFound as error:
        if outside_grants.expects(conn, UUID(event.data["asset_id"])):
            events.postpone(conn, [(*event.key, attempt)], backoff_s(app.runtime, attempt), waits=True)
            return "waits"
        if attempt < app.settings.asset_wait_attempts:
            events.postpone(conn, [(*event.key, attempt)], backoff_s(app.runtime, attempt))
            return "waits"
        events.park(conn, event.source, event.id, error.message)
        return "parked"
    except TacticsError as error:
        events.park(conn, event.source, event.id, error.message)
        return "parked"
    return "routed"


def _accept_or_requeue(app: TacticsApp, message: Mapping[str, Any]) -> tuple[Receipt, list[Ref]]:
    """Accept an event that only its message holds. What cannot be stored now goes back to the queue, behind the others.

    Raises:
        Reject: the event is not stored, or nobody knows whether it is.
    """
    try:
        (receipt,), refs = accept_events(app, [message])
    except SoftTimeLimitExceeded:
        raise Reject("its time was up before it was stored", requeue=True) from None
    except Exception as error:  # noqa: BLE001  # whatever it is, nobody knows whether the event is stored
        log.warning("event_not_stored", error=failure_text(error))
        with suppress(SoftTimeLimitExceeded):
            time.sleep(REQUEUE_WAIT_S)
        raise Reject("not stored", requeue=True) from None  # Celery logs causes whole, with what the row held
    return receipt, refs


def register(app: TacticsApp) -> None:
    """Make the tasks of this journey: `tactics.ingest_event` and `tactics.route_events`."""

    def ingest_event(_: TacticsTask, event: dict[str, Any]) -> None:
        receipt, refs = _accept_or_requeue(app, event)
        if receipt.status == "rejected":
            raise BadInput(f"rejected: {receipt.reason}")
        route_events(app, refs)  # it is stored: whatever happens from here on, the sweeper has it

    def route(_: TacticsTask, refs: list[list[Any]]) -> None:
        route_events(app, [(source, event_id, attempt) for source, event_id, attempt in refs])

    options = {"base": TacticsTask, "bind": True, "shared": False}
    # Killed at the hard limit it may not be stored either: the message goes back, and a stored event is a duplicate.
    ingest = {**options, "Request": "tactics.celery_app:MaskedRequest", "acks_on_timeout": False}
    app.task(name="tactics.ingest_event", **ingest)(ingest_event)
    # Producers choose the ids of events, and may have put into them whose they are.
    app.task(name="tactics.route_events", Request="tactics.celery_app:MaskedRequest", **options)(route)
