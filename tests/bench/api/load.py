"""The load: a process of its own that sends prepared bytes over connections it keeps, and looks at little of the answers.

It shares the processor with those it loads, so it is made of sockets and `epoll`: some 25 µs a request. In a closed loop
each connection sends when it was answered. In an open loop requests are due at even distances, whatever happened to
those before; where no connection is free a request waits for one, and its latency counts from when it was due.
"""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.bench.api.asked import Asked
from tests.bench.clients import Work

NO_ANSWER = 0
"""The status of a request that was not answered: its connection broke, or it took too long."""
_SIZE = 1 << 16
_PATIENCE_S, _LOOK_S = 5.0, 0.05
_SHOWN = 500


@dataclass(frozen=True)
class Order:
    """What to send.

    Args:
        port: where, on this machine.
        asked: the kinds of requests, taken in turn.
        first: the number of the first request.
        connections: how many there are.
        phases: seconds, and due requests a second; 0 is a closed loop.
        patience_s: a request that takes longer counts as not answered.
        most: the run ends after so many requests; 0: when its time is over.
    """

    port: int
    asked: Sequence[Asked]
    first: int
    connections: int
    phases: Sequence[tuple[float, float]]
    patience_s: float = _PATIENCE_S
    most: int = 0


@dataclass
class Answers:
    """What came back, a request at each position. Times in seconds, `due` since the run began."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    due: array[float] = field(default_factory=lambda: array("d"))
    took: array[float] = field(default_factory=lambda: array("d"))
    waited: array[float] = field(default_factory=lambda: array("d"))
    """How much of that passed before a connection was free."""
    status: array[int] = field(default_factory=lambda: array("H"))
    good: bytearray = field(default_factory=bytearray)
    told_when: bytearray = field(default_factory=bytearray)
    """Whether it says when to come back."""
    kinds: Sequence[Asked] = ()
    first: int = 0
    ran_s: float = 0.0
    cpu_s: float = 0.0
    unsent: int = 0
    """Requests that were due and found no free connection before the end."""
    sample: str = ""
    """The first answer that was not as it should be."""

    def kind(self, position: int) -> Asked:
        """Give what was asked."""
        return self.kinds[(self.numbers[position] - self.first) % len(self.kinds)]

    def positions(self, *names: str) -> list[int]:
        """Give where the answers to these kinds are."""
        return [one for one in range(len(self.numbers)) if self.kind(one).name in names]

    def rows(self) -> int:
        """Count the rows that good answers stand for."""
        return sum(self.kind(one).worth for one in range(len(self.numbers)) if self.good[one])

    def latencies_ms(self, *names: str) -> list[float]:
        """Give the latencies of good answers, of all kinds where none is named."""
        wanted = self.positions(*names) if names else range(len(self.numbers))
        return [self.took[one] * 1000 for one in wanted if self.good[one]]

    def statuses(self) -> Counter[int]:
        """Count the answers by status."""
        return Counter(self.status)


class _Line:
    """A connection, and what is under way on it."""

    def __init__(self, port: int, poll: select.epoll) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.number, self.due, self.sent, self.rest, self.got = -1, 0.0, 0.0, b"", b""
        self.poll = poll
        poll.register(self.socket, select.EPOLLIN)

    def send(self, number: int, due: float, request: bytes) -> None:
        self.number, self.due, self.sent, self.rest = number, due, time.perf_counter(), request
        self.flush()

    def flush(self) -> None:
        with suppress(BlockingIOError):
            self.rest = self.rest[self.socket.send(self.rest) :]
        self.poll.modify(self.socket, select.EPOLLIN | (select.EPOLLOUT if self.rest else 0))

    def answer(self) -> tuple[bytes, bytes] | None:
        """Read what there is; gives head and body once they are complete.

        Raises:
            OSError: the connection is gone.
        """
        part = self.socket.recv(_SIZE)
        if not part:
            raise ConnectionResetError
        self.got += part
        head, ended, body = self.got.partition(b"\r\n\r\n")
        if not ended:
            return None
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) < int(length.partition(b"\r\n")[0] or 0):
            return None
        self.got = b""
        return head, body

    def close(self) -> None:
        self.poll.unregister(self.socket)
        self.socket.close()


class Run:
    """An order being carried out."""

    def __init__(self, order: Order) -> None:
        """Connect."""
        self.order = order
        self.answers = Answers(kinds=order.asked, first=order.first)
        self._poll = select.epoll()
        self._lines = {(line := self._line()).socket.fileno(): line for _ in range(order.connections)}
        self._free = deque(self._lines.values())
        self._waiting: deque[tuple[int, float]] = deque()
        self._next = order.first

    def _line(self) -> _Line:
        return _Line(self.order.port, self._poll)

    def go(self) -> Answers:
        """Send everything, and wait for what is under way."""
        started, cpu = time.perf_counter(), time.process_time()
        self._started = started
        for seconds, rate in self.order.phases:
            until = time.perf_counter() + seconds
            self._open(until, 1 / rate) if rate else self._closed(until)
        end = time.perf_counter() + self.order.patience_s
        while (self._waiting or len(self._free) < len(self._lines)) and time.perf_counter() < end:
            self._send_waiting()
            self._look(_LOOK_S)
        self.answers.unsent = len(self._waiting)
        for line in self._lines.values():
            if line.number >= 0:
                self._note(line, NO_ANSWER, good=False, told_when=False)
            line.close()
        self._poll.close()
        self.answers.ran_s = time.perf_counter() - started
        self.answers.cpu_s = time.process_time() - cpu
        return self.answers

    def _closed(self, until: float) -> None:
        while (now := time.perf_counter()) < until and not self._enough():
            while self._free and not self._enough():
                self._send(self._free.popleft(), self._take(), now)
            self._look(until - now)

    def _open(self, until: float, gap_s: float) -> None:
        due = time.perf_counter()
        while due < until and not self._enough():
            now = time.perf_counter()
            while due <= now and due < until and not self._enough():
                self._waiting.append((self._take(), due))
                due += gap_s
            self._send_waiting()
            self._look(due - time.perf_counter())

    def _send_waiting(self) -> None:
        while self._waiting and self._free:
            self._send(self._free.popleft(), *self._waiting.popleft())

    def _enough(self) -> bool:
        return bool(self.order.most) and self._next - self.order.first >= self.order.most

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def _send(self, line: _Line, number: int, due: float) -> None:
        asked = self.order.asked
        try:
            line.send(number, due, asked[(number - self.order.first) % len(asked)].request(number))
        except OSError:
            self._broken(line)

    def _look(self, wait_s: float) -> None:
        """Wait for something to happen, with microseconds where epoll alone has milliseconds."""
        if not select.select([self._poll], [], [], min(max(wait_s, 0.0), _LOOK_S))[0]:
            self._give_up_slow()
            return
        for number, happened in self._poll.poll(0):
            line = self._lines[number]
            try:
                if happened & select.EPOLLOUT:
                    line.flush()
                found = line.answer() if happened & ~select.EPOLLOUT else None
            except BlockingIOError:
                continue
            except OSError:
                self._broken(line)
                continue
            if found is not None:
                self._answered(line, *found)

    def _answered(self, line: _Line, head: bytes, body: bytes) -> None:
        number, status = line.number, int(head[9:12])
        asked = self.order.asked[(number - self.order.first) % len(self.order.asked)]
        good = asked.good(status, body)
        if not good and not self.answers.sample:
            self.answers.sample = f"{asked.name}: {status} {body[:_SHOWN].decode(errors='replace')}"
        self._note(line, status, good=good, told_when=b"\nretry-after:" in head.lower())
        if self._waiting:
            self._send(line, *self._waiting.popleft())
        else:
            self._free.append(line)

    def _note(self, line: _Line, status: int, *, good: bool, told_when: bool) -> None:
        found = self.answers
        found.numbers.append(line.number)
        found.due.append(line.due - self._started)
        found.took.append(time.perf_counter() - line.due)
        found.waited.append(line.sent - line.due)
        found.status.append(status)
        found.good.append(good)
        found.told_when.append(told_when)
        line.number = -1

    def _broken(self, line: _Line) -> None:
        """Note what was under way on a connection that is gone, and connect anew."""
        if line.number >= 0:
            self._note(line, NO_ANSWER, good=False, told_when=False)
        elif line in self._free:
            self._free.remove(line)
        del self._lines[line.socket.fileno()]
        line.close()
        with suppress(OSError):  # nobody listens there: with fewer connections, then
            fresh = self._line()
            self._lines[fresh.socket.fileno()] = fresh
            self._free.append(fresh)

    def _give_up_slow(self) -> None:
        late = time.perf_counter() - self.order.patience_s
        for line in [one for one in self._lines.values() if one.number >= 0 and one.due < late]:
            self._broken(line)


@contextmanager
def loader() -> Iterator[Work]:
    """Be the process that sends; an order is an `Order`, the answer its `Answers`."""
    yield lambda order: Run(order).go()
