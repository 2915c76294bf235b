"""Bytes on the wire that are no request, or none that ends: each is told so, quickly, as a problem with a request id."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest

from tactics.api.limits import MAX_HEAD_BYTES
from tactics.api.problems import MEDIA_TYPE
from tactics.api.service import create_api
from tests.driving import Drive
from tests.http.test_auth import make
from tests.served import served

QUICK_S = 5.0


@pytest.fixture
def url(live: Drive) -> Iterator[str]:
    """Where the API answers."""
    with served(create_api(live.app)) as address:
        yield address


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
    short = _raw(url, begin + b"Content-Length: 50\r\n\r\n{}")
    assert _problem(short, "short") == (408, "too_slow")
    assert short[1]["connection"] == "close"  # what may still come is no request
    huge = begin + b"Content-Length: " + b"9" * 17 + b"\r\n\r\n{"
    assert _problem(_raw(url, huge), "huge") == (413, "too_large")
    chunked = begin + b"Transfer-Encoding: chunked\r\n\r\n"
    assert _problem(_raw(url, chunked + b"2\r\n{}\r\n"), "no end") == (408, "too_slow")
    assert _problem(_raw(url, chunked + b"zz\r\n{}\r\n"), "no length") == (400, "not_http")
    assert _problem(_raw(url, chunked + b"0\r\n\r\n"), "empty") == (400, "not_json")
    good = begin + b"Content-Length: 28\r\n\r\n" + b'{"users":[{"user_id":"ann"}]}'[:28]
    assert _problem(_raw(url, good), "cut") == (400, "not_json")
