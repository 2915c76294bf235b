"""A receiver of webhooks that writes down the id of each before it answers, and now and then answers that it has trouble."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.chaos.history import History

_TROUBLE_EVERY = 25


class _Receiver(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, history: History) -> None:
        super().__init__(("127.0.0.1", 0), _Told)
        self.history, self.number = history, itertools.count(1)


class _Told(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        """Take a notice; where it has trouble, it does not remember it."""
        self.rfile.read(int(self.headers["content-length"]))
        trouble = next(self.server.number) % _TROUBLE_EVERY == 0
        if not trouble:
            self.server.history.note("told", id=self.headers["webhook-id"])
        self.send_response(503 if trouble else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def hearing(path: Path) -> Iterator[str]:
    """Receive webhooks for a while; gives the address of the receiver.

    Args:
        path: where what it was told is written, line by line.
    """
    history = History(path)
    server = _Receiver(history)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        history.close()
