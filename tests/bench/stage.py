"""Where benchmarks run: durable servers of their own on this machine, a worker of two processes, and ways to wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from tactics.flows.action import submit_events
from tactics.local import Local, running_locally
from tests.bench.size import Size

PROCESSES = 2
"""Worker processes, of the engine and of each baseline."""
BATCH = 100
"""Events handed in at a time."""
PATIENCE_S = 180
LEAST_ROUNDS = 3
_LOOK_S = 0.02
# Both counts are read from small partial indexes: looking often costs the workers little.
_UNFINISHED = text(
    "SELECT (SELECT count(*) FROM event WHERE next_attempt_at IS NOT NULL)"
    " + (SELECT count(*) FROM execution WHERE next_attempt_at IS NOT NULL)"
)
_PREPARED = text("SELECT count(*) FROM execution WHERE link = 'prepare' AND outcome = 'prepared'")
_FAILED = text("SELECT count(*) FROM event WHERE parked_reason IS NOT NULL")


class MeasureFailed(Exception):
    """What was to be measured did not happen: there is no figure then."""


@contextmanager
def stage() -> Iterator[Local]:
    """Run the engine in a new temporary home: Postgres with fsync, Valkey, a worker, beat."""
    with running_locally(durable=True, flower=False, worker_processes=PROCESSES) as local:
        yield local


def rounds(size: Size) -> Iterator[int]:
    """Number the rounds of a measure; number 0 warms up, and does not count."""
    started = time.perf_counter()
    for number in range(size.rounds + 1):
        yield number
        if number >= LEAST_ROUNDS and time.perf_counter() - started > size.rounds_s:
            return


@contextmanager
def looking(local: Local) -> Iterator[Connection]:
    """Give a connection for looking at what the workers did."""
    with local.app.runtime.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        yield conn


def until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition.

    Raises:
        MeasureFailed: it did not come true in time.
    """
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise MeasureFailed(f"waited {patience_s:.0f} s for {what}")
        time.sleep(_LOOK_S)


def until_done(local: Local, conn: Connection, most: int = 0) -> None:
    """Wait until at most so many events and executions are unfinished."""

    def done() -> bool:
        local.supervisor.check()
        return bool(conn.execute(_UNFINISHED).scalar_one() <= most)

    until(done, "the events to be worked on")


def hand_in(local: Local, messages: Sequence[Mapping[str, Any]]) -> None:
    """Hand events in, as a producer does: accepted and published, a batch at a time.

    Raises:
        MeasureFailed: one was not accepted.
    """
    for start in range(0, len(messages), BATCH):
        receipts = submit_events(local.app, messages[start : start + BATCH])
        refused = next((one for one in receipts if one.status != "accepted"), None)
        if refused is not None:
            raise MeasureFailed(f"event {refused.id} is {refused.status}: {refused.reason}")


def prepared(conn: Connection) -> int:
    """Count the preparations that ended well."""
    return int(conn.execute(_PREPARED).scalar_one())


def work_through(local: Local, messages: Sequence[Mapping[str, Any]], *, prepares: int) -> float:
    """Hand events in and wait until everything that follows from them is done.

    Args:
        local: the engine.
        messages: the events.
        prepares: how many instances they must prepare.

    Returns:
        Seconds, from handing in the first event to seeing that the last one is done.

    Raises:
        MeasureFailed: another number was prepared, or an event was parked.
    """
    with looking(local) as conn:
        before = prepared(conn)
        started = time.perf_counter()
        hand_in(local, messages)
        until_done(local, conn)
        took = time.perf_counter() - started
        done = prepared(conn) - before
        parked = conn.execute(_FAILED).scalar_one()
    if done != prepares or parked:
        raise MeasureFailed(f"{done} instances were prepared, not {prepares}; {parked} events are parked")
    return took


def plain_url(local: Local, database: str | None = None) -> str:
    """Give the database's address as psycopg and DBOS write it; of another database on the same server when named."""
    url = local.servers.database_url.replace("postgresql+psycopg://", "postgresql://")
    return url if database is None else f"{url.rsplit('/', 1)[0]}/{database}"


def worker_pids(local: Local) -> list[int]:
    """Give the processes that run tasks: pool processes, or workers that have none."""
    mains = [
        status.pid
        for name, status in local.supervisor.statuses().items()
        if name.startswith("worker") and status.pid is not None
    ]
    found = [pid for main in mains for pid in _children(main) or [main]]
    if not found:
        raise MeasureFailed("no worker is running")
    return found


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
