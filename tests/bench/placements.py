"""The median placement that grants, in the calling process, beside a bare grant transaction and one Redis trip.

A placement: find the activities of the channel, lock, read the prepared data, check the rule with the user's facts,
ask what the user holds, grant (count, stock, asset, outbox), put words to it, record execution and answer, commit. One
process, one visit after the other; each by another user, whose instance a worker has prepared before.

Beside it, in turn and over the same two servers: `floor.grant` with one GET before it.
"""

from __future__ import annotations

import statistics
import time

import psycopg
import redis

from tactics.local import Local
from tests.bench import floor, scene, visits
from tests.bench.size import Size
from tests.bench.stage import plain_url, rounds, stage
from tests.bench.where import TimeSpent

KEYS = ("placement_p50_over_floor",)


def measure(size: Size) -> dict[str, float]:
    """Take both, in turn; then, by itself, where a placement's time goes."""
    users = size.visits * (size.rounds + 2)
    with stage() as local, floor.connect(plain_url(local)) as conn:
        scene.set_up(local.app, users)
        floor.set_up(conn)
        visits.prepare(local, range(users))
        taken = []
        for number in rounds(size):
            ours = _placements(local, range(number * size.visits, (number + 1) * size.visits))
            taken.append((ours, _bare(conn, local.app.runtime.redis, number, size.visits)))
        with TimeSpent() as spent:
            _placements(local, range(users - size.visits, users))
    placements = [one for found, _ in taken[1:] for one in found]
    grants = [one for _, found in taken[1:] for one in found]
    p50, floor_p50 = statistics.median(placements), statistics.median(grants)
    return {
        "placement_p50_over_floor": p50 / floor_p50,
        "placement_p50_ms": p50,
        "floor_p50_ms": floor_p50,
        # How restless the machine was: the baseline has no reason of its own to be uneven.
        "placement_alone_p99_over_p50": statistics.quantiles(placements, n=100)[98] / p50,
        "floor_p99_over_p50": statistics.quantiles(grants, n=100)[98] / floor_p50,
        **{f"placement_{name}": value for name, value in spent.per_call(size.visits).items()},
    }


def _placements(local: Local, user_numbers: range) -> list[float]:
    """Visit with each user; gives each visit's milliseconds."""
    found = []
    for number in user_numbers:
        started = time.perf_counter()
        visits.granted(local.app, number)
        found.append((time.perf_counter() - started) * 1000)
    return found


def _bare(conn: psycopg.Connection, client: redis.Redis, number: int, count: int) -> list[float]:
    found = []
    for one in range(count):
        started = time.perf_counter()
        client.get(f"bare:prepared:{one}")
        floor.grant(conn, f"{number}-{one}")
        found.append((time.perf_counter() - started) * 1000)
    return found
