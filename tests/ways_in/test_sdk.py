"""The official CloudEvents SDKs, for Python and JavaScript, send to the API in every mode that they know."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.driving import Drive
from tests.ways_in.conftest import Run

NOW = datetime.now(UTC).replace(microsecond=0)
EAST = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
DATA = {"user_id": "ann", "action": "purchase", "item_id": "t1", "amount_minor": 450, "attributes": {"note": "½ ☕"}}
STORED = "SELECT source, id, user_id, at, data FROM event ORDER BY source, id"


def _attributes(name: str, **more: Any) -> dict[str, Any]:
    """Give attributes as the SDKs take them: a time with an offset, and extensions, which are none of ours."""
    base = {
        "type": "tactics.action",
        "source": "shop",
        "id": name,
        "specversion": "1.0",
        "datacontenttype": "application/json",
    }
    return {**base, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tenant": "7", **more}


def _post(url: str, message: http.HTTPMessage) -> httpx.Response:
    return httpx.post(f"{url}/v1/events", headers=message.headers, content=message.body)


def _verdict(answer: httpx.Response) -> tuple[int, str, str]:
    said = answer.json()
    return answer.status_code, said["id"], said["status"]


def test_the_python_sdk_is_understood(url: str, live: Drive) -> None:
    """Structured and binary are one event; ids beyond ASCII, charsets, bytes and offsets arrive as they were meant."""
    names = ["order 1", "größe/½ ☕ 100%", '"quoted"']
    for number, name in enumerate(names):
        charset = "application/json; charset=utf-8" if number else "application/json"
        event = CloudEvent(_attributes(name, time=EAST, datacontenttype=charset), DATA)
        assert _verdict(_post(url, http.to_structured_event(event))) == (202, name, "accepted")
        assert _verdict(_post(url, http.to_binary_event(event))) == (202, name, "duplicate")
    as_bytes = CloudEvent(_attributes("bytes", time=NOW), json.dumps(DATA).encode())
    assert "data_base64" in json.loads(http.to_structured_event(as_bytes).body)
    assert _verdict(_post(url, http.to_binary_event(as_bytes))) == (202, "bytes", "accepted")
    assert _verdict(_post(url, http.to_structured_event(as_bytes))) == (202, "bytes", "duplicate")
    bare = CloudEvent({"type": "tactics.action", "source": "shop", "id": "bare"}, DATA)
    assert "content-type" not in http.to_binary_event(bare).headers
    assert _verdict(_post(url, http.to_binary_event(bare))) == (202, "bare", "accepted")
    found = {row[1]: row for row in live.rows(STORED)}
    assert sorted(found) == sorted([*names, "bytes", "bare"])
    assert {row[3] for name, row in found.items() if name != "bare"} == {NOW}
    assert all((row[0], row[2], row[4]["attributes"]) == ("shop", "ann", DATA["attributes"]) for row in found.values())
    assert all("tenant" not in json.dumps(row[4]) for row in found.values())


def test_what_the_python_sdk_sends_in_a_batch_is_understood(url: str, live: Drive) -> None:
    """Events that the SDK has written make a batch; each has its verdict."""
    format_ = JSONFormat()
    events = [CloudEvent(_attributes(f"b{number}", time=EAST), DATA) for number in range(3)]
    strange = CloudEvent(_attributes("b3"), b"no JSON")
    body = b"[" + b",".join(format_.write(one) for one in [*events, events[0], strange]) + b"]"
    answer = httpx.post(
        f"{url}/v1/events", content=body, headers={"content-type": "application/cloudevents-batch+json"}
    )
    results = answer.json()["results"]
    assert answer.status_code == 202
    assert [one["status"] for one in results] == ["accepted"] * 3 + ["duplicate", "rejected"]
    assert "/data_base64: this is not JSON in base64" in results[4]["reason"]
    assert live.value("SELECT count(*) FROM event WHERE at = :at", at=NOW) == 3


def test_what_would_be_guesswork_is_refused(url: str, live: Drive) -> None:
    """Another version of CloudEvents is none of ours; UTF-8 and Latin-1 in a header cannot be told apart."""
    for changes, encoding, wanted in (
        ({"specversion": "0.3"}, "ascii", "/specversion: "),
        ({"specversion": "2.0"}, "ascii", "/specversion: "),
        ({"id": "größe"}, "utf-8", "the header ce-id is not ASCII"),
        ({"id": "größe"}, "latin-1", "the header ce-id is not ASCII"),
    ):
        attributes = {**_attributes("a"), **changes}
        headers = [(f"ce-{name}".encode(), str(value).encode(encoding)) for name, value in attributes.items()]
        answer = httpx.post(f"{url}/v1/events", json=DATA, headers=headers)
        assert answer.status_code == 422
        assert wanted in answer.json()["detail"]
    assert live.value("SELECT count(*) FROM event") == 0


def test_the_javascript_sdk_is_understood(url: str, live: Drive, run_node: Run) -> None:
    """Structured, binary and in batches, with bytes and without: one event each, the same for both SDKs."""

    def one(name: str, **more: Any) -> dict[str, Any]:
        return {**_attributes(name, time=EAST.isoformat()), "data": DATA, **more}

    as_bytes = one("bytes", data={"bytes": DATA})
    wanted = [
        ({"mode": "structured", "events": [one("größe/½ ☕ 100%")]}, "accepted"),
        ({"mode": "binary", "events": [one("order 1")]}, "accepted"),
        ({"mode": "structured", "events": [one("order 1")]}, "duplicate"),
        ({"mode": "structured", "events": [as_bytes]}, "accepted"),
        ({"mode": "binary", "events": [as_bytes]}, "duplicate"),
    ]
    batch = {"mode": "batch", "events": [one("order 1"), one("order 2"), as_bytes, one("bad", data={"user_id": ""})]}
    answers = json.loads(run_node("cloudevents.js", f"{url}/v1/events", given=[*[ask for ask, _ in wanted], batch]))
    *singles, many = answers
    assert [one["status"] for one in singles] == [status for _, status in wanted]
    assert [one["status"] for one in many["results"]] == ["duplicate", "accepted", "duplicate", "rejected"]
    event = CloudEvent(_attributes("größe/½ ☕ 100%", time=NOW), DATA)
    assert _verdict(_post(url, http.to_binary_event(event)))[2] == "duplicate"
    assert live.value("SELECT count(*) FROM event WHERE at = :at AND user_id = 'ann'", at=NOW) == 4
