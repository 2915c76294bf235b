"""A service that recalls, over real sockets on loopback: each test says what it does with a request."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Recaller:
    """What the service does, what it was asked, and a flag that ends what it does slowly."""

    act: Callable[[Handler], None]
    asked: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    callers: set[int] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """One request; keeps the connection open between requests, as services do."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written one after the other
    recaller: Recaller

    def do_POST(self) -> None:
        """Note the question, and do what the test wants."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._act(json.loads(body))

    def do_GET(self) -> None:
        """Note the question, and do what the test wants."""
        self._act(None)

    def _act(self, body: object) -> None:
        self.recaller.asked.append((self.path, self.headers["Content-Type"], body))
        self.recaller.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.recaller.callers.add(self.client_address[1])
        self.recaller.act(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def answers(
    body: bytes | object, status: int = 200, content_type: str = "application/json", **headers: str
) -> Callable[[Handler], None]:
    """Give an act that answers with this body: bytes as they are, anything else as JSON."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()

    def act(handler: Handler) -> None:
        handler.send_response(status)
        sent = {"Content-Type": content_type, "Content-Length": str(len(text)), **headers}
        for name, value in sent.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    return act


def waits(handler: Handler) -> None:
    """Say nothing until the test is over."""
    handler.recaller.over.wait()
    handler.close_connection = True


def dribbles(prefix: bytes) -> Callable[[Handler], None]:
    """Give an act that sends a prefix at once, and then a space every few milliseconds until nobody listens."""

    def act(handler: Handler) -> None:
        handler.close_connection = True
        try:
            handler.wfile.write(prefix)
            while not handler.recaller.over.wait(0.01):
                handler.wfile.write(b" ")
                handler.wfile.flush()
        except OSError:
            handler.recaller.over.set()  # the caller hung up

    return act


def resets(handler: Handler) -> None:
    """Cut the connection hard."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()
    handler.wfile = handler.rfile = None  # type: ignore[assignment]  # there is nothing left to flush


@contextmanager
def recalling(act: Callable[[Handler], None], tls: ssl.SSLContext | None = None) -> Iterator[Recaller]:
    """Run a service that does this; with `tls`, over TLS."""
    recaller = Recaller(act)
    handler = type("Bound", (Handler,), {"recaller": recaller})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls is not None:
        # The handshake is made in the connection's own thread, with its first read.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    recaller.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/recall"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield recaller
    finally:
        recaller.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
