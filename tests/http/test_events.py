"""Events by HTTP: structured, binary and in batches; accepted once, or refused with a reason."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from tactics.api.inbox import Publisher
from tests.counting import counting
from tests.delivery.waiting import until
from tests.driving import Drive

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"


def bought(name: str, **members: Any) -> dict[str, Any]:
    """Give the event that ann bought something."""
    data = {"user_id": "ann", "action": "purchase", "item_id": "t1", "amount_minor": 450}
    return {"specversion": "1.0", "id": name, "source": "shop", "type": "tactics.action", "data": data, **members}


def send(api: TestClient, body: Any, kind: str = ONE) -> Response:
    """Send an event, or a batch of them."""
    answer: Response = api.post("/v1/events", content=json.dumps(body), headers={"content-type": kind})
    return answer


def stored(live: Drive) -> Counter[str]:
    """Count the events there are, by id."""
    return Counter(row[0] for row in live.rows("SELECT id FROM event"))


def test_one_event_is_accepted_once_and_routed(api: TestClient, live: Drive) -> None:
    """What is answered 202 is committed and published; again it is a duplicate, with another body a 422."""
    first, again = send(api, bought("a")), send(api, bought("a"))
    assert (first.status_code, first.json()) == (202, {"source": "shop", "id": "a", "status": "accepted"})
    assert (again.status_code, again.json()["status"]) == (202, "duplicate")
    other = send(api, bought("a", data={"user_id": "ann", "action": "view"}))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert stored(live) == {"a": 1}
    live.settle()
    assert live.rows("SELECT outcome FROM event") == [("routed",)]


def test_in_a_batch_each_event_stands_for_itself(api: TestClient, live: Drive) -> None:
    """One bad event is rejected alone, with its reason and paths; the others are accepted, in order."""
    batch = [bought("a"), bought("b", data={"action": "purchase"}), 7, bought("a"), bought("c", source="tactics.retry")]
    answer = send(api, [*batch, bought("d")], MANY)
    assert answer.status_code == 202
    found = answer.json()["results"]
    assert [one["status"] for one in found] == ["accepted", "rejected", "rejected", "duplicate", "rejected", "accepted"]
    assert (found[1]["source"], found[1]["id"]) == ("shop", "b")
    assert "/data/user_id" in found[1]["reason"]
    assert "kept for events that Tactics makes itself" in found[4]["reason"]
    assert stored(live) == {"a": 1, "d": 1}


def test_binary_mode_is_the_same_event(api: TestClient) -> None:
    """Attributes in headers, percent-encoded or quoted, and the data as body are the event that structured mode says."""
    structured = bought("ü 1", time="2026-11-22T10:00:00+02:00")
    assert send(api, {**structured, "time": None} | {"id": "x"}).status_code == 202
    headers = {"ce-specversion": "1.0", "ce-id": "%C3%BC%201", "ce-source": '"shop"', "ce-type": "tactics.action"}
    body = json.dumps(structured["data"])
    sent = api.post("/v1/events", content=body, headers={**headers, "content-type": "application/json; charset=utf-8"})
    assert (sent.status_code, sent.json()) == (202, {"source": "shop", "id": "ü 1", "status": "accepted"})
    again = send(api, bought("ü 1"))
    assert again.json()["status"] == "duplicate"


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        ("{}", {"content-type": "application/json"}, 415, "media_type"),
        ("{}", {"content-type": "application/cloudevents+xml"}, 415, "media_type"),
        ("{}", {"content-type": "text/plain"}, 415, "media_type"),
        ("{", {"content-type": ONE}, 400, "not_json"),
        ('{"id": 1, "id": 2}', {"content-type": ONE}, 400, "not_json"),
        ("", {"content-type": ONE}, 400, "not_json"),
        ("{}", {"content-type": MANY}, 422, "form"),
        (json.dumps([1] * 1_001), {"content-type": MANY}, 413, "too_large"),
        ("{}", {"content-type": ONE}, 422, "bad_input"),
        ("[]", {"content-type": ONE}, 422, "bad_input"),
        (json.dumps(bought("\x00")), {"content-type": ONE}, 422, "bad_input"),
        (json.dumps(bought("\ud800")), {"content-type": ONE}, 422, "bad_input"),
        (json.dumps(bought("a", time="2999-01-01T00:00:00Z")), {"content-type": ONE}, 422, "bad_input"),
        (json.dumps(bought("a", time="2001-01-01T00:00:00Z")), {"content-type": ONE}, 422, "event_too_old"),
        (
            json.dumps(bought("a", type="tactics.behaviour", data={"user_id": "u", "rule_key": "none"})),
            {"content-type": ONE},
            422,
            "unknown_channel",
        ),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(
    api: TestClient, live: Drive, content: str, headers: dict[str, str], status: int, code: str
) -> None:
    """Rubbish is answered with a problem, and nothing is stored of it."""
    answer = api.post("/v1/events", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    assert not stored(live)


def test_twins_are_accepted_once_whatever_the_concurrency(api: TestClient, live: Drive) -> None:
    """The same events sent at the same time, alone and in batches: each is accepted by exactly one of the requests."""
    names = [f"e{number}" for number in range(20)]

    def one(name: str) -> list[dict[str, Any]]:
        return [send(api, bought(name)).json()]

    def many(_: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = send(api, [bought(name) for name in names], MANY).json()["results"]
        return found

    with ThreadPoolExecutor(8) as pool:
        parts = [*pool.map(one, names * 3), *pool.map(many, range(4))]
    answers = [answer for part in parts for answer in part]
    assert Counter(one["status"] for one in answers) == {"accepted": 20, "duplicate": 20 * 6}
    assert stored(live) == dict.fromkeys(names, 1)


def test_too_many_at_once_are_refused_before_any_is_accepted(driven: Any, api_of: Any) -> None:
    """Where more events wait to be routed than may, all are refused with a time to come back; none of them is stored."""
    drive = driven(replay=False, max_backlog=3)
    drive.accept(*[bought(f"w{number}") for number in range(4)])
    api = api_of(drive)
    inbox = api.app.state.inbox
    inbox.look()
    with counting() as changed:
        answer = send(api, bought("late"))
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert changed['tactics_events_refused_total{code="overloaded"}'] == 1
    assert int(answer.headers["retry-after"]) >= 1
    assert "late" not in stored(drive)
    drive.settle()
    inbox.look()
    assert send(api, bought("late")).status_code == 202


def test_a_publisher_goes_on_after_whatever_goes_wrong(live: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be published is due for the sweeper at once, and what comes after it is published."""
    told: list[int] = []

    def fail_first(_app: Any, refs: Any) -> bool:
        told.append(len(refs))
        if len(told) == 1:
            raise RuntimeError
        return True

    monkeypatch.setattr("tactics.api.inbox.publish_routing", fail_first)
    _, refs = live.accept(bought("a"))
    publisher = Publisher(live.app)
    publisher.publish(refs)
    due = "SELECT next_attempt_at < now() + interval '5 seconds' FROM event"
    until(lambda: live.value(due), "the sweeper has it soon")
    publisher.publish([("shop", "b", 1)] * 150)
    asyncio.run(publisher.close(10))
    assert (told[0], sum(told)) == (1, 151)
