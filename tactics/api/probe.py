"""Asks a server how it is, within a time, however long that takes it: one question at a time, kept for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

GIVEN_UP_S = 15.0
"""A question that has had no answer for so long is asked anew: its connection may be to nowhere."""


class Probe(Generic[T]):
    """A question, its last answer, and whoever waits for the next one."""

    def __init__(self, ask: Callable[[], T], *, kept_s: float, patience_s: float) -> None:
        """Keep what to ask.

        Args:
            ask: asks, in a thread of its own; may hang.
            kept_s: how long an answer, or an error, is given again without asking.
            patience_s: how long an answer is waited for.
        """
        self._ask, self._kept_s, self._patience_s = ask, kept_s, patience_s
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._answer: Future[T] | None = None

    def result(self) -> T:
        """Give the answer; one whose question is younger than `kept_s` is given again.

        Raises:
            TimeoutError: it did not answer in time.
            Exception: whatever asking raised.
        """
        answer, asked_at = self._current()
        # Who comes when the time is up already does not wait anew: a server that hangs holds few threads.
        return answer.result(max(0.0, asked_at + self._patience_s - time.monotonic()))

    def _current(self) -> tuple[Future[T], float]:
        with self._lock:
            age_s = time.monotonic() - self._asked_at
            known = self._answer
            if known is not None and age_s < (self._kept_s if known.done() else GIVEN_UP_S):
                return known, self._asked_at
            self._asked_at, self._answer = time.monotonic(), Future[T]()
            # A daemon: a server that hangs does not keep this process from ending.
            Thread(target=self._run, args=(self._answer,), daemon=True, name="tactics.probe").start()
            return self._answer, self._asked_at

    def _run(self, answer: Future[T]) -> None:
        try:
            found = self._ask()
        except Exception as error:  # noqa: BLE001  # whoever waits for the answer gets it
            answer.set_exception(error)
        else:
            answer.set_result(found)
