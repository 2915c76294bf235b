"""Fixtures over real servers: one Postgres and one Valkey for the session, a database and a Redis number for each test.

    servers       where the session's servers are (tactics.embedded.Servers)
    database      the URL of a fresh, migrated database, dropped afterwards
    redis_url     a Redis database of the test's own, empty; data and broker live there
    settings      Settings on both
    runtime       Runtime.open(settings), closed afterwards
    environment   the environment for a program that is to find both
    drive         an app in this process, driven by hand (tests/driving.py); `driven` makes others

Nobody but the session's fixtures starts servers, unless starting them is what a test is about.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
import redis
from sqlalchemy import Engine, make_url, text

from tactics import embedded
from tactics.config import Settings
from tactics.rules import default_registry
from tactics.runtime import Runtime
from tactics.store import migrate
from tactics.store.db import make_engine
from tests.driving import drive, driven

__all__ = ["drive", "driven"]

# A loaded machine is no failure; and CI tries the same examples each time, so that a red run is the change's own doing.
hypothesis.settings.register_profile(
    "tactics",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tactics")

# A loaded machine is no reason to give a placement up, unless that is what a test is about.
PATIENT = {"placement_deadline_ms": 30_000, "placement_deadline_max_ms": 30_000}
TEMPLATE = "tactics_template"
# Number 0 is left to whoever looks at the servers by hand. Taken in turn: what an ended test still sends disturbs nobody.
_REDIS_NUMBERS = itertools.cycle(range(1, 16))


@pytest.fixture(autouse=True)
def _no_blocks_left_behind() -> Iterator[None]:
    """Blocks that a test's plugin adds are gone after it: the documentation lists those that come with Tactics."""
    before = dict(default_registry._definitions)
    yield
    if default_registry._definitions != before:
        default_registry._definitions = before
        default_registry._changed()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TACTICS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def servers() -> Iterator[embedded.Servers]:
    """The session's servers, in a temporary home that goes with them."""
    with embedded.running(durable=False) as found:
        yield found


@pytest.fixture(scope="session")
def _template(servers: embedded.Servers) -> Iterator[Engine]:
    """A migrated database to copy; gives a connection to make and drop databases with."""
    admin = make_engine(servers.database_url, pool_size=1, autocommit=True)
    with admin.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {TEMPLATE}"))
    engine = make_engine(_url(servers, TEMPLATE), pool_size=1)
    with engine.begin() as conn:
        migrate.upgrade(conn)
    engine.dispose()
    yield admin
    admin.dispose()


@pytest.fixture
def database(servers: embedded.Servers, _template: Engine) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"test_{uuid4().hex}"
    with _template.connect() as conn:
        # Copying the files costs a third of what writing them to the log does; nothing here has to survive a crash.
        conn.execute(text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy"))
    yield _url(servers, name)
    with _template.connect() as conn:
        conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def redis_url(servers: embedded.Servers) -> str:
    """An empty Redis database that no other test uses at this moment."""
    url = servers.redis_url.removesuffix("/0") + f"/{next(_REDIS_NUMBERS)}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def settings(database: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings on the test's own database and Redis."""
    chosen = Settings(database_url=database, redis_url=redis_url, home=tmp_path / "home")
    return chosen.model_copy(update=PATIENT)


@pytest.fixture
def runtime(settings: Settings) -> Iterator[Runtime]:
    """The runtime on these settings."""
    opened = Runtime.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The environment for a program that is to work with the test's database and Redis."""
    return {
        **os.environ,
        "TACTICS_DATABASE_URL": settings.database_url,
        "TACTICS_REDIS_URL": settings.redis_url,
        "TACTICS_HOME": str(settings.home),
        **{f"TACTICS_{name.upper()}": str(value) for name, value in PATIENT.items()},
    }


def _url(servers: embedded.Servers, name: str) -> str:
    return make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
