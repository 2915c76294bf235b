"""What is forked: the product's own programs, with one protection taken out where a broken build is asked for.

Also the Celery app of the workers and of beat: `celery -A tests.chaos.program`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from tactics import worker
from tactics.celery_app import TacticsApp

_IMPORTED = (
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "tactics.api.server",
    "tactics.cli.app",
    "tactics.cli.attach",
    "tactics.cli.listening",
    "tactics.cli.together",
    "uvicorn.loops.uvloop",
    "uvicorn.supervisors",
)
BROKEN, VISIBILITY = "TACTICS_CHAOS_BROKEN", "TACTICS_CHAOS_VISIBILITY_TIMEOUT_S"


def run(argv: Sequence[str]) -> None:
    """Be a program: `api PORT`, `worker NAME PROCESSES`, or `beat`. Ends with it."""
    if name := os.environ.get(BROKEN):
        from tests.chaos import broken

        broken.apply(name)
    kind, *rest = argv
    if kind == "api":
        from tactics.cli import main

        sys.argv = ["tactics", "api", "--host", "127.0.0.1", "--port", *rest]
        main()
        return
    from celery.bin.celery import main as celery

    command = (
        worker.worker_command(name=f"{rest[0]}@%h", processes=int(rest[1]), log_level="WARNING")
        if kind == "worker"
        else worker.beat_command(log_level="WARNING")
    )
    ours = [one if one != "tactics.worker" else "tests.chaos.program" for one in command]
    sys.argv = ["celery", *ours[ours.index("celery") + 1 :]]
    celery()


def import_everything() -> None:
    """Import what any of the programs will, so that a fork has it."""
    for name in _IMPORTED:
        importlib.import_module(name)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    app: TacticsApp = worker.app
    # The product's is ten times the time limit, and no stop of this suite would outlast it.
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "visibility_timeout": int(os.environ[VISIBILITY]),
    }
    globals()["app"] = app
    return app
