"""`make bench`: print how the engine compares with what it stands on, as ratios within one run.

Keys: `events_over_stepwise` behaviour events/s through the whole pipeline, over as many chains/s of no-op Celery tasks
published step by step; `placement_p50_over_floor` the median placement that grants, in process, over the median bare
grant transaction plus one Redis trip. Medians of several rounds, taken in turn; the machine may be noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from tactics.flows.action import accept_events, publish_routing
from tactics.flows.placement import PlacementRequest, visit
from tactics.local import Local, running_locally
from tactics.supervisor import Supervisor
from tests.bench import floor, noop, scene
from tests.bench.where import TimeSpent

ROUNDS = 5
EVENTS = 1_000
PLACEMENTS = 300
WARM_UP = 100
PATIENCE_S = 120
# Both counts are read from small partial indexes: looking often costs the workers little.
_UNFINISHED = text(
    "SELECT (SELECT count(*) FROM event WHERE next_attempt_at IS NOT NULL)"
    " + (SELECT count(*) FROM execution WHERE next_attempt_at IS NOT NULL)"
)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how many times each measure is taken")
    args = parser.parse_args()
    with running_locally(durable=True, flower=False, worker_processes=2) as local:
        figures = measure(local, args.rounds)
    show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(local: Local, rounds: int) -> dict[str, float]:
    """Take every measure, in turn with its baseline."""
    users = EVENTS * (rounds + 1) + WARM_UP + PLACEMENTS * (rounds + 1)
    scene.set_up(local.app, users)
    broker = local.servers.redis_url.removesuffix("/0") + "/9"
    os.environ["BENCH_BROKER"] = broker
    noop.app.conf.broker_url = broker
    real: list[float] = []
    plain: list[float] = []
    with noop_worker(broker):
        for number in range(rounds + 1):
            real.append(events_per_s(local, number))
            plain.append(chains_per_s(broker))
    # The first round of each is warm-up.
    placements, bare, spent = placements_beside_floor(local, rounds)
    p50, floor_p50 = statistics.median(placements), statistics.median(bare)
    return {
        "events_over_stepwise": round(statistics.median(a / b for a, b in zip(real[1:], plain[1:], strict=True)), 2),
        "events_per_s": round(statistics.median(real[1:]), 1),
        "stepwise_chains_per_s": round(statistics.median(plain[1:]), 1),
        "placement_p50_over_floor": round(p50 / floor_p50, 2),
        "placement_p50_ms": round(p50, 3),
        "floor_p50_ms": round(floor_p50, 3),
        "placement_p99_over_p50": round(statistics.quantiles(placements, n=100)[98] / p50, 2),
        **spent,
    }


@contextmanager
def noop_worker(broker: str) -> Iterator[None]:
    """Run the baseline's worker: as many processes, the same pool."""
    argv = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tests.bench.noop",
        "worker",
        "-c",
        "2",
        "-E",
        "-Q",
        "noop",
        "-n",
        "noop@%h",
    ]
    env = {**os.environ, "BENCH_BROKER": broker}
    with tempfile.TemporaryDirectory() as folder, Supervisor() as supervisor:
        supervisor.start("noop", argv, env, restart=False, log=Path(folder) / "noop.log")
        noop.client().delete(noop.DONE)
        noop.start(0)
        _until(lambda: _done() >= 1, "the baseline's worker to start")
        yield


def _done() -> int:
    return int(noop.client().get(noop.DONE) or 0)


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.02)


def events_per_s(local: Local, number: int) -> float:
    """Publish accepted behaviour events, and time until each one has prepared its instance."""
    messages = [scene.behaviour(number * EVENTS + one, "events") for one in range(EVENTS)]
    _, refs = accept_events(local.app, messages)
    with local.app.runtime.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
        started = time.perf_counter()
        publish_routing(local.app, refs)
        _until(lambda: conn.execute(_UNFINISHED).scalar_one() == 0, "the events to be prepared")
        took = time.perf_counter() - started
        prepared = conn.execute(text("SELECT count(*) FROM execution WHERE outcome = 'prepared'")).scalar_one()
    if prepared != EVENTS * (number + 1):
        raise AssertionError(f"{prepared} executions are prepared, {EVENTS * (number + 1)} were expected")
    return EVENTS / took


def chains_per_s(broker: str) -> float:
    """Publish as many no-op chains, and time until the last one ended."""
    before = _done()
    started = time.perf_counter()
    for one in range(EVENTS):
        noop.start(one)
    _until(lambda: _done() - before >= EVENTS, f"the no-op chains on {broker}")
    return EVENTS / (time.perf_counter() - started)


def placements_beside_floor(local: Local, rounds: int) -> tuple[list[float], list[float], dict[str, float]]:
    """Time placements that grant, and bare grants, in turn; and where a placement's time goes."""
    first = EVENTS * (rounds + 1)
    count = PLACEMENTS * (rounds + 1) + WARM_UP
    for start in range(first, first + count, EVENTS):
        messages = [scene.behaviour(one, "visits") for one in range(start, min(start + EVENTS, first + count))]
        _, refs = accept_events(local.app, messages)
        publish_routing(local.app, refs)
    with local.app.runtime.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
        _until(lambda: conn.execute(_UNFINISHED).scalar_one() == 0, "preparation")
    url = local.servers.database_url
    placements: list[float] = []
    bare: list[float] = []
    users = iter(range(first, first + count))
    with floor.connect(url) as conn:
        conn.execute(floor.SCHEMA, prepare=False)
        conn.commit()
        client = local.app.runtime.redis
        for _ in range(WARM_UP):
            _visit(local, next(users))
            floor.grant(conn, client, "warm")
        for round_number in range(rounds):
            placements += [_visit(local, next(users)) for _ in range(PLACEMENTS)]
            bare += [floor.grant(conn, client, f"{round_number}-{one}") for one in range(PLACEMENTS)]
    with TimeSpent(local.app.runtime) as spent:
        for _ in range(PLACEMENTS):
            _visit(local, next(users))
    return placements, bare, spent.per_call(PLACEMENTS)


def _visit(local: Local, number: int) -> float:
    started = time.perf_counter()
    answer = visit(local.app, PlacementRequest(scene.user(number), scene.CHANNEL))
    took = (time.perf_counter() - started) * 1000
    if [part["outcome"] for part in answer.results] != ["granted"]:
        raise AssertionError(f"user {number} was not granted: {answer.to_json()}")
    return took


def show(figures: dict[str, float]) -> None:
    """Print the table."""
    table = Table("measure", "figure", title="Ratios within this run; absolute figures are this machine's, now")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    Console().print(table)


if __name__ == "__main__":
    main()
