"""A process that dies by SIGKILL at any commit, publish, ack, Redis write or provider's call loses and doubles nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tactics.runtime import Runtime
from tests.chaos.journeys.book import Book
from tests.chaos.journeys.journey import Journey, Scene
from tests.chaos.journeys.local import LOCAL, activities
from tests.chaos.journeys.outside import OUTSIDE, outside_activities, set_up
from tests.driving import Maker

JOURNEYS = (*LOCAL, *OUTSIDE)
EVERY = 1 if os.environ.get("CHAOS") == "full" else 4
"""Every boundary in the full suite; every fourth, beginning elsewhere for each journey, where other tests wait."""


@pytest.fixture
def scene(driven: Maker, tmp_path: Path) -> Scene:
    """Where journeys play: their activities are live, and what is done only once in a process's life is done."""
    drive, book = driven(), Book(tmp_path / "book.jsonl")
    open_runtime = drive.app._open_runtime

    def opened(settings: object) -> Runtime:
        runtime = open_runtime(settings)
        return replace(runtime, gateways=replace(runtime.gateways, benefits=book))

    drive.runtime.close()
    drive.app._open_runtime, drive.app._runtime = opened, None
    made = Scene(drive, book)
    set_up(made)
    drive.load(*activities(), *outside_activities())
    made.prepare("first")
    assert drive.outcome("first") == "granted"
    return made


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda one: one.name)
def test_a_process_that_dies_anywhere_loses_and_doubles_nothing(scene: Scene, journey: Journey) -> None:
    """Killed at a boundary, whatever it was; then all ends, exactly one grant is there, and everything adds up."""
    passed = journey.rehearse(scene, "rehearsal")
    assert passed
    for number, boundary in list(enumerate(passed))[JOURNEYS.index(journey) % EVERY :: EVERY]:
        journey.die(scene, f"user-{number}", boundary)
