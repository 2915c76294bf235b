"""pytest-celery's setup over local processes: a broker of the test's own, and the worker that is run in production.

The plugin itself is off (`-p no:celery`): its fixtures come from here, for these tests only.

    celery_broker     a Valkey that a test may kill and restart
    celery_worker     a Tactics worker with one pool process, on that broker and the test's database
    celery_setup      both, with an app of this process
    start_worker      starts more workers
    shop              the app with an offer, and what users do
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import pools
from pytest_celery import (
    CeleryTestWorker,
    RedisTestBroker,
    celery_broker_cluster,
    celery_setup,
    celery_setup_cls,
    celery_worker_cluster,
)

from tactics.celery_app import TacticsApp
from tactics.config import Settings
from tactics.embedded.binaries import Account, find_binaries
from tactics.embedded.home import LOOPBACK, free_port
from tactics.worker import worker_command
from tests.journey import Shop, offer, open_shop
from tests.workers.container import LocalProcess, Valkey, Worker

__all__ = ["celery_broker_cluster", "celery_setup", "celery_setup_cls", "celery_worker_cluster"]


@pytest.fixture
def celery_broker(tmp_path: Path) -> Iterator[RedisTestBroker]:
    """A broker that forgets everything when it ends."""
    port = free_port()
    program = find_binaries(tmp_path, Account(name="you")).valkey
    argv = [str(program), "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"]
    broker = RedisTestBroker(Valkey(LocalProcess("valkey", argv, {}, tmp_path), port))
    assert broker.ready()
    yield broker
    broker.teardown()


@pytest.fixture
def celery_backend_cluster() -> None:
    """No results are kept."""


@pytest.fixture
def redis_url(celery_broker: RedisTestBroker) -> str:
    """The test's own Redis, for data too."""
    return str(celery_broker.container.url)


@pytest.fixture
def settings(database: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings that let everything come round quickly."""
    return Settings(
        database_url=database,
        redis_url=redis_url,
        home=tmp_path / "home",
        claim_s=1.0,
        retry_base_s=0.02,
        retry_max_s=0.2,
        task_time_limit_s=30,
        lease_s=31,
        metrics_dir=str(tmp_path / "metrics"),
        worker_metrics_port=free_port(),
    )


@pytest.fixture
def start_worker(settings: Settings, environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Starts workers, and waits until they take messages."""
    started: list[CeleryTestWorker] = []
    changed = settings.model_fields_set - {"database_url", "redis_url", "home"}
    env = {**environment, **{f"TACTICS_{name.upper()}": str(getattr(settings, name)) for name in changed}}

    def start() -> CeleryTestWorker:
        name = f"tactics-{len(started)}"
        process = LocalProcess(name, worker_command(name=f"{name}@%h", processes=1), env, tmp_path)
        started.append(CeleryTestWorker(Worker(process), app=None))
        assert started[-1].ready()
        return started[-1]

    yield start
    for one in started:
        one.teardown()


@pytest.fixture
def celery_worker(start_worker: Callable[[], Any]) -> CeleryTestWorker:
    """The worker of the setup."""
    return start_worker()


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop whose events go to workers."""
    opened = open_shop(settings)
    opened.imports(offer())
    yield opened
    pools.reset()  # they are the process's, by address
    opened.app.runtime.close()
    opened.app.close()


@pytest.fixture
def celery_setup_app(shop: Shop) -> TacticsApp:
    """The app of this process."""
    return shop.app
