"""The proxy does what it is told to: cuts, refuses, goes silent, holds back, and swallows one answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tactics.embedded.home import free_port
from tests.chaos.proxy import Proxy, proxying

LOOPBACK = "127.0.0.1"


class Echo:
    """A server that answers each piece with the same, and counts what it has heard."""

    def __init__(self) -> None:
        """Listen."""
        self.heard: list[bytes] = []
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1024):
                self.heard.append(data)
                connection.sendall(data)
        except OSError:
            return


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server behind the proxy."""
    made = Echo()
    with closing(made.listener):
        yield made


@pytest.fixture
def port() -> int:
    """Where the proxy listens."""
    return free_port()


@pytest.fixture
def proxy(echo: Echo, port: int, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before the server."""
    with proxying({"echo": (port, echo.port)}, tmp_path / "proxy.log") as found:
        yield found


def _connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=10)


def _ask(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    try:
        return connection.recv(1024)
    except ConnectionResetError:
        return b""


def test_what_the_proxy_is_told_happens(proxy: Proxy, port: int, echo: Echo) -> None:
    """Each kind of trouble happens to the connections that there are, and is over when it is over."""
    with _connect(port) as one:
        assert _ask(one, b"hello") == b"hello"
        proxy.tell("cut", "echo", how="close")
        assert _ask(one, b"gone") == b""
    with _connect(port) as one:
        assert _ask(one, b"again") == b"again"
        proxy.tell("drop_reply", "echo", how="COMMIT")
        assert _ask(one, b"BEGIN") == b"BEGIN"
        assert _ask(one, b"COMMIT") == b""
        assert echo.heard[-1] == b"COMMIT"
    assert proxy.tell("drop_reply", "echo", how="never")["swallowed"] == {"echo": 1}
    with _connect(port) as one:
        assert _ask(one, b"before") == b"before"
        proxy.tell("stall", "echo", for_s=0.3)
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            _ask(one, b"held")
        one.settimeout(10)
        assert one.recv(1024) == b"held"


@pytest.mark.parametrize("how", ["refuse", "blackhole"])
def test_a_lasting_cut_ends(proxy: Proxy, port: int, how: str) -> None:
    """While it lasts nobody gets through; after it everybody does, over a new connection."""
    with _connect(port) as one:
        assert _ask(one, b"before") == b"before"
        proxy.tell("cut", "echo", how=how, for_s=0.3)
        assert _ask(one, b"lost") == b""
    answer = b""
    while answer != b"after":
        try:
            with _connect(port) as one:
                answer = _ask(one, b"after")
        except ConnectionRefusedError:
            continue
