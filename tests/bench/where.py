"""Where a placement's time goes: SQL, Redis, and the rest, which is Python."""

from __future__ import annotations

import time
from typing import Any, Self

import redis
from sqlalchemy import event

from tactics.runtime import Runtime

_COMMAND = "execute_command"


class TimeSpent:
    """Adds up, while it is entered, the time of SQL statements, commits and Redis commands."""

    def __init__(self, runtime: Runtime) -> None:
        """Remember whom to watch."""
        self._engines = [one for one in (runtime.engine, runtime.assets_engine) if one is not None]
        self._redis = runtime.redis
        self.sql_s = self.commit_s = self.redis_s = self.all_s = 0.0
        self.statements = self.redis_trips = 0

    def __enter__(self) -> Self:
        """Begin."""
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._before)
            event.listen(engine, "after_cursor_execute", self._after)
            event.listen(engine, "commit", self._commit)
        self._execute: Any = getattr(redis.Redis, _COMMAND)
        watch = self

        def execute(client: redis.Redis, *args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return watch._execute(client, *args, **options)
            finally:
                watch.redis_s += time.perf_counter() - started
                watch.redis_trips += 1

        setattr(redis.Redis, _COMMAND, execute)
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.all_s = time.perf_counter() - self._started
        setattr(redis.Redis, _COMMAND, self._execute)
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._before)
            event.remove(engine, "after_cursor_execute", self._after)
            event.remove(engine, "commit", self._commit)

    def _before(self, _conn: Any, _cursor: Any, _statement: str, _params: Any, context: Any, _many: bool) -> None:
        context.bench_started = time.perf_counter()

    def _after(self, _conn: Any, _cursor: Any, _statement: str, _params: Any, context: Any, _many: bool) -> None:
        self.sql_s += time.perf_counter() - context.bench_started
        self.statements += 1

    def _commit(self, _conn: Any) -> None:
        self.statements += 1

    def per_call(self, calls: int) -> dict[str, float]:
        """Give the figures of one call."""
        rest = self.all_s - self.sql_s - self.redis_s
        return {
            "placement_sql_statements": round(self.statements / calls, 1),
            "placement_sql_share": round(self.sql_s / self.all_s, 3),
            "placement_redis_trips": round(self.redis_trips / calls, 1),
            "placement_redis_share": round(self.redis_s / self.all_s, 3),
            "placement_python_and_commit_share": round(rest / self.all_s, 3),
        }
