"""Behaviour events a second through the whole pipeline, beside five steps that do nothing.

Ours: accepted (validated, committed), published, routed to their activity, and prepared, which means five steps that
read the user and his items, evaluate prices, store what they found in Redis and commit. Timed from handing in the
first event, in batches of 100, to the last committed preparation, by two worker processes. The producer is this
process, on the same machine, as for the baselines.

Beside it, in turn, as many chains of five steps that do nothing at all:

stepwise: plain Celery on the same Valkey (another database number), a worker of two processes with late acks, prefetch
    1 and task events, as ours has. `chain(...)` publishes each step when the one before it ended. Timed from publishing
    the first chain to the end of the last one.
dbos: DBOS workflows of five steps, on the same Postgres (another database), from two processes with four threads each.
    That was the fastest of what was tried: one, eight or sixteen threads, `start_workflow`, coroutines, and its own
    queue are all slower here. Neither a broker nor a queue is in its way, nor somebody else's events: each process
    calls its own workflows. Timed from the first call to the last return of the slower process.

Ratios are of neighbouring rounds; the figure is their median.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tactics.local import Local
from tactics.supervisor import Supervisor
from tests.bench import noop, scene
from tests.bench.clients import Clients, Work, clients
from tests.bench.size import Size
from tests.bench.stage import PROCESSES, plain_url, rounds, stage, until, work_through

KEYS = ("events_over_stepwise", "events_over_dbos")
DBOS_DATABASE = "bench_dbos"
DBOS_THREADS = 4
STEPS = noop.STEPS


def measure(size: Size) -> dict[str, float]:
    """Take all three, in turn."""
    with stage() as local:
        scene.set_up(local.app, size.events)
        with _noop_worker(local) as broker, _dbos_processes(local) as dbos:
            taken = [_round(local, broker, dbos, size.events, number) for number in rounds(size)]
    ours, stepwise, durable = zip(*taken[1:], strict=True)
    return {
        "events_over_stepwise": statistics.median(a / b for a, b in zip(ours, stepwise, strict=True)),
        "events_over_dbos": statistics.median(a / b for a, b in zip(ours, durable, strict=True)),
        "events_per_s": statistics.median(ours),
        "stepwise_chains_per_s": statistics.median(stepwise),
        "dbos_workflows_per_s": statistics.median(durable),
    }


def _round(local: Local, broker: str, dbos: Clients, count: int, number: int) -> tuple[float, float, float]:
    """Take one of each, per second."""
    messages = scene.behaviours(f"events-{number}", range(count))
    ours = count / work_through(local, messages, prepares=count)
    stepwise = count / _chains(broker, count)
    share = count // PROCESSES
    durable = share * PROCESSES / max(dbos.ask([share] * PROCESSES))
    return ours, stepwise, durable


@contextmanager
def _noop_worker(local: Local) -> Iterator[str]:
    """Run the Celery baseline's worker; gives its broker."""
    broker = local.servers.redis_url.removesuffix("/0") + "/9"
    os.environ["BENCH_BROKER"] = broker
    noop.app.conf.broker_url = broker
    options = ["worker", "-c", str(PROCESSES), "-E", "-Q", "noop", "-n", "noop@%h"]
    command = [sys.executable, "-m", "celery", "-A", "tests.bench.noop", *options]
    with tempfile.TemporaryDirectory() as folder, Supervisor() as supervisor:
        supervisor.start("noop", command, dict(os.environ), restart=False, log=Path(folder) / "noop.log")
        noop.client().delete(noop.DONE)
        noop.start(0)
        until(lambda: _ended() >= 1, "the no-op worker to start")
        yield broker


def _ended() -> int:
    return int(noop.client().get(noop.DONE) or 0)


def _chains(broker: str, count: int) -> float:
    """Run as many no-op chains; gives the seconds they took."""
    before, started = _ended(), time.perf_counter()
    for one in range(count):
        noop.start(one)
    until(lambda: _ended() - before >= count, f"the no-op chains on {broker.rsplit('@', 1)[-1]}")
    return time.perf_counter() - started


@contextmanager
def _dbos_processes(local: Local) -> Iterator[Clients]:
    with psycopg.connect(plain_url(local), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {DBOS_DATABASE}")
    url = plain_url(local, DBOS_DATABASE)
    with clients(dbos_process, [(url, f"executor-{number}") for number in range(PROCESSES)]) as found:
        yield found


@contextmanager
def dbos_process(url: str, executor: str) -> Iterator[Work]:
    """Be one of DBOS's processes: an order is how many workflows to run, the answer how many seconds they took."""
    from dbos import DBOS  # the group `bench` alone has it; `make bench` installs that

    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "executor_id": executor,
            "application_version": "1",
            "sys_db_pool_size": DBOS_THREADS + 4,
            "log_level": "ERROR",
        }
    )

    @DBOS.step()  # type: ignore[untyped-decorator]  # not installed for type checks
    def step(execution_id: str, attempt: int) -> None:
        """Do nothing."""

    @DBOS.workflow()  # type: ignore[untyped-decorator]
    def workflow(execution_id: str, attempt: int) -> None:
        for _ in range(STEPS):
            step(execution_id, attempt)

    DBOS.launch()
    with ThreadPoolExecutor(DBOS_THREADS) as pool:

        def run(count: int) -> float:
            started = time.perf_counter()
            for done in [pool.submit(workflow, f"execution-{one}", 1) for one in range(count)]:
                done.result()
            return time.perf_counter() - started

        yield run
    DBOS.destroy()
