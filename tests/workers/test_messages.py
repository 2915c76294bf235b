"""Messages that no task can be made of, and what a worker tells of those it has."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from kombu import Producer
from pytest_celery import CeleryTestSetup
from sqlalchemy import text

from tactics.celery_app import MASKED, TacticsApp
from tactics.flows.action import submit_events
from tests.delivery.waiting import until
from tests.journey import Shop

MARK = "zqz"
EVENT = {
    "specversion": "1.0",
    "id": f"{MARK}-id",
    "source": f"{MARK}-source",
    "type": "tactics.behaviour",
    "data": {"user_id": f"{MARK}-user", "rule_key": "bought_twice", "attributes": {MARK: MARK}},
}


def _send(name: str, *args: Any, **kwargs: Any) -> Callable[[TacticsApp], object]:
    return lambda app: app.send_task(f"tactics.{name}", args, kwargs, queue="prepare")


def _put(body: Any, **properties: Any) -> Callable[[TacticsApp], object]:
    def put(app: TacticsApp) -> None:
        with app.connection_for_write() as connection:
            Producer(connection).publish(body, exchange="", routing_key="prepare", **properties)

    return put


TASK = {"task": "tactics.ingest_event", "id": "1"}
TEXT = {"content_type": "application/json", "content_encoding": "utf-8"}
RUBBISH = {
    "a task of no such name": _send("ingest_evnt", EVENT),
    "arguments of a wrong name": _send("ingest_event", message=EVENT),
    "a step without an id": _send("query_item", EVENT, 1),
    "no reference": _send("route_events", [[EVENT]]),
    "no task": _put(EVENT),
    "no list of arguments": _put(EVENT, headers=TASK),
    "no arguments at all": _put(None, headers=TASK),
    "a number": _put(5, headers=TASK),
    "arguments that are no list": _put([EVENT, {}, {}], headers=TASK),
    "too few parts": _put([[EVENT], {}], headers=TASK),
    "options that are none": _put([[EVENT], {}, MARK], headers=TASK),
    "a limit that is no pair": _put([[EVENT], {}, {}], headers={**TASK, "timelimit": 5}),
    "the older protocol, without an id": _put({"task": "tactics.ingest_event", "args": [EVENT]}),
    "the older protocol, without a list": _put({"task": "tactics.ingest_event", "id": "1", "args": EVENT}),
    "an id that is no text": _put([[EVENT], {}, {}], headers={**TASK, "id": {MARK: MARK}}),
    "a task without an id": _put([[EVENT], {}, {}], headers={"task": "tactics.ingest_event"}),
    "an unreadable time": _put([[EVENT], {}, {}], headers={**TASK, "eta": "tomorrow"}),
    "no JSON": _put(f"{{{MARK}".encode(), headers=TASK, **TEXT),
    "no text": _put(f"\xff{MARK}".encode("latin-1"), headers=TASK, **TEXT),
    "a pickle": _put(
        MARK.encode(), headers=TASK, content_type="application/x-python-serialize", content_encoding="binary"
    ),
    "a strange compression": _put(EVENT, headers={**TASK, "compression": f"{MARK}-zip"}),
}


def test_rubbish_stops_no_worker(celery_setup: CeleryTestSetup, shop: Shop) -> None:
    """Whatever lies between them, the worker goes on with the next message; its log tells nothing of what rubbish said."""
    worker, broker = celery_setup.worker, celery_setup.broker.container.client
    first = worker.container.pid
    for number, (what, put) in enumerate(RUBBISH.items()):
        put(shop.app)
        good = {**EVENT, "id": f"{MARK}-{number}", "data": {"user_id": f"{MARK}-{number}", "rule_key": "bought_twice"}}
        assert [one.status for one in submit_events(shop.app, [good])] == ["accepted"]
        until(lambda number=number: _prepared(shop) == number + 1, f"the message after {what} is worked on")  # type: ignore[misc]  # its default is its type
        assert worker.container.status == "running", what
    until(lambda: not broker.llen("prepare") and not broker.hlen("unacked"), "nothing is left")
    assert worker.container.pid == first
    assert "Connection to broker lost" not in worker.logs()
    assert MARK not in worker.logs()


def _prepared(shop: Shop) -> int:
    with shop.app.runtime.engine.connect() as conn:
        return int(conn.execute(text("SELECT count(*) FROM execution WHERE outcome = 'prepared'")).scalar_one())


def test_a_worker_tells_names_alone(celery_setup: CeleryTestSetup, shop: Shop) -> None:
    """Asked from outside, it answers with its name and those of tasks; arguments and passwords are masked."""
    later = datetime.now(UTC) + timedelta(hours=1)
    ids = [
        shop.app.tasks[f"tactics.{name}"].apply_async(args, eta=later, queue="prepare").id
        for name, args in (("ingest_event", (EVENT,)), ("route_events", ([[MARK, MARK, 1]],)))
    ]
    inspect = shop.app.control.inspect(timeout=1)
    until(lambda: sum(len(tasks) for tasks in (inspect.scheduled() or {}).values()) == 2, "both are scheduled")
    (name,) = inspect.ping()
    assert name.startswith("tactics-0@")
    assert inspect.ping() == {name: {"ok": "pong"}}
    assert inspect.active() == {name: []}
    registered = {task.partition(" ")[0] for task in inspect.registered()[name]}
    assert registered == {task for task in shop.app.tasks if task.startswith("tactics.")}
    told = [inspect.scheduled(), inspect.query_task(*ids), inspect.conf(), inspect.stats(), inspect.active_queues()]
    assert [one["request"]["args"] for one in told[0][name]] == [MASKED, MASKED]
    assert MARK not in json.dumps(told, default=str)
