"""Placements by HTTP: answered in the request, by the deadline, once under a key."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from tactics.api.gate import Gate
from tactics.api.idempotency import read_key
from tactics.api.problems import Refused
from tactics.store import lease
from tests.counting import counting
from tests.driving import Drive, Maker, at_checkout
from tests.plays import playing, step_of

ORDER = {"currency": "USD", "lines": [{"item_id": "1", "quantity": 2, "price_minor": 3000}]}


def place(api: TestClient, user_id: str = "ann", channel: str = "home_banner", **options: Any) -> Response:
    """Visit a placement; `headers` are the request's, the rest is the body."""
    headers = options.pop("headers", {})
    answer: Response = api.post(f"/v1/placements/{channel}", json={"user_id": user_id, **options}, headers=headers)
    return answer


def test_a_visit_is_answered_and_granted_once(api: TestClient, live: Drive) -> None:
    """The first visit grants, the next one shows the same; what ran can be looked up, and why others got nothing."""
    live.load(running(at_checkout()))
    first, again = place(api), place(api)
    assert first.status_code == again.status_code == 200, first.text
    (granted,), (reused,) = first.json()["results"], again.json()["results"]
    assert (granted["outcome"], reused["outcome"]) == ("granted", "reused")
    assert granted["assets"] == reused["assets"]
    found = api.get(f"/v1/executions/{first.json()['execution_ids'][0]}")
    assert (found.status_code, found.json()["execution"]["outcome"]) == (200, "granted")
    why = api.get("/v1/executions", params={"user_id": "ann", "activity": "camp18"})
    assert "The user got" in why.text or "was shown it again" in why.text
    told = place(api, explain=True).json()["explanations"]["camp18"]
    assert any("shown it again" in sentence for sentence in told)


def test_the_same_key_is_the_same_visit(api: TestClient, live: Drive) -> None:
    """Under a key the answer is replayed; another body under it is a 422; one in flight a 409 with a time to come back."""
    live.load(running(at_checkout()))
    key = {"Idempotency-Key": '"visit-1"'}
    first, again = place(api, headers=key), place(api, headers={"Idempotency-Key": "visit-1"})
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = place(api, scene="cart", headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert live.value("SELECT count(*) FROM execution") == 1
    twin = lease.twin_mark("tactics.placement:local", "visit-2")
    live.runtime.redis.set(twin.key, twin.value)
    busy = place(api, "bob", headers={"Idempotency-Key": "visit-2"})
    assert (busy.status_code, busy.json()["code"]) == (409, "busy")
    assert int(busy.headers["retry-after"]) >= 1


def test_twins_under_one_key_grant_once(api: TestClient, live: Drive) -> None:
    """Many requests with one key at the same time: one grant, and every answer is that one, or says that it is in flight."""
    live.load(running(at_checkout()))

    def one(_: int) -> Response:
        return place(api, headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(16)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    shown = [answer.json()["results"][0] for answer in answers if answer.status_code == 200]
    assert shown
    assert all(one == shown[0] for one in shown)
    assert live.value("SELECT count(*) FROM grant_record") == 1


def test_every_instance_busy_is_a_409(api: TestClient, live: Drive) -> None:
    """Busy is waited for briefly; then it is a 409 if every activity is busy, and only a reason where one is not."""
    live.load(running(at_checkout()))
    live.runtime.redis.set(lease.lease_key("camp18", "ann"), "another:1:x")
    answer = place(api)
    assert (answer.status_code, answer.json()["code"]) == (409, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    live.load(running(at_checkout("other")))
    both = place(api)
    assert both.status_code == 200
    assert [part["reason"] for part in both.json()["not_shown"]] == ["busy"]
    assert [part["activity"] for part in both.json()["results"]] == ["other"]


def test_an_instance_that_is_busy_for_a_moment_is_waited_for(api: TestClient, live: Drive) -> None:
    """Who comes while another execution is about to end is answered after it."""
    live.load(running(at_checkout()))
    live.runtime.redis.set(lease.lease_key("camp18", "ann"), "another:1:x", px=60)
    assert place(api).json()["results"][0]["outcome"] == "granted"


def test_at_the_deadline_it_is_given_up_and_nothing_is_granted(driven: Maker, api_of: Any) -> None:
    """A slow visit is answered 202 in time, with its execution; what it had not committed by then it never does."""
    slow = step_of("be_slow", lambda _ctx, _run: time.sleep(0.6))
    drive = playing(driven, slow, link="grant", replay=False)
    drive.load(running(at_checkout(template_type="t")))
    api = api_of(drive)
    started = time.perf_counter()
    answer = place(api, headers={"Tactics-Deadline-Ms": "150", "Idempotency-Key": "late"})
    assert answer.status_code == 202, answer.text
    assert time.perf_counter() - started < 0.55
    (execution_id,) = answer.json()["execution_ids"]
    found = api.get(f"/v1/executions/{execution_id}")
    assert (found.status_code, found.json()["execution"]["outcome"]) == (200, "abandoned")
    api.app.state.placing._pool.shutdown()  # the thread has come to its end
    assert drive.value("SELECT count(*) FROM execution WHERE link = 'grant'") == 1
    assert drive.value("SELECT outcome FROM event WHERE type = 'placement'") == "abandoned"
    assert drive.value("SELECT count(*) FROM grant_record") == 0


def test_what_would_not_be_answered_in_time_is_not_begun(driven: Maker, api_of: Any) -> None:
    """With more visits waiting than the deadline leaves time for, the next is refused at once, and leaves no trace."""
    drive = driven(replay=False)
    drive.load(running(at_checkout()))
    api = api_of(drive)
    placing = api.app.state.placing
    placing._inside, placing._takes_s = 1_000, 0.05
    answer = place(api, headers={"Tactics-Deadline-Ms": "800"})
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    placing._inside = 0
    assert drive.value("SELECT count(*) FROM event") == 0
    assert place(api).status_code == 200


def test_a_full_house_refuses_at_the_door(driven: Maker, api_of: Any) -> None:
    """With as many requests inside as may be, the next is told to come back, which is counted; whoever watches is let in."""
    drive = driven(replay=False, api_max_requests=1)
    held, free = threading.Event(), threading.Event()
    gate = Gate(_held(held, free), most=1)

    async def two() -> tuple[list[int], list[int]]:
        first = asyncio.create_task(_status(gate, "/v1/placements/x"))
        await asyncio.to_thread(held.wait, 10)
        second, watched = await _status(gate, "/v1/placements/x"), asyncio.create_task(_status(gate, "/metrics"))
        free.set()
        return second, [*await first, *await watched]

    with counting() as changed:
        assert asyncio.run(two()) == ([503], [200, 200])
    assert changed == {'tactics_http_requests_total{method="other",route="(gate)",status="503"}': 1}
    drive.load(running(at_checkout()))
    assert place(api_of(drive)).status_code == 200


async def _status(app: Any, path: str) -> list[int]:
    found: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    await app({"type": "http", "path": path}, receive, send)
    return found


def _held(held: threading.Event, free: threading.Event) -> Any:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        held.set()
        await asyncio.to_thread(free.wait, 10)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    return app


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({}, {}, 422, "form"),
        ({"user_id": "ann", "strange": 1}, {}, 422, "form"),
        ({"user_id": ""}, {}, 422, "form"),
        ({"user_id": "a\x00"}, {}, 422, "form"),
        ({"user_id": "ann", "attributes": {"x": "\x00"}}, {}, 422, "bad_input"),
        ({"user_id": "ann", "language": "x y"}, {}, 422, "form"),
        ({"user_id": "ann"}, {"Tactics-Deadline-Ms": "0"}, 422, "form"),
        ({"user_id": "ann"}, {"Tactics-Deadline-Ms": "99999999"}, 422, "form"),
        ({"user_id": "ann"}, {"Idempotency-Key": ""}, 422, "form"),
        ({"user_id": "ann"}, {"Idempotency-Key": "x" * 201}, 422, "form"),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(
    api: TestClient, live: Drive, body: dict[str, Any], headers: dict[str, str], status: int, code: str
) -> None:
    """What cannot be read is a problem that says where, and nothing is stored of it."""
    live.load(running(at_checkout()))
    answer = api.post("/v1/placements/home_banner", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert live.value("SELECT count(*) FROM event") == 0


def test_an_unknown_channel_or_execution_is_a_404(api: TestClient) -> None:
    """What is not there is told by its name."""
    answer = place(api, channel="nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_channel")
    assert api.get(f"/v1/executions/{UUID(int=1)}").status_code == 404
    assert api.get("/v1/executions/x").status_code == 422


def test_a_key_is_read_quoted_or_bare() -> None:
    """A structured field's string and the bare text are the same key."""
    assert read_key('"a\\"b"') == 'a"b'
    assert read_key(" abc ") == "abc"
    assert read_key(None) is None
    with pytest.raises(Refused):
        read_key("ü")


def running(document: dict[str, Any]) -> dict[str, Any]:
    """Give the activity in a schedule that today is in."""
    return {**document, "schedule": {"from": "2020-01-01T00:00:00Z", "to": "2050-01-01T00:00:00Z"}}
