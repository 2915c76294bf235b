"""Recall over HTTP: what is asked, what is accepted, and that nothing that a service does costs more than the time limit."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from tactics.errors import BadInput, GatewayError
from tactics.gateways.http import MOST_BYTES, HttpRecall
from tactics.gateways.ports import Candidate
from tests.gateways.recaller import Handler, Recaller, answers, dribbles, recalling, resets, waits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def _asking(act: Callable[[Handler], None], timeout_s: float = 5.0) -> Iterator[tuple[Recaller, HttpRecall]]:
    with recalling(act) as recaller, closing(HttpRecall(recaller.url, timeout_s)) as port:
        yield recaller, port


def test_question_and_answer() -> None:
    """The user, the items and the limit are posted as JSON; the best come first, ties by id, no more than the limit."""
    found = [
        {"item_id": "b", "score": 1, "why": "new"},
        {"item_id": "a", "score": 1.0},
        {"item_id": "c", "score": -0.5},
        {"item_id": "d", "score": 2.5},
    ]
    with _asking(answers({"items": found, "model": "m7"})) as (recaller, port):
        assert port.candidates("ann", ["7", "茶"], 3) == [Candidate("d", 2.5), Candidate("a", 1), Candidate("b", 1)]
    body = {"user_id": "ann", "item_ids": ["7", "茶"], "limit": 3}
    assert recaller.asked == [("/recall", "application/json", body)]


def test_nothing_found_is_an_answer() -> None:
    """A service that knows nothing answers with an empty list, again and again over one connection."""
    ports = set()

    def act(handler: Handler) -> None:
        ports.add(handler.client_address[1])
        answers({"items": []})(handler)

    with _asking(act) as (recaller, port):
        assert [port.candidates("ann", ["7"], 3) for _ in range(3)] == [[], [], []]
        assert (len(recaller.asked), len(ports)) == (3, 1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Invalid JSON"),
        (b"<html>sorry</html>", "Invalid JSON"),
        (b'{"items": [', "Invalid JSON"),
        (gzip.compress(b'{"items": []}', mtime=0), "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b'{"items": [{"item_id": "7", "score": NaN}]}', "items/0/score"),
        (b'{"items": [{"item_id": "7", "score": 1e999}]}', "items/0/score"),
        (b'{"items": [{"item_id": "\\ud800", "score": 1}]}', "Invalid JSON"),
        ([], "the body"),
        (None, "the body"),
        ({}, "items: Field required"),
        ({"items": {"7": 1}}, "items"),
        ({"items": ["7"]}, "items/0"),
        ({"items": [{"item_id": "7"}]}, "items/0/score: Field required"),
        ({"items": [{"item_id": 7, "score": 1}]}, "items/0/item_id"),
        ({"items": [{"item_id": "", "score": 1}]}, "items/0/item_id"),
        ({"items": [{"item_id": "x" * 257, "score": 1}]}, "items/0/item_id"),
        ({"items": [{"item_id": "a\x00b", "score": 1}]}, "items/0/item_id"),
        ({"items": [{"item_id": "7", "score": True}]}, "items/0/score"),
        ({"items": [{"item_id": "7", "score": "1"}]}, "items/0/score"),
        ({"items": [{"item_id": "7", "score": 1}, {"item_id": None, "score": 1}]}, "items/1/item_id"),
    ],
)
def test_bad_answers_are_refused_with_the_place(body: Any, said: str) -> None:
    """What breaks the contract is an error that names the place, and quotes nothing of what was sent."""
    with _asking(answers(body)) as (_, port), pytest.raises(GatewayError, match=said) as raised:
        port.candidates("ann", ["7"], 3)
    assert "sorry" not in raised.value.message
    assert raised.value.retryable


@pytest.mark.parametrize("status", [301, 307, 308, 204, 400, 404, 429, 500, 503])
def test_other_statuses_are_refused(status: int) -> None:
    """Any status but 200 is an error that names it; redirects are not followed."""
    with _asking(answers({"items": []}, status, Location="/recall")) as (recaller, port):
        with pytest.raises(GatewayError, match=f"status {status}"):
            port.candidates("ann", ["7"], 3)
        assert len(recaller.asked) == 1


def test_answer_that_never_ends_is_cut() -> None:
    """Of an answer that is too long, no more than the cap is read, however fast it comes."""
    sent = []

    def act(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(HEAD + b"\r\n")
        try:
            while not handler.recaller.over.is_set():
                sent.append(handler.wfile.write(b" " * 65_536))
        except OSError:
            handler.recaller.over.set()

    with _asking(act) as (recaller, port):
        with pytest.raises(GatewayError, match=f"more than {MOST_BYTES} bytes"):
            port.candidates("ann", ["7"], 3)
        assert recaller.over.wait(10), "the connection stayed open"


def test_answer_just_under_the_cap_is_read() -> None:
    """Length is no fault of its own below the cap."""
    text = json.dumps({"items": [{"item_id": "7", "score": 1}]}).encode()
    with _asking(answers(text + b" " * (MOST_BYTES - len(text)))) as (_, port):
        assert port.candidates("ann", ["7"], 3) == [Candidate("7", 1)]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(waits, id="silent"),
        pytest.param(dribbles(b"HTTP/1.1 200 O"), id="in the status"),
        pytest.param(dribbles(b"HTTP/1.1 200 OK\r\nX-Slow: "), id="in a header"),
        pytest.param(dribbles(HEAD + b"Content-Length: 100000\r\n\r\n"), id="in the body"),
        pytest.param(dribbles(HEAD + b"\r\n"), id="in a body without end"),
        pytest.param(dribbles(HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000\r\n"), id="in a chunk"),
    ],
)
def test_whole_call_has_one_deadline(act: Callable[[Handler], None]) -> None:
    """However slowly a service answers, a byte at a time too, the call ends at its time limit, and the next one works."""
    with _asking(act, timeout_s=0.2) as (recaller, port):
        started = time.monotonic()
        with pytest.raises(GatewayError, match="within 200 ms"):
            port.candidates("ann", ["7"], 3)
        assert 0.15 < time.monotonic() - started < 2
        recaller.act = answers({"items": [{"item_id": "8", "score": 1}]})
        assert port.candidates("ann", ["7"], 3) == [Candidate("8", 1)]


def test_late_call_hangs_up() -> None:
    """A call that was given up leaves no connection behind: the service notices."""
    with _asking(answers({"items": []}), timeout_s=0.2) as (recaller, port):
        with suppress(GatewayError):  # what is made with the first call may take longer than that
            port.candidates("ann", ["7"], 3)
        recaller.act = dribbles(HEAD + b"\r\n")
        with pytest.raises(GatewayError):
            port.candidates("ann", ["7"], 3)
        assert recaller.over.wait(10), "the connection stayed open"


def test_cut_connections() -> None:
    """A reset, and an answer that ends too early, are errors of their own kind."""
    with _asking(resets) as (recaller, port):
        with pytest.raises(GatewayError, match="could not be asked: "):
            port.candidates("ann", ["7"], 3)

        def half(handler: Handler) -> None:
            handler.wfile.write(HEAD + b'Content-Length: 99\r\n\r\n{"items": []}')
            handler.close_connection = True

        recaller.act = half
        with pytest.raises(GatewayError, match="could not be asked: RemoteProtocolError"):
            port.candidates("ann", ["7"], 3)


def test_nobody_there() -> None:
    """A port on which nobody listens, and one that takes the connection and never says a word, end in an error."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        number = mute.getsockname()[1]
        with (
            closing(HttpRecall(f"http://127.0.0.1:{number}", 0.1)) as port,
            pytest.raises(GatewayError, match="100 ms"),
        ):
            port.candidates("ann", ["7"], 3)
    with (
        closing(HttpRecall(f"http://127.0.0.1:{number}", 5)) as port,
        pytest.raises(GatewayError, match="ConnectError"),
    ):
        port.candidates("ann", ["7"], 3)


def test_the_environment_does_not_lead_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used: what is asked about users goes where the setting says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with _asking(answers({"items": []})) as (_, port):
        assert port.candidates("ann", ["7"], 3) == []


def test_closing_ends_what_was_started() -> None:
    """After closing there is no thread any more; closing what was never used, or twice, does no harm."""
    with recalling(answers({"items": []})) as recaller:
        port = HttpRecall(recaller.url, 5)
        port.candidates("ann", ["7"], 3)
        assert "tactics.recall" in {one.name for one in threading.enumerate()}
        port.close()
        port.close()
    assert "tactics.recall" not in {one.name for one in threading.enumerate()}


def test_what_is_no_address_is_refused_at_once() -> None:
    """An address that cannot be read is refused when the port is made, not at the first call."""
    with pytest.raises(BadInput, match="TACTICS_RECALL_URL"):
        HttpRecall("http://[::1", 1)
