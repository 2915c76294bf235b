"""Whoever sends nonsense on purpose is told so, quickly, as a problem with a request id: never a 500, and never nothing."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tactics.api.limits import MAX_BODY_BYTES, MAX_HEAD_BYTES
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


def test_methods_that_an_address_does_not_know(client: httpx.Client) -> None:
    """Any other method is a 405 that names those there are; HEAD has no body."""
    paths = client.get("/openapi.json").json()["paths"]
    for path, known in paths.items():
        address = re.sub(r"{\w+}", "1", path)
        # An activity may have the code `dry-run`: what is known of it is known here too.
        others = paths["/v1/activities/{code}"] if path == "/v1/activities/dry-run" else {}
        allowed = {one.upper() for one in (*known, *others)}
        for method in {"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} - allowed:
            answer = client.request(method, address)
            assert _refused(answer, 405, what=(method, path)) == "method_not_allowed"
            assert set(answer.headers["allow"].split(", ")) == allowed, path
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
        for name in (b"If-Match", b"If-None-Match"):
            answer = client.put("/v1/users/ann", json={"attributes": {}}, headers=[(name, value)])
            assert _refused(answer, 422, what=(name, value[:20])) == "form"
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


def _raw(url: str, *parts: bytes, ends: bool = False) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; gives what is answered."""
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as connection:
        start = time.monotonic()
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:  # who is refused may be cut off while still sending
                break
        if ends:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        while b"\r\n\r\n" not in found:
            received = connection.recv(65_536)
            assert received, found
            found += received
        head, _, rest = found.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(rest) < int(headers["content-length"]):
            received = connection.recv(65_536)
            assert received, found
            rest += received
        assert time.monotonic() - start < QUICK_S, parts[0][:100]
        return int(status.split()[1]), headers, rest


def _problem(found: tuple[int, dict[str, str], bytes], what: object) -> tuple[int, str]:
    status, headers, body = found
    told = json.loads(body)
    assert headers["content-type"] == MEDIA_TYPE, (what, found)
    assert told["request_id"] == headers["x-request-id"], what
    assert told["status"] == status
    return status, told["code"]


def test_what_is_no_http(url: str) -> None:
    """Bytes that are no request, and heads without an end, are problems too, though no route ever sees them."""
    for nonsense in (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW /tea HTTP/1.1\r\n\r\n",
        b"GET\x00 / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e3\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    ):
        assert _problem(_raw(url, nonsense), nonsense) == (400, "not_http"), nonsense
    begin = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    many = b"".join(b"x-%d: y\r\n" % number for number in range(100_000))
    for bomb in (many, b"x: " + b"y" * 2_000_000, b"x" * 2_000_000):
        assert _problem(_raw(url, begin, bomb), bomb[:20]) == (431, "head_too_large")
    long_path = b"GET /" + b"a" * 2_000_000
    assert _problem(_raw(url, long_path), "path") == (431, "head_too_large")
    fits = begin + b"x: " + b"y" * (MAX_HEAD_BYTES // 2) + b"\r\n\r\n"
    assert _raw(url, fits)[0] == HTTPStatus.OK
    assert _raw(url, begin + b"\r\n")[0] == HTTPStatus.OK


def test_bodies_of_another_length(live: Drive, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that stops short, is announced as huge or comes in broken chunks is refused in time, and the API goes on."""
    monkeypatch.setattr("tactics.api.body.BODY_PATIENCE_S", 0.2)
    key = make(live.runtime).key
    begin = (
        f"POST /v1/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\n"
    ).encode()
    assert _problem(_raw(url, begin + b"Content-Length: 50\r\n\r\n{}"), "short") == (408, "too_slow")
    huge = begin + b"Content-Length: " + b"9" * 17 + b"\r\n\r\n{"
    assert _problem(_raw(url, huge), "huge") == (413, "too_large")
    chunked = begin + b"Transfer-Encoding: chunked\r\n\r\n"
    assert _problem(_raw(url, chunked + b"2\r\n{}\r\n"), "no end") == (408, "too_slow")
    assert _problem(_raw(url, chunked + b"zz\r\n{}\r\n"), "no length") == (400, "not_http")
    assert _problem(_raw(url, chunked + b"0\r\n\r\n"), "empty") == (400, "not_json")
    good = begin + b"Content-Length: 28\r\n\r\n" + b'{"users":[{"user_id":"ann"}]}'[:28]
    assert _problem(_raw(url, good), "cut") == (400, "not_json")
