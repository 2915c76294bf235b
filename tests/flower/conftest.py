"""A whole Tactics with Flower, and somebody in its database who makes trouble."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tactics import embedded
from tactics.celery_app import TacticsApp
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.embedded.home import temporary
from tactics.worker import make_app
from tests.journey import offer
from tests.running import Up, running_up, written


@pytest.fixture(scope="session")
def up() -> Iterator[Up]:
    """A running `tactics up` with a live activity, whose Flower hears what happens."""
    home = temporary()
    try:
        with running_up(home) as running:
            shop = written(home / "offer.json", offer())
            imported = running.run("activity", "import", shop, "--publish")
            assert imported.returncode == 0, imported.stderr
            running.until(lambda: running.ask_flower("/workers?json=1").data["data"], "Flower hears the worker")
            yield running
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def app(up: Up) -> Iterator[TacticsApp]:
    """An app of a producer and shop beside it."""
    servers = embedded.attached(up.home)
    assert servers is not None
    made = make_app(Settings(database_url=servers.database_url, redis_url=servers.redis_url, home=up.home))
    prepare_app(made)
    yield made
    made.runtime.close()
    made.close()


@pytest.fixture(scope="session")
def engine(app: TacticsApp) -> Engine:
    """Its database."""
    return app.runtime.engine
