"""Events that Celery alone holds, while the database is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from sqlalchemy import make_url, text

from tactics import embedded
from tactics.celery_app import MASKED
from tactics.store.db import make_engine
from tests.delivery.stage import Stage, behaviour
from tests.delivery.waiting import until

STORED = "SELECT count(*) FROM event WHERE routed_at IS NOT NULL"


@pytest.fixture
def database_closed(servers: embedded.Servers, stage: Stage) -> Callable[[], AbstractContextManager[None]]:
    """Closes the test's database to everybody, for as long as the context lasts."""
    name = make_url(stage.settings.database_url).database

    @contextmanager
    def closed() -> Iterator[None]:
        admin = make_engine(servers.database_url, pool_size=1, autocommit=True)
        with admin.connect() as conn:
            conn.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            query = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
            conn.execute(query, {"name": name})
            try:
                yield
            finally:
                conn.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        admin.dispose()
        stage.engine.dispose()

    return closed


def test_ingested_events_outlast_a_database_that_is_away(
    stage: Stage, database_closed: Callable[[], AbstractContextManager[None]]
) -> None:
    """Messages that come in while the database is closed are stored once it opens, and meanwhile show nobody's data."""
    stage.import_activity()
    worker = stage.start_worker(processes=1)
    worker.wait_until_ready()
    inspect, shown = stage.app.control.inspect(timeout=1), []
    with database_closed():
        for number in range(2):
            stage.app.send_task("tactics.ingest_event", args=[behaviour(f"a-secret-user-{number}", number)])
        until(lambda: worker.log.read_text().count("event_not_stored") > 2, "each was tried, one again")

        def masked() -> bool:
            shown.append(repr((inspect.active(), inspect.reserved())))
            return MASKED in shown[-1]

        until(masked, "the worker tells what it does")
    until(lambda: stage.value(STORED) == 2, "both are stored and routed")
    until(lambda: stage.waiting("prepare") == 0 and not stage.redis.hlen("unacked"), "no message is left")
    assert "a-secret-user" not in "".join(shown) + worker.log.read_text()
    assert stage.value("SELECT count(*) FROM execution WHERE outcome = 'prepared'") == 2
