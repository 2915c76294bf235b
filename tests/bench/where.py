"""How much of a stretch of time goes into waiting for Postgres and for Redis; the rest is Python.

It looks at the drivers, not at the engine: at what psycopg waits for, and at what redis-py is asked to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

import psycopg
import redis
from redis.client import Pipeline

_WATCHED: tuple[tuple[type, str, str], ...] = (
    (psycopg.Connection, "wait", "sql"),
    (psycopg.Cursor, "execute", "statement"),
    (psycopg.Connection, "commit", "commit"),
    (redis.Redis, "execute_command", "redis"),
    (Pipeline, "execute", "redis"),
)


class TimeSpent:
    """Adds up, while it is entered, the time of waits for Postgres, of commits and of Redis trips in this process."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.all_s = 0.0
        self._seconds = dict.fromkeys(("sql", "statement", "commit", "redis"), 0.0)
        self._counts = dict.fromkeys(("sql", "statement", "commit", "redis"), 0)
        self._kept: list[tuple[type, str, Any]] = []

    def __enter__(self) -> Self:
        """Begin."""
        for owner, name, part in _WATCHED:
            original = getattr(owner, name)
            self._kept.append((owner, name, original))
            setattr(owner, name, self._watching(original, part))
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.all_s = time.perf_counter() - self._started
        for owner, name, original in self._kept:
            setattr(owner, name, original)

    def _watching(self, original: Callable[..., Any], part: str) -> Callable[..., Any]:
        def watched(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return original(*args, **options)
            finally:
                self._seconds[part] += time.perf_counter() - started
                self._counts[part] += 1

        return watched

    def per_call(self, calls: int) -> dict[str, float]:
        """Give the milliseconds of one call, and how much it asks; `sql_ms` without commits, `python_ms` the rest."""
        ms = {part: seconds * 1000 / calls for part, seconds in self._seconds.items()}
        whole = self.all_s * 1000 / calls
        return {
            "sql_ms": ms["sql"] - ms["commit"],  # a commit waits too
            "sql_statements": self._counts["statement"] / calls,
            "commit_ms": ms["commit"],
            "redis_ms": ms["redis"],
            "redis_trips": self._counts["redis"] / calls,
            "python_ms": whole - ms["sql"] - ms["redis"],
        }
