"""The direct way, over Celery's broker: from Node and from Python, beside HTTP, into one inbox."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tactics.api.service import create_api
from tactics.producer import Producer, Rejected, action
from tests.delivery.stage import Stage
from tests.delivery.waiting import until
from tests.served import served
from tests.ways_in.conftest import Run

ROUTED = "SELECT count(*) FROM event WHERE routed_at IS NOT NULL"


@pytest.fixture
def stage(settings: Any, environment: dict[str, str], tmp_path: Any) -> Iterator[Stage]:
    """Workers beside this process, on the same servers."""
    with Stage(settings, environment, tmp_path) as found:
        yield found


def _bought(name: str, **data: Any) -> dict[str, Any]:
    event = action("ann-größe", "purchase", id=name, source="shop", attributes={"note": "½ ☕", "price": 4.5})
    return {**event, "data": {**event["data"], **data}}


def test_every_way_leads_into_one_inbox(stage: Stage, run_node: Run) -> None:
    """An event is stored once, whichever way it comes first; each way knows what came by another, and keeps to it."""
    worker = stage.start_worker(processes=1)
    ways = [f"{way}-{number}" for way in ("http", "node", "push", "celery") for number in range(2)]
    with served(create_api(stage.app)) as url, Producer(url, source="shop") as producer:
        firsts = producer.send_many(_bought(name) for name in ways[:2])
        assert [one.status for one in firsts] == ["accepted", "accepted"]
        names = ["node-0", "node-1", "node-0", "http-0", "push-1"]
        given = [*map(_bought, names), _bought("http-1", quantity=9)]
        assert len(set(run_node("send_task.js", stage.settings.redis_url, "prepare", given=given).split())) == 6
        given = [_bought(name) for name in ("push-0", "push-1", "http-1")]
        run_node("push.js", stage.settings.redis_url, given=given)
        for name in ("celery-0", "celery-1", "node-1"):
            stage.app.send_task("tactics.ingest_event", args=[_bought(name)], queue="prepare")
        until(lambda: stage.value(ROUTED) == len(ways), "all are stored and routed")
        until(lambda: not stage.waiting("prepare") and not stage.redis.hlen("unacked"), "no message is left")
        receipts = list(producer.send_many(_bought(name) for name in ways))
        with pytest.raises(Rejected, match="another event with this source and id"):
            producer.send(_bought("node-1", quantity=9))
    assert [one.status for one in receipts] == ["duplicate"] * len(ways)
    assert Counter(row["id"] for row in stage.rows("SELECT id FROM event")) == dict.fromkeys(ways, 1)
    assert stage.value("SELECT count(*) FROM user_action") == len(ways)
    assert stage.value("SELECT count(DISTINCT data) FROM event") == 1
    assert "rejected: another event with this source and id" in worker.log.read_text()  # the other http-1
    assert "ann-größe" not in worker.log.read_text()


def test_what_celery_node_puts_on_the_wire(stage: Stage, run_node: Run) -> None:
    """Protocol 2 with a task id, never to expire, in the queue that was named when the client was made."""
    for queue in ("prepare", "celery"):
        (task_id,) = run_node("send_task.js", stage.settings.redis_url, queue, given=[_bought(queue)]).split()
        (raw,) = stage.redis.lrange(queue, 0, -1)
        message = json.loads(raw)
        assert message["headers"] == {"lang": "js", "task": "tactics.ingest_event", "id": task_id}
        assert message["properties"]["correlationId"] == task_id
        assert json.loads(base64.b64decode(message["body"])) == [[_bought(queue)], {}, {}]
    assert "prepare" in stage.app.served
    assert "celery" not in stage.app.served  # its own default
