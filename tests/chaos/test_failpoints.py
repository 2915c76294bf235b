"""A process that dies by SIGKILL at any commit, publish, ack, Redis write or provider's call loses and doubles nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import pytest

from tactics.config import Settings
from tactics.runtime import Runtime
from tests.chaos.journeys.book import Book
from tests.chaos.journeys.journey import Journey, Scene
from tests.chaos.journeys.listener import Listener
from tests.chaos.journeys.local import EVENTS, PLACEMENTS, WAITING, activities
from tests.chaos.journeys.outside import OUTSIDE, outside_activities, set_up
from tests.chaos.journeys.telling import TELLING
from tests.driving import Maker

GROUPS: Mapping[str, Sequence[Journey]] = {
    "events": EVENTS,
    "placements": PLACEMENTS,
    "waiting": WAITING,
    "outside": OUTSIDE,
    "telling": TELLING,
}
# Were these names gone, the list would have become empty without anybody noticing.
KNOWN: Mapping[str, AbstractSet[str]] = {
    "events": {
        "action: tactics.store.events.accept write before",
        "action: tactics.flows.action.publish_routing publish after",
        "action: tactics.flows.action.route_events commit before",
        "action: tactics.store.prepared.save redis after",
        "action: tactics.segment.Segment.commit commit after",
        "action: tactics.route_events ack before",
        "behaviour, step by step: tactics.segment.Segment.suspend commit after",
        "behaviour, step by step: tactics.chain.StepTask.apply_async publish before",
        "ingest: tactics.ingest_event ack before",
        "asset: tactics.flows.action.route_events commit after",
    },
    "placements": {
        "placement: tactics.store.lease.take redis after",
        "placement: tactics.segment.Segment.commit commit before",
        "placement: tactics.store.lease.release redis before",
        "placement that rebuilds: tactics.store.prepared.save redis after",
        "placement of the best: tactics.segment.Segment.commit commit after 2",
        "placement, step by step: tactics.send_benefit ack before",
    },
    "waiting": {
        "sweep of events: tactics.flows.sweep.sweep commit after",
        "sweep of executions: tactics.chain.StepTask.apply_async publish before",
        "reconcile: tactics.flows.reconcile.reconcile commit before",
        "parked retry: tactics.flows.retry.retry_parked commit after",
    },
    "outside": {
        "outside grant: tactics.chain.send_owed publish before",
        "outside grant: tactics.store.provider_gate.enter redis after",
        "outside grant: tactics.flows.settle.settle_grant grant provider before",
        "outside grant: tactics.flows.settle.settle_grant grant provider after",
        "outside grant: tactics.flows.settle.settle_grant commit after 2",
        "look-up: tactics.flows.settle.settle_grant look_up provider after",
        "refusal: tactics.settle_grant ack before",
        "retry of a parked grant: tactics.flows.grant_retry.begin_retry commit after",
        "retry of a refused grant: tactics.chain.StepTask.apply_async publish before",
    },
    "telling": {
        "webhook: tactics.gateways.webhooks.send request provider after",
        "webhook: tactics.flows.webhook_delivery.publish_webhooks publish before",
        "webhook: tactics.flows.webhook_delivery.deliver_webhooks commit after",
    },
}
FULL = os.environ.get("CHAOS") == "full"
EVERY = 1 if FULL else 10
"""Every boundary in the full suite; one in so many, beginning elsewhere for each journey, where other tests wait."""


@pytest.fixture
def scene(driven: Maker, tmp_path: Path) -> Scene:
    """Where journeys play: their activities are live, and what is done only once in a process's life is done."""
    drive, book, listener = driven(), Book(tmp_path / "book.jsonl"), Listener(tmp_path / "heard.jsonl")
    open_runtime = drive.app._open_runtime

    def opened(settings: Settings) -> Runtime:
        runtime = open_runtime(settings)
        return replace(runtime, gateways=replace(runtime.gateways, benefits=book, outbound=listener))  # type: ignore[arg-type]  # the way out, for tests

    drive.runtime.close()
    drive.app._open_runtime, drive.app._runtime = opened, None
    made = Scene(drive, book, listener)
    set_up(made)
    drive.load(*activities(), *outside_activities())
    made.prepare("first")
    assert drive.outcome("first") == "granted"
    return made


@pytest.mark.parametrize("group", GROUPS)
def test_a_process_that_dies_anywhere_loses_and_doubles_nothing(scene: Scene, group: str) -> None:
    """Killed at a boundary, whatever it was; then all ends, exactly one grant is there, and everything adds up."""
    passed: set[str] = set()
    for place, journey in enumerate(GROUPS[group]):
        found = journey.rehearse(scene, f"rehearsal-{place}")
        passed.update(f"{journey.name}: {one}" for one in found)
        for one in found:
            print(f"passes {journey.name}: {one}")
        for number, boundary in list(enumerate(found))[place % EVERY :: EVERY]:
            journey.die(scene, f"user-{place}-{number}", boundary)
            print(f"survives {journey.name}: {boundary}")
    assert passed >= KNOWN[group]
