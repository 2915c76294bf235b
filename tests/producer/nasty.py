"""A server that speaks to an inbox, and treats some requests badly: as networks, proxies and restarts do."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, bytes]
Handle = Callable[[Mapping[str, str], bytes], Reply]

DROPPED_BEFORE = "dropped before it is read"
DROPPED_AFTER = "accepted, and the connection dropped"
HALF = "accepted, and half of the answer"
SHORT = "accepted, and the last receipt missing"
GARBAGE = "accepted, and a page of some proxy for an answer"
SLOW = "accepted, and the answer too late"
DRIPPING = "accepted, and the answer byte by byte"
FAULTS = (DROPPED_BEFORE, DROPPED_AFTER, HALF, SHORT, GARBAGE, SLOW, DRIPPING)
STATUSES = (408, 429, 502, 503, 504)


@dataclass
class Nasty:
    """Somebody between a producer and an inbox. `faults` are dealt out one a request; then all goes well."""

    handle: Handle
    faults: deque[str | int | None] = field(default_factory=deque)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, headers: Mapping[str, str], body: bytes) -> str | int | None:
        """Note a request, and give what is to become of it."""
        with self.lock:
            self.bodies.append(body)
            self.headers.append(headers)
            return self.faults.popleft() if self.faults else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    nasty: Nasty


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer is one packet: nobody waits for the acknowledgement of its head
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as http.server calls it
        """Say nothing."""

    def do_POST(self) -> None:  # http.server calls it so
        """Answer, or not."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        fault = self.server.nasty.take(headers, body)
        with suppress(OSError):
            if isinstance(fault, int):
                self._reply(fault, b"<h1>try later</h1>", retry_after="0")
            elif fault == DROPPED_BEFORE:
                self._drop()
            else:
                self._spoil(fault, *self.server.nasty.handle(headers, body))

    def _spoil(self, fault: str | None, status: int, content: bytes) -> None:
        whole = str(len(content))
        if fault == DROPPED_AFTER:
            self._drop()
        elif fault == HALF:
            self._reply(status, content[: len(content) // 2], whole)
            self._drop()
        elif fault == SHORT:
            self._reply(status, _shortened(content))
        elif fault == GARBAGE:
            self._reply(202, b"<html>Welcome</html>")
        elif fault == SLOW:
            self.server.nasty.over.wait(30)
        elif fault == DRIPPING:
            self._reply(status, b"", whole)
            self._drip(content)
        else:
            self._reply(status, content)

    def _drip(self, content: bytes) -> None:
        for byte in content:
            if self.server.nasty.over.wait(0.05):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def _reply(self, status: int, content: bytes, length: str | None = None, retry_after: str | None = None) -> None:
        self.send_response(status)
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def nasty(handle: Handle) -> Iterator[Nasty]:
    """Run one on a free port."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.nasty = one = Nasty(handle, url=f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield one
        finally:
            one.over.set()
            server.shutdown()
            thread.join()


def _shortened(content: bytes) -> bytes:
    said = json.loads(content)
    return json.dumps({"results": said["results"][:-1]} if "results" in said else {}).encode()


class Book:
    """An inbox in memory, which keeps to the contract of `POST /v1/events`."""

    def __init__(self) -> None:
        """Begin empty."""
        self.stored: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Take a request."""
        content = json.loads(body)
        if headers["content-type"] == "application/cloudevents-batch+json":
            return 202, json.dumps({"results": [self._take(event) for event in content]}).encode()
        said = self._take(content)
        if said["status"] == "rejected":
            problem = {"code": "bad_input", "status": 422, "detail": said["reason"], "problems": [{"path": "/data"}]}
            return 422, json.dumps(problem).encode()
        return 202, json.dumps(said).encode()

    def _take(self, event: dict[str, Any]) -> dict[str, str]:
        key = str(event["source"]), str(event["id"])
        name = {"source": key[0], "id": key[1]}
        if event["data"].get("user_id") == "":
            return {**name, "status": "rejected", "reason": "/data/user_id: it is empty"}
        with self._lock:
            known = self.stored.setdefault(key, event)
        if known != event:
            return {**name, "status": "rejected", "reason": "another event with this source and id was accepted before"}
        return {**name, "status": "accepted" if known is event else "duplicate"}
