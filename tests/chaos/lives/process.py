"""One of the processes that try lives of grants side by side."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import structlog
from sqlalchemy import make_url, text

from tactics.config import Settings
from tactics.store import migrate
from tactics.store.db import make_engine
from tests.chaos.lives.running import run_machine
from tests.driving import make_drive

_PATIENT_MS = 30_000


def run(database_url: str, redis_url: str, number: int, examples: int, seed: int) -> None:
    """Try lives in a database and a Redis number of this process's own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    name = f"lives_{number}"
    admin = make_engine(database_url, pool_size=1, autocommit=True)
    with admin.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    own = make_url(database_url).set(database=name).render_as_string(hide_password=False)
    engine = make_engine(own, pool_size=1)
    with engine.begin() as conn:
        migrate.upgrade(conn)
    engine.dispose()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            database_url=own,
            redis_url=f"{redis_url.removesuffix('/0')}/{number}",
            home=Path(home),
            placement_deadline_ms=_PATIENT_MS,
            placement_deadline_max_ms=_PATIENT_MS,
        )
        drive = make_drive(settings)
        try:
            run_machine(drive, examples=examples, seed=seed * 1_000 + number)
        finally:
            drive.runtime.close()
