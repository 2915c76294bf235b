"""A worker's memory after 200,000 events, over its memory after 10,000.

A real worker with two pool processes; the figure is of their resident memory (VmRSS), added up. The events are user
actions, handed in in batches of 100 by this process, which waits while many are unfinished: so memory is a worker's in
its stride, not that of a flood. About one in fifteen satisfies a behaviour rule and prepares an instance, most of them
after the first reading, which does not flatter the figure. It is read when nothing is left to do. No pool process may have been replaced in between: then there is no figure.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from tactics.local import Local
from tests.bench import scene
from tests.bench.size import Size
from tests.bench.stage import BATCH, MeasureFailed, hand_in, looking, prepared, stage, until_done, worker_pids

KEYS = ("memory_growth",)
ACTIONS_OF_A_USER = 10
KINDS = ("view", "view", "purchase")
MOST_WAITING = 2_000


def measure(size: Size) -> dict[str, float]:
    """Read the memory twice; once is enough, for it is no matter of time."""
    users = size.late_events // ACTIONS_OF_A_USER
    with stage() as local:
        scene.set_up(local.app, users)
        started = time.perf_counter()
        _feed(local, users, 0, size.early_events)
        pids, early = worker_pids(local), _resident_mb(local)
        _feed(local, users, size.early_events, size.late_events)
        late, took = _resident_mb(local), time.perf_counter() - started
        if worker_pids(local) != pids:
            raise MeasureFailed("a pool process was replaced meanwhile")
        with looking(local) as conn:
            fired = prepared(conn)
        if not fired:
            raise MeasureFailed("no action has prepared anything")
    return {
        "memory_growth": late / early,
        "memory_early_mb": early,
        "memory_late_mb": late,
        "memory_events_per_s": size.late_events / took,
        "memory_instances_prepared": fired,
    }


def _feed(local: Local, users: int, first: int, last: int) -> None:
    """Hand in the events numbered from first to last, and wait until all is done."""
    chance = random.Random(first)  # noqa: S311  # the same events in every run
    with looking(local) as conn:
        for start in range(first, last, BATCH):
            hand_in(local, [_action(number, users, chance) for number in range(start, min(start + BATCH, last))])
            until_done(local, conn, MOST_WAITING)
        until_done(local, conn)


def _action(number: int, users: int, chance: random.Random) -> dict[str, object]:
    user_number, item_number = chance.randrange(users), chance.randrange(scene.ITEMS)
    return scene.action(f"memory-{number}", user_number, chance.choice(KINDS), item_number)


def _resident_mb(local: Local) -> float:
    status = [Path(f"/proc/{pid}/status").read_text() for pid in worker_pids(local)]
    lines = [line for text in status for line in text.splitlines() if line.startswith("VmRSS:")]
    return sum(int(line.split()[1]) for line in lines) / 1024
