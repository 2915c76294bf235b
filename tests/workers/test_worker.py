"""What only a whole worker can show: the process that is run in production, on a broker and with signals."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_celery import CeleryTestSetup
from sqlalchemy import text

from tactics.flows.action import submit_events
from tactics.flows.sweep import sweep
from tests.counting import counts_of
from tests.delivery.waiting import until
from tests.journey import Shop

MARK = "zqz"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def _behaviour(user: str) -> dict[str, Any]:
    data = {"user_id": user, "rule_key": "bought_twice"}
    return {"specversion": "1.0", "id": f"of-{user}", "source": "test", "type": "tactics.behaviour", "data": data}


def _submit(shop: Shop, *users: str) -> None:
    """Hand events in, each by a message of its own."""
    for user in users:
        assert [one.status for one in submit_events(shop.app, [_behaviour(user)])] == ["accepted"]


def _value(shop: Shop, query: str) -> Any:
    with shop.app.runtime.engine.connect() as conn:
        return conn.execute(text(query)).scalar_one()


def _prepared(shop: Shop) -> list[Any]:
    """Give whom something was prepared for, each with the attempts whose segments took part."""
    query = text("SELECT user_id, segments FROM execution WHERE outcome = 'prepared' ORDER BY 1")
    with shop.app.runtime.engine.connect() as conn:
        return [(row.user_id, len(row.segments)) for row in conn.execute(query)]


@contextmanager
def _held_up(shop: Shop) -> Iterator[None]:
    """Let whoever prepares anything wait, from when somebody does."""
    with shop.app.runtime.engine.connect() as conn:
        conn.execute(text("LOCK TABLE instance IN ACCESS EXCLUSIVE MODE"))
        yield
        conn.rollback()


def _somebody_waits(shop: Shop) -> None:
    until(lambda: _value(shop, _WAITING), "a worker works on it")


def _sweep_until_prepared(shop: Shop, *users: str) -> None:
    """Sweep as beat would, until all are prepared, each once."""

    def done() -> bool:
        sweep(shop.app)
        return len(_prepared(shop)) == len(users)

    until(done, f"{users} are prepared")
    assert _prepared(shop) == [(user, 1) for user in users]


def test_a_worker_takes_events_to_their_end(celery_setup: CeleryTestSetup, shop: Shop) -> None:
    """What was handed in is prepared by the worker, and the next visit shows the benefit."""
    assert celery_setup.ready(control=True)
    purchases = [
        {
            **_behaviour("u1"),
            "id": str(number),
            "type": "tactics.action",
            "data": {"user_id": "u1", "action": "purchase"},
        }
        for number in range(2)
    ]
    submit_events(shop.app, purchases)
    until(lambda: _prepared(shop) == [("u1", 1)], "it is prepared")
    assert [part["outcome"] for part in shop.visits("u1")["results"]] == ["granted"]


def test_a_worker_serves_what_its_processes_count(celery_setup: CeleryTestSetup, shop: Shop) -> None:
    """Its main process gives what the pool has counted and is doing; the API would give the same, from the same folder."""
    assert celery_setup.ready(control=True)
    with _held_up(shop):
        _submit(shop, "u1")
        _somebody_waits(shop)
        assert _counts(shop)["tactics_tasks_running"] == 1
    until(lambda: _counts(shop)["tactics_tasks_running"] == 0, "it is done")
    found = _counts(shop)
    assert found['tactics_events_routed_total{type="behaviour"}'] == 1
    assert found['tactics_executions_total{link="prepare",outcome="prepared"}'] == 1
    assert {file.name.split("_")[0] for file in Path(shop.app.settings.metrics_dir).iterdir()} >= {
        "counter",
        "histogram",
    }


def _counts(shop: Shop) -> dict[str, float]:
    address = f"http://127.0.0.1:{shop.app.settings.worker_metrics_port}/metrics"
    with urllib.request.urlopen(address, timeout=5) as answer:
        return counts_of(answer.read().decode())


def test_a_worker_that_is_told_to_end_finishes_what_it_does(celery_setup: CeleryTestSetup, shop: Shop) -> None:
    """After SIGTERM the message in work is finished, the others stay for the next worker, which needs no sweeper."""
    worker, broker = celery_setup.worker, celery_setup.broker.container.client
    with _held_up(shop):
        _submit(shop, "u1", "u2", "u3")
        _somebody_waits(shop)
        worker.kill("SIGTERM")
        worker.wait_for_log("Warm shutdown")
        assert worker.container.status == "running"
    until(lambda: worker.container.status == "exited", "it ends")
    assert worker.container.exit_code == 0
    assert _prepared(shop) == [("u1", 1)]
    assert (broker.llen("prepare"), broker.hlen("unacked")) == (2, 0)
    worker.restart()
    until(lambda: len(_prepared(shop)) == 3, "the next one takes them")
    assert _prepared(shop) == [("u1", 1), ("u2", 1), ("u3", 1)]


def test_a_killed_workers_pool_dies_with_it(
    celery_setup: CeleryTestSetup, shop: Shop, start_worker: Callable[[], Any]
) -> None:
    """With only the first process killed, its pool does not go on taking work, and another worker ends what was open."""
    group = celery_setup.worker.container.pid
    with _held_up(shop):
        _submit(shop, "u1", "u2")
        _somebody_waits(shop)
        os.kill(group, signal.SIGKILL)
        until(lambda: celery_setup.worker.container.status == "exited", "it is dead")
        start_worker()
    _sweep_until_prepared(shop, "u1", "u2")
    until(lambda: not _alive(group), "nothing is left of its pool")


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("at_work", [False, True])
def test_a_worker_outlives_its_broker(celery_setup: CeleryTestSetup, shop: Shop, at_work: bool) -> None:
    """A broker that dies, idle or in the middle of work, and comes back empty finds the same worker again."""
    worker, broker = celery_setup.worker, celery_setup.broker
    users = ["u1"] if at_work else []
    with _held_up(shop):
        _submit(shop, *users)
        if at_work:
            _somebody_waits(shop)
        broker.kill()
        worker.wait_for_log("Connection to broker lost")
        broker.restart()
    _submit(shop, "u2")
    _sweep_until_prepared(shop, *users, "u2")
    assert worker.container.status == "running"
    assert celery_setup.ready(control=True)
