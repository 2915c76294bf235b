"""Visits that grant, by users whose instances are prepared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tactics.celery_app import TacticsApp
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.flows.placement import PlacementRequest, visit
from tactics.local import Local
from tactics.worker import make_app
from tests.bench import scene
from tests.bench.clients import Work
from tests.bench.stage import MeasureFailed, work_through


def prepare(local: Local, user_numbers: Sequence[int]) -> None:
    """Let the workers prepare these users' instances."""
    work_through(local, scene.behaviours(f"visits-{user_numbers[0]}", user_numbers), prepares=len(user_numbers))


def granted(app: TacticsApp, user_number: int) -> None:
    """Visit once.

    Raises:
        MeasureFailed: the visit granted nothing.
    """
    answer = visit(app, PlacementRequest(scene.user(user_number), scene.CHANNEL, deadline_ms=60_000))
    if [part["outcome"] for part in answer.results] != ["granted"]:
        raise MeasureFailed(f"user {user_number} was not granted: {answer.to_json()}")


@contextmanager
def visitor(settings: Settings) -> Iterator[Work]:
    """Be a process that visits.

    An order is the users, when to begin (`time.time`), and how many seconds lie between two arrivals: 0 for a closed
    loop, one visit after the other. The answer is each visit's milliseconds since its scheduled arrival, or in a closed
    loop since its start, and the seconds that all took.
    """
    app = make_app(settings)
    prepare_app(app)

    def run(order: tuple[Sequence[int], float, float]) -> tuple[list[float], float]:
        user_numbers, begin_at, gap_s = order
        latencies = []
        time.sleep(max(0.0, begin_at - time.time()))
        started = time.perf_counter()
        for position, number in enumerate(user_numbers):
            due = started + position * gap_s if gap_s else time.perf_counter()
            time.sleep(max(0.0, due - time.perf_counter()))
            granted(app, number)
            latencies.append((time.perf_counter() - due) * 1000)
        return latencies, time.perf_counter() - started

    try:
        yield run
    finally:
        app.runtime.close()
        app.close()
