"""Handing orders to the load's process, each request under a number that no other has."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from tests.bench.api.asked import Asked
from tests.bench.api.load import Answers, Order, loader
from tests.bench.clients import Clients, clients
from tests.bench.stage import MeasureFailed

_APART = 1_000_000
_AS_LONG_AS_IT_TAKES_S = 150.0


class Sender:
    """The load's process, ready."""

    def __init__(self, process: Clients, key: str) -> None:
        """Keep the line to it, and the API key that it sends."""
        self._process, self._key = process, key
        self._first = 0

    def closed(self, port: int, *kinds: Asked, connections: int, seconds: float, most: int = 0) -> Answers:
        """Load in a closed loop; every answer must be good.

        Args:
            port: of what is loaded.
            kinds: of requests, in turn.
            connections: each sends when it was answered.
            seconds: how long.
            most: ends after so many requests; 0: when the time is over.

        Raises:
            MeasureFailed: one was not.
        """
        return all_good(self.send(port, kinds, connections, [(seconds, 0.0)], most=most))

    def open(self, port: int, *kinds: Asked, connections: int, seconds: float, rate: float) -> Answers:
        """Load with so many requests a second, in an open loop; every answer must be good.

        Raises:
            MeasureFailed: one was not.
        """
        return all_good(self.send(port, kinds, connections, [(seconds, rate)]))

    def send(
        self,
        port: int,
        kinds: Sequence[Asked],
        connections: int,
        phases: Sequence[tuple[float, float]],
        *,
        patience_s: float = 5.0,
        most: int = 0,
    ) -> Answers:
        """Send as an `Order` says; whatever comes back is given."""
        self._first += _APART
        return self._ask(Order(port, kinds, self._first, connections, phases, patience_s, most))

    def again(self, port: int, answers: Answers, kinds: Sequence[Asked], connections: int) -> Answers:
        """Send the same requests once more, as callers do who were refused or not answered; in a closed loop."""
        phases = [(_AS_LONG_AS_IT_TAKES_S, 0.0)]
        return self._ask(Order(port, kinds, answers.first, connections, phases, most=len(answers.numbers)))

    def _ask(self, order: Order) -> Answers:
        (found,) = self._process.ask([replace(order, asked=[one.bearing(self._key) for one in order.asked])])
        if not isinstance(found, Answers) or not found.numbers:
            raise MeasureFailed("nothing was sent")
        return found


@contextmanager
def sender(key: str) -> Iterator[Sender]:
    """Start the load's process, which sends this API key."""
    with clients(loader, [()]) as process:
        yield Sender(process, key)


def all_good(answers: Answers) -> Answers:
    """Give the answers on.

    Raises:
        MeasureFailed: one is not as it should be.
    """
    bad = next((one for one, good in enumerate(answers.good) if not good), None)
    if bad is not None or answers.unsent:
        count = len(answers.good) - sum(answers.good)
        raise MeasureFailed(
            f"{count} of {len(answers.good)} answers are not as they should be, {answers.unsent} were never sent;"
            f" by status: {dict(answers.statuses())}; the first: {answers.sample}"
        )
    return answers


def percentile(values: Sequence[float], percent: int) -> float:
    """Give a percentile of many values."""
    return statistics.quantiles(values, n=100)[percent - 1]
