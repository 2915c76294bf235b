"""How long a producer waits between tries, with a clock that stands still but for its waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from tactics.producer import GaveUp, Producer, action, line

EVENT = action("ann", "purchase", id="1")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        """Begin."""
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """Seconds so far."""
        return sum(self.waits)

    def time(self) -> float:
        """The real time."""
        return time.time()

    def sleep(self, wait_s: float) -> None:
        """Let time pass."""
        self.waits.append(wait_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The producer's clock; and chance always takes the longest wait."""
    found = Clock()
    monkeypatch.setattr(line, "time", found)
    monkeypatch.setattr("tactics.producer.line.random.uniform", lambda _, most: most)
    return found


def _gives_up(answer: Callable[[], httpx.Response], **options: Any) -> GaveUp:
    transport = httpx.MockTransport(lambda _: answer())
    with Producer("http://tactics", source="shop", transport=transport, **options) as producer:
        with pytest.raises(GaveUp) as error:
            producer.send(EVENT)
        return error.value


def test_waits_double_up_to_a_limit_and_end_with_the_deadline(clock: Clock) -> None:
    """Unanswered tries come less and less often, never more than 10 s apart, and none begins after the deadline."""
    error = _gives_up(lambda: httpx.Response(502), retries=99, deadline_s=60)
    assert clock.waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10]
    assert error.in_doubt
    clock.waits.clear()
    assert "in 4 tries" in str(_gives_up(lambda: httpx.Response(502), retries=3))
    assert clock.waits == [0.2, 0.4, 0.8]


def test_waits_are_spread_from_nothing_on(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance chooses from the whole span, so that producers that fail together do not come back together."""
    spans: list[tuple[float, float]] = []

    def uniform(*span: float) -> float:
        spans.append((span[0], span[1]))
        return span[0]

    monkeypatch.setattr("tactics.producer.line.random.uniform", uniform)
    _gives_up(lambda: httpx.Response(502), retries=3)
    assert spans == [(0, 0.2), (0, 0.4), (0, 0.8), (0, 1.6)]


def test_it_waits_as_long_as_it_is_asked_to(clock: Clock) -> None:
    """`Retry-After` is kept to, in seconds or as a date; where the deadline comes first, it gives up at once."""
    _gives_up(lambda: httpx.Response(429, headers={"Retry-After": "7"}), retries=2)
    assert clock.waits == [7.2, 7.4]
    clock.waits.clear()
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    _gives_up(lambda: httpx.Response(503, headers={"Retry-After": date}), retries=1)
    assert 15 < clock.waits[0] < 21
    clock.waits.clear()
    for odd in ("soon", "-5", "", "Wed, 99 Foo 2026 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"):
        _gives_up(lambda odd=odd: httpx.Response(503, headers={"Retry-After": odd}), retries=1)  # type: ignore[misc]  # its default is its type
    assert clock.waits == [0.2] * 5
    clock.waits.clear()
    error = _gives_up(lambda: httpx.Response(503, headers={"Retry-After": "3600"}))
    assert clock.waits == []
    assert error.status == 503


def _raises(error: Exception) -> Callable[[], httpx.Response]:
    def answer() -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "in_doubt"),
    [
        (_raises(httpx.ConnectError("refused")), False),
        (_raises(httpx.ConnectTimeout("")), False),
        (lambda: httpx.Response(429), False),
        (lambda: httpx.Response(503, json={"code": "overloaded"}), False),
        (lambda: httpx.Response(503, json={"code": "database_down"}), True),
        (lambda: httpx.Response(504), True),
        (lambda: httpx.Response(408), True),
        (lambda: httpx.Response(202, content=b"{"), True),
        (lambda: httpx.Response(202, json={"status": "fine"}), True),
        (lambda: httpx.Response(202, headers={"Content-Encoding": "gzip"}, content=b"no gzip"), True),
        (_raises(httpx.ReadTimeout("")), True),
        (_raises(httpx.WriteError("")), True),
        (_raises(httpx.RemoteProtocolError("")), True),
    ],
)
def test_it_says_whether_events_may_have_been_accepted(
    clock: Clock, answer: Callable[[], httpx.Response], in_doubt: bool
) -> None:
    """Only what was certainly not heard, or refused before it was accepted, is said not to be accepted."""
    error = _gives_up(answer, retries=1)
    assert error.in_doubt is in_doubt
    assert ("None was accepted" in str(error)) is not in_doubt
    assert error.events == (("shop", "1"),)


def test_an_answer_without_end_is_not_read(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much comes, only so much is kept."""
    monkeypatch.setattr(line, "MOST_ANSWERED", 1_000)
    read = 0

    def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 600

    error = _gives_up(lambda: httpx.Response(202, content=endless()), retries=1)
    assert "more than 1000 bytes" in str(error)
    assert read == 4


def test_a_batch_without_a_verdict_for_each_is_open(clock: Clock) -> None:
    """Receipts that cannot be read, or are too few or too many, are no answer: none of the batch is called accepted."""
    good = {"source": "shop", "id": "1", "status": "accepted"}
    odd: list[Any] = [[good, {}], [good, None], [good, {"status": "lost"}], [good], [good] * 3, {}, None]
    for results in odd:
        answer = httpx.Response(202, json={"results": results})
        transport = httpx.MockTransport(lambda _, answer=answer: answer)
        with Producer("http://tactics", source="shop", transport=transport, retries=1) as producer:
            receipts = producer.send_many([EVENT, EVENT])
            with pytest.raises(GaveUp, match="an answer that cannot be read") as error:
                next(receipts)
        assert error.value.in_doubt
