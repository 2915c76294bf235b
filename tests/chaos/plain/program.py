"""What is forked for the plain chain: `api PORT`, or `worker NAME PROCESSES`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

_IMPORTED = (
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "fastapi",
    "httpx",
    "kombu.transport.redis",
    "psycopg",
    "sqlalchemy.dialects.postgresql",
    "uvicorn",
)


def run(argv: Sequence[str]) -> None:
    """Be a program, and end with it. What reads the environment is imported now, and not before the fork."""
    kind, *rest = argv
    if kind == "api":
        import uvicorn

        from tests.chaos.plain.entry import app

        uvicorn.run(app, host="127.0.0.1", port=int(rest[0]), log_level="warning")
        return
    from celery.bin.celery import main

    options = [f"--hostname={rest[0]}@%h", f"--concurrency={rest[1]}", "--loglevel=WARNING"]
    sys.argv = ["celery", "-A", "tests.chaos.plain.app:celery", "worker", *options]
    main()


def import_everything() -> None:
    """Import what any of the programs will, so that a fork has it."""
    for name in _IMPORTED:
        importlib.import_module(name)
