"""The Celery app of the tests' workers: `celery -A tests.delivery.worker worker`."""

from __future__ import annotations

import sys
from typing import Any

from celery.signals import worker_ready

from tactics import worker
from tactics.celery_app import TacticsApp
from tests.delivery.plays import register_plays

READY = "it takes messages"


@worker_ready.connect  # type: ignore[untyped-decorator]  # Celery ships no types
def say_ready(**_: Any) -> None:
    """Say it, whatever the log level."""
    print(READY, file=sys.stderr, flush=True)


def __getattr__(name: str) -> TacticsApp:
    if name != "app":
        raise AttributeError(name)
    app = worker.app
    register_plays(app)
    globals()["app"] = app
    return app
