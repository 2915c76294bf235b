"""Somebody who receives webhooks: a real HTTP server that checks signatures by code of its own, as the specification says.

Nothing of Tactics is used here: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

Answer = int | tuple[int, Mapping[str, str]] | None
"""A status; a status with headers; None cuts the connection without one."""


def signed_by(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether a message was signed with a secret, a moment ago."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    wanted = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 60
    return fresh and f"v1,{wanted}" in headers["webhook-signature"].split(" ")


@dataclass(frozen=True)
class Received:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message's id."""
        return self.headers["webhook-id"]

    @property
    def told(self) -> dict[str, Any]:
        """What it says."""
        return dict(json.loads(self.body))


@dataclass
class Receiver:
    """What came, and how it is answered: by `answer`, told what came and how much came before."""

    url: str
    got: list[Received] = field(default_factory=list)
    answer: Callable[[Received, int], Answer] = lambda _one, _before: 204
    _lock: Lock = field(default_factory=Lock)

    def take(self, one: Received) -> Answer:
        """Note what came, and say how it is answered."""
        with self._lock:
            before = len(self.got)
            self.got.append(one)
        return self.answer(one, before)

    @property
    def ids(self) -> list[str]:
        """The ids that came, in order."""
        return [one.id for one in self.got]

    @property
    def topics(self) -> list[str]:
        """The types that came, in order."""
        return [one.told["type"] for one in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on this machine, on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = receiver.take(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if answer is None:
                self.close_connection = True
                return
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            self.send_response(status)
            for name, value in {"content-length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
