"""Whoever sends nonsense on purpose is told so, quickly, as a problem with a request id: never a 500, and never nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tactics.api.limits import MAX_BODY_BYTES
from tactics.api.problems import MEDIA_TYPE
from tactics.api.service import create_api
from tests.driving import Drive
from tests.http.test_auth import bearer, make
from tests.served import served

QUICK_S = 5.0
"""On a machine that does much else besides; it is milliseconds on one that does not."""
JSON = {"content-type": "application/json"}
EVENT = {"content-type": "application/cloudevents+json"}
DEEP = 100_000
# A code point of half a surrogate pair as JSON may have it; as UTF-8 it would be no text at all.
HALF = "\\ud800"
NUL = "\\u0000"


@pytest.fixture
def url(live: Drive) -> Iterator[str]:
    """Where the API answers."""
    with served(create_api(live.app)) as address:
        yield address


@pytest.fixture
def client(live: Drive, url: str) -> Iterator[httpx.Client]:
    """A caller who may do everything."""
    with httpx.Client(base_url=url, headers=bearer(make(live.runtime)), timeout=30) as opened:
        yield opened


def _refused(answer: Any, status: int | None = None, *, what: object = "") -> str:
    """Check that an answer is a problem of the caller's making; gives its code."""
    assert 400 <= answer.status_code < 500, (what, answer.status_code, answer.text[:500])
    assert status in {None, answer.status_code}, (what, answer.status_code, answer.text[:500])
    assert answer.headers["content-type"] == MEDIA_TYPE, what
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["request_id"] == answer.headers["x-request-id"], what
    assert "Traceback" not in answer.text
    return str(told["code"])


def _quick(client: httpx.Client, method: str, address: str, **sent: Any) -> httpx.Response:
    start = time.monotonic()
    answer = client.request(method, address, **sent)
    assert time.monotonic() - start < QUICK_S, (method, address[:100])
    return answer


ROUTES = {
    ("POST", "/v1/events"): '{"specversion": "1.0", "id": "i", "source": "s", "type": "tactics.action", "data": %s}',
    ("POST", "/v1/placements/home_banner"): '{"user_id": "ann", "attributes": %s}',
    ("POST", "/v1/activities"): '{"code": "x", "rule": %s}',
    ("POST", "/v1/activities/dry-run"): '{"activity": %s, "facts": {}}',
    ("POST", "/v1/plays"): '{"code": "x", "parameters": %s}',
    ("PUT", "/v1/behaviour-rules/x"): '{"rule": %s}',
    ("PUT", "/v1/users/ann"): '{"attributes": %s}',
    ("POST", "/v1/users"): '{"users": [{"user_id": "ann", "attributes": %s}]}',
    ("PUT", "/v1/items/7"): '{"attributes": %s}',
    ("PUT", "/v1/item-sets/teas"): '{"item_ids": %s}',
    ("POST", "/v1/codes/C0DE/validate"): '{"order": %s}',
    ("POST", "/v1/parked/retry"): '{"ids": %s}',
    ("POST", "/v1/rules/price"): '{"order": %s, "rules": []}',
}
"""Every kind of body that there is, with a place for anything."""


def _bodies(part: str) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    for (method, address), body in ROUTES.items():
        yield method, address, body % part, EVENT if address == "/v1/events" else JSON


def test_bodies_that_no_reader_should_trust(client: httpx.Client) -> None:
    """Deep, doubled, broken, endless numbers and text that cannot be stored are refused by every route that reads a body."""
    for part in (
        "[" * DEEP + "]" * DEEP,
        '{"a":' * DEEP + "1" + "}" * DEEP,
        "[" * DEEP,
        '{"a": 1, "a": 2}',
        "NaN",
        "-Infinity",
        "1" + "0" * 5_000,
        '{"a": [}',
        "'a'",
        '"\\ud8"',
    ):
        for method, address, body, headers in _bodies(part):
            _refused(_quick(client, method, address, content=body, headers=headers), what=(address, part[:20]))
    for text in (f'"a{NUL}"', f'"{HALF}"'):
        for part in (f'{{"a": {text}}}', f"{{{text}: 1}}", f'[{{"price_minor": {text}}}]', text):
            for method, address, body, headers in _bodies(part):
                _refused(_quick(client, method, address, content=body, headers=headers), what=(address, part))


def test_bodies_that_are_no_json_text(client: httpx.Client) -> None:
    """What is too large, not UTF-8, compressed, of another type or not there is refused before anything is made of it."""
    large = b'{"attributes": {"a": "' + b"x" * 10_000_000 + b'"}}'
    for method, address, body, headers in _bodies("{}"):
        media = headers["content-type"]
        assert _refused(_quick(client, method, address, content=large, headers=headers), 413) == "too_large"
        chunks = (large[start : start + 65_536] for start in range(0, len(large), 65_536))
        assert _refused(_quick(client, method, address, content=chunks, headers=headers), 413) == "too_large"
        _refused(client.request(method, address, content=body.encode("utf-16"), headers=headers), 400, what=address)
        _refused(client.request(method, address, content=b'{"a": "\xff"}', headers=headers), 400, what=address)
        _refused(client.request(method, address, content=b'{"a": "\xed\xa0\x80"}', headers=headers), 400, what=address)
        for wrong in ("text/html", "", "application/json; charset=utf-16", "multipart/form-data; boundary=x"):
            _refused(client.request(method, address, content=body, headers={"content-type": wrong}), 415, what=address)
        packed = {**headers, "content-encoding": "gzip"}
        _refused(client.request(method, address, content=body, headers=packed), 415, what=address)
        _refused(client.request(method, address, content=b"", headers={"content-type": media}), what=address)
    assert len(large) > MAX_BODY_BYTES


def test_addresses_that_lead_nowhere(client: httpx.Client) -> None:
    """NUL, half characters, slashes and dots in ids, doubled and trailing slashes and unknown parameters' values are no way in."""
    folders = (
        "/v1/users/{}",
        "/v1/users/{}/assets",
        "/v1/items/{}",
        "/v1/item-sets/{}",
        "/v1/activities/{}",
        "/v1/activities/{}/versions",
        "/v1/activities/welcome/benefits/{}/movements",
        "/v1/plays/{}",
        "/v1/behaviour-rules/{}",
        "/v1/assets/{}",
        "/v1/grants/{}",
        "/v1/executions/{}",
    )
    for folder in folders:
        for part in ("a%00b", "%00", "a%2Fb", "%2F", "..%2F..%2Fetc", "x" * 5_000, "%C0%AF%00"):
            _refused(_quick(client, "GET", folder.format(part)), what=(folder, part[:20]))
        _refused(client.get(folder.format("a") + "/"), 404, what=folder)
        _refused(client.get("/" + folder.format("a")), 404, what=folder)
    for path in ("/", "//", "/v1", "/v1/", "/v1/activities/", "/nothing", "/static-offline-docs/..%2Fdocs.py", "/.env"):
        _refused(client.get(path), 404, what=path)
    for query in (
        "activities?channel=%00",
        "activities?cursor=%00",
        "activities?cursor=" + "A" * 1_999,
        "activities?limit=" + "9" * 5_000,
        "activities?limit=1e9",
        "audit-log?subject=%00",
        "audit-log?from=1",
        "grants?user_id=a%00",
        "grants?to=2026-01-01",
        "items?category=%00",
        "users/ann/assets?activity=%00",
        "executions?user_id=%00&activity=x",
        "executions?user_id=x&activity=%00",
        "rules/blocks?language=%00",
    ):
        _refused(_quick(client, "GET", f"/v1/{query}"), what=query[:40])
    for moment in ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59"):
        for query in ("audit-log?from=", "grants?to=", "executions?user_id=x&activity=y&at="):
            assert client.get(f"/v1/{query}{moment}").status_code < 500, (query, moment)


def test_nobody_takes_the_id_of_a_user_who_was_erased(client: httpx.Client) -> None:
    """What was kept for what is left of an erased user is refused wherever a user may be named who does something."""
    erased = "erased:c3c2af85-b617-4f16-8a9c-fe44c1531a47"
    rest = {"user_id": erased}
    for method, address, body in (
        ("PUT", f"/v1/users/{erased}", {"attributes": {}}),
        ("POST", "/v1/users", {"users": [rest]}),
        ("DELETE", f"/v1/users/{erased}", None),
        ("POST", "/v1/placements/home_banner", rest),
    ):
        _refused(client.request(method, address, json=body), 422, what=address)
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "tactics.action", "data": {**rest, "action": "a"}}
    _refused(client.post("/v1/events", content=json.dumps(event), headers=EVENT), 422)


def test_methods_that_an_address_does_not_know(client: httpx.Client) -> None:
    """Any other method is a 405 that names those there are; HEAD has no body."""
    paths = client.get("/openapi.json").json()["paths"]
    for path, known in paths.items():
        address = re.sub(r"{\w+}", "1", path)
        # An activity may have the code `dry-run`: what is known of it is known here too.
        others = paths["/v1/activities/{code}"] if path == "/v1/activities/dry-run" else {}
        answered = {one.upper() for one in (*known, *others)}
        for method in {"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} - answered:
            answer = client.request(method, address)
            assert _refused(answer, 405, what=(method, path)) == "method_not_allowed"
            assert set(answer.headers["allow"].split(", ")) == {one.upper() for one in known}, path
        head = client.head(address)
        assert (head.status_code < 500, head.content) == (True, b""), path


def test_headers_that_are_a_trap(client: httpx.Client) -> None:
    """Header values of any bytes, and more of them than anybody needs, change nothing or are refused."""
    for name, values in {
        "Idempotency-Key": (b"\xff\xfe", b"a" * 5_000, b'""', b"\x01"),
        "Tactics-Deadline-Ms": (b"9" * 5_000, b"-1", b"\xff", b"1e3", b"10.5"),
        "Content-Type": (b"\xff", b"application/json; charset=\xff", b"a" * 5_000),
        "Content-Encoding": (b"\xff",),
    }.items():
        for value in values:
            headers = [(b"content-type", b"application/json"), (name.encode(), value)]
            told = [one for one in headers if one[0] != name.lower().encode() or one[1] == value]
            answer = client.post("/v1/placements/nowhere", content=b'{"user_id": "ann"}', headers=told)
            _refused(answer, what=(name, value[:20]))
    for value in (b"x", b"W/", b'"', b"\xff", b'"a" "b"', b"a" * 5_000):
        for condition in (b"If-Match", b"If-None-Match"):
            answer = client.put("/v1/users/ann", json={"attributes": {}}, headers=[(condition, value)])
            assert _refused(answer, 422, what=(condition, value[:20])) == "form"
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "tactics.action", **JSON}
    for broken in ({"ce-id": "%00"}, {"ce-id": "%ED%A0%80"}, {"ce-id": '"'}, {"ce-source": ""}, {"ce-id": "a" * 5_000}):
        answer = client.post("/v1/events", json={"user_id": "a", "action": "b"}, headers={**event, **broken})
        if broken != {"ce-id": '"'}:  # which is an id like any other
            _refused(answer, 422, what=broken)
    for value in (b"Bearer \xff", b"Bearer", b"Bearer tk_" + b"a" * 5_000, b"Basic YTpi", b"a"):
        _refused(client.get("/v1/items", headers=[(b"Authorization", value)]), 401, what=value[:20])
    for value in (b"a\x7f", b"\xff", b"a" * 5_000, b"$(id)"):
        given = client.get("/v1/items", headers=[(b"X-Request-Id", value)])
        assert re.fullmatch("[0-9a-f]{32}", given.headers["x-request-id"])
