"""The baseline for behaviour events: a worker whose chains are plain Celery, each step a message, and do nothing.

Run as `celery -A tests.bench.noop worker`; the broker is $BENCH_BROKER.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from celery import Celery, chain

STEPS = 5
DONE = "bench:done"

app = Celery("noop", broker=os.environ.get("BENCH_BROKER", "redis://127.0.0.1:1/0"), set_as_current=False)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    task_default_queue="noop",
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
)

_clients: dict[int, redis.Redis] = {}


def client() -> redis.Redis:
    """Give this process's Redis connection."""
    return _clients.setdefault(os.getpid(), redis.Redis.from_url(os.environ["BENCH_BROKER"]))


@app.task(name="noop.step")  # type: ignore[untyped-decorator]  # Celery ships no types
def step(execution_id: str, attempt: int) -> None:
    """Do nothing."""


@app.task(name="noop.last")  # type: ignore[untyped-decorator]  # Celery ships no types
def last(execution_id: str, attempt: int) -> None:
    """Count a chain that came to its end."""
    client().incr(DONE)


def start(number: int, steps: int = STEPS) -> None:
    """Publish one chain of `steps` tasks; its messages carry ids, as the real ones do."""
    ids: tuple[Any, ...] = (f"execution-{number}", 1)
    chain(*[app.tasks["noop.step"].si(*ids) for _ in range(steps - 1)], app.tasks["noop.last"].si(*ids)).apply_async()
