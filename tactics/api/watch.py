"""How the servers are and what waits in them, for whoever watches: each asked at most every few seconds, within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from tactics.api.probe import Probe
from tactics.errors import DatabaseDown, TacticsError
from tactics.runtime import Runtime
from tactics.store import migrate
from tactics.store.backlog import Backlog, StockLeft, backlog, open_grants, stock_left
from tactics.store.db import make_engine
from tactics.store.webhook_deliveries import Waiting, waiting

log = structlog.get_logger()

T = TypeVar("T")

THREADS = 4
PATIENCE_S = 1.0
HEALTH_KEPT_S = 1.0
STATE_KEPT_S = 5.0
_STATEMENT_MS = 900

GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "tactics_database_up": ("Whether the database answers, 1 or 0. Where it does not, what follows is left out.", ()),
    "tactics_events_waiting": ("Events accepted and not routed yet; counted up to 100,000.", ()),
    "tactics_events_overdue_seconds": ("For how long the event has been due that was due first.", ()),
    "tactics_executions_waiting": ("Executions that have not ended; counted up to 100,000.", ()),
    "tactics_executions_overdue_seconds": ("For how long the execution has been due that was due first.", ()),
    "tactics_parked_waiting": ("Events and executions given up on, until an operator tries them again.", ("what",)),
    "tactics_unreconciled": ("Answers given without knowing the user's assets, and not looked at again yet.", ()),
    "tactics_activities_tripped": ("Activities that paused themselves and were not let run again yet.", ()),
    "tactics_grants_open": ("Grants that are not settled: pending, unknown, parked.", ("state",)),
    "tactics_webhooks_waiting": ("Notices still to be delivered to webhooks that are enabled; up to 100,000.", ()),
    "tactics_webhooks_oldest_waiting_seconds": ("The age of the oldest of them.", ()),
    "tactics_webhooks_parked": ("Deliveries to webhooks given up on, until an operator tries them again.", ()),
    "tactics_stock_left": (
        "What is left of the limited benefits of live activities: the 200 with the least share left.",
        ("activity", "benefit"),
    ),
}
"""What is read from the database when somebody asks: name → what it says, labels."""


@dataclass(frozen=True, slots=True)
class State:
    """What waits, and what is left."""

    backlog: Backlog
    grants: dict[str, int]
    stock: list[StockLeft]
    webhooks: Waiting


class Watch:
    """One process's look at the servers, over a connection and in threads of its own: busy ones say nothing about them."""

    def __init__(self, runtime: Runtime) -> None:
        """Connect to nothing yet."""
        self._redis = runtime.redis
        self._threads = ThreadPoolExecutor(THREADS, "watch")
        self._engine: Engine = make_engine(
            runtime.settings.database_url, pool_size=1, statement_timeout_ms=_STATEMENT_MS, autocommit=True
        )
        self._health = Probe(self._ask_health, kept_s=HEALTH_KEPT_S, patience_s=PATIENCE_S)
        self._ping = Probe(self._ask_redis, kept_s=HEALTH_KEPT_S, patience_s=PATIENCE_S)
        self._state = Probe(self._ask_state, kept_s=STATE_KEPT_S, patience_s=PATIENCE_S)

    async def asked(self, ask: Callable[[], T]) -> T:
        """Ask something that takes its time, in a thread that no other request waits for."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def revision(self) -> str:
        """Give the schema's revision, which this version can work with.

        Raises:
            DatabaseDown: the database does not answer, or not in time.
            WrongSchema: its tables are those of an older version.
        """
        try:
            return self._health.result()
        except TimeoutError:
            raise DatabaseDown(f"the database did not answer within {PATIENCE_S:g} s") from None
        except SQLAlchemyError as error:
            raise DatabaseDown(f"the database failed: {type(error).__name__}") from error

    def redis_answers(self) -> bool:
        """Tell whether Redis answers; nothing that is accepted depends on it."""
        try:
            return self._ping.result()
        except TimeoutError:
            return False

    def collect(self) -> Iterator[Any]:
        """Give what the database knows as gauges; left out rather than wrong where it does not answer."""
        from prometheus_client.core import GaugeMetricFamily

        values: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        try:
            values = _values(self._state.result())
        except (TimeoutError, TacticsError, SQLAlchemyError) as error:
            log.warning("state_not_read", error=type(error).__name__)
        values["tactics_database_up"] = [((), float(bool(values)))]
        for name, (what, labels) in GAUGES.items():
            gauge = GaugeMetricFamily(name, what, labels=labels)
            for given, value in values.get(name, ()):
                gauge.add_metric(given, value)
            yield gauge

    def close(self) -> None:
        """Give the connection back, and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    def _ask_health(self) -> str:
        try:
            return self._revision()
        except DatabaseDown:  # it may have been restarted since the last question
            self._engine.dispose()
            return self._revision()

    def _revision(self) -> str:
        with self._engine.connect() as conn:
            return migrate.usable_revision(conn)

    def _ask_redis(self) -> bool:
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False

    def _ask_state(self) -> State:
        with self._engine.connect() as conn:
            return State(backlog(conn), open_grants(conn), stock_left(conn), waiting(conn))


def watch_of(runtime: Runtime) -> Watch:
    """Give the process's watch, made at the first call."""
    found = runtime.shared.get("watch")
    if not isinstance(found, Watch):
        found = runtime.shared.setdefault("watch", Watch(runtime))
    assert isinstance(found, Watch)  # noqa: S101  # ours alone
    return found


def close_watch(runtime: Runtime) -> None:
    """Close the process's watch, if there is one."""
    found = runtime.shared.pop("watch", None)
    if isinstance(found, Watch):
        found.close()


def _values(state: State) -> dict[str, list[tuple[tuple[str, ...], float]]]:
    waits = state.backlog
    return {
        "tactics_events_waiting": [((), waits.events)],
        "tactics_events_overdue_seconds": [((), waits.events_overdue_s)],
        "tactics_executions_waiting": [((), waits.executions)],
        "tactics_executions_overdue_seconds": [((), waits.executions_overdue_s)],
        "tactics_parked_waiting": [(("event",), waits.parked_events), (("execution",), waits.parked_executions)],
        "tactics_unreconciled": [((), waits.unreconciled)],
        "tactics_activities_tripped": [((), waits.activities_tripped)],
        "tactics_grants_open": [((name,), count) for name, count in state.grants.items()],
        "tactics_webhooks_waiting": [((), state.webhooks.count)],
        "tactics_webhooks_oldest_waiting_seconds": [((), state.webhooks.oldest_s)],
        "tactics_webhooks_parked": [((), state.webhooks.parked)],
        "tactics_stock_left": [((one.activity_code, one.benefit_code), one.remaining) for one in state.stock],
    }
