"""The benchmarks of the API themselves: all figures that are promised, an honest load, and nothing from bad answers."""

from __future__ import annotations

import json
import math
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.api import __main__ as program
from tests.bench.api import asked, suite
from tests.bench.api.load import NO_ANSWER, Answers, Order, Run
from tests.bench.api.sending import all_good
from tests.bench.stage import MeasureFailed

PROMISED = {
    "ingest_batch_over_bare",
    "ingest_single_over_bare",
    "placement_p50_over_bare",
    "placement_p99_over_p50",
    "memory_growth",
}
ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Length: 21\r\n\r\n{"status":"accepted"}'
REFUSED = b"HTTP/1.1 503 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
SLOW_S = 0.3


@contextmanager
def answering(answer: Callable[[int], bytes]) -> Iterator[int]:
    """Serve one connection: `answer` gives what to say to each request, by its position; empty ends it. Gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):  # who was cut off connects once more
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    while connection.recv(65_536) and (said := answer(next(numbers))):
                        connection.sendall(said)

        numbers = iter(range(1_000_000))
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def ordered(port: int, seconds: float, rate: float = 0.0, **changes: float) -> Answers:
    """Carry an order of single events out, over one connection."""
    return Run(Order(port, [asked.single()], 7, 1, [(seconds, rate)], **changes)).go()  # type: ignore[arg-type]


def test_every_promised_key_has_a_measure_and_an_aim() -> None:
    """The five keys are measured, each by one measure, and each has an aim."""
    assert set(suite.KEYS) == set(suite.AIMS) == PROMISED
    assert len(suite.KEYS) == len(PROMISED)


def test_a_measure_runs_and_its_figures_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick run of the whole thing, over real processes, writes finite numbers, the asked keys among them."""
    file = tmp_path / "figures.json"
    keys = ["ingest_single_over_bare", "ingest_batch_over_bare"]
    monkeypatch.setattr(sys, "argv", ["bench-api", "--quick", "--only", *keys, "--json", str(file)])

    assert program.main() == 0

    figures = json.loads(file.read_text())
    assert all(figures[key] > 0 for key in keys)
    assert all(isinstance(value, float) and math.isfinite(value) for value in figures.values())


def test_each_request_has_ids_of_its_own_and_says_its_length() -> None:
    """Two requests of a kind differ in their ids alone; the length that they name is that of their body."""
    for kind in (asked.single(), asked.batch(3), asked.granted(), asked.bare()):
        one, other = kind.bearing("tk_x").request(1), kind.bearing("tk_x").request(2)
        head, _, body = one.partition(b"\r\n\r\n")
        assert one != other
        assert one.replace(b"0000000001", b"0000000002") == other
        assert f"Content-Length: {len(body)}".encode() in head
        assert b"Authorization: Bearer tk_x" in head
    assert len({event["id"] for event in json.loads(asked.batch(3).request(1).partition(b"\r\n\r\n")[2])}) == 3


def test_what_a_slow_answer_delays_is_slow_too() -> None:
    """In an open loop a request counts from when it was due, though its connection was busy then."""

    def answer(number: int) -> bytes:
        if number == 0:
            time.sleep(SLOW_S)
        return ACCEPTED

    with answering(answer) as port:
        found = ordered(port, 0.2, rate=20.0)

    assert list(found.numbers) == [7, 8, 9, 10]
    assert [round(due, 2) for due in found.due] == [0.0, 0.05, 0.1, 0.15]
    assert all(took >= SLOW_S - due for took, due in zip(found.took, found.due, strict=True))
    assert all(found.good)


def test_refusals_and_broken_connections_are_no_good_answers() -> None:
    """A refusal is noted with its Retry-After, a cut connection as no answer; a figure is made of neither."""
    said = [ACCEPTED, REFUSED, b""]
    with answering(lambda number: said[number] if number < len(said) else ACCEPTED) as port:
        found = ordered(port, 5.0, most=4)

    assert list(found.status) == [202, 503, NO_ANSWER, 202]
    assert list(found.good) == [1, 0, 0, 1]
    assert list(found.told_when) == [0, 1, 0, 0]
    assert found.rows() == 2
    with pytest.raises(MeasureFailed, match="2 of 4 answers"):
        all_good(found)


def test_an_answer_that_does_not_come_is_not_waited_for_forever() -> None:
    """After its patience a request counts as not answered."""
    done = threading.Event()

    def answer(_: int) -> bytes:
        done.wait(20)
        return b""

    with answering(answer) as port:
        found = ordered(port, 5.0, most=1, patience_s=0.2)
        done.set()

    assert list(found.status) == [NO_ANSWER]
