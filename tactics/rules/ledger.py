"""What `execute` has done, remembered: which effects an idempotency id stands for, and how far each one is.

An effect is claimed before its handler is called, and settled after it. Whoever dies in between leaves a claim behind:
nobody knows whether the handler did its work. That is the doubt that every ledger has to be honest about. Source: C-52.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Literal, Protocol

# `open`: never tried. `begun`: a handler has it, or had it and died. `in_doubt`: tried, and nobody knows how it ended.
State = Literal["open", "begun", "failed", "in_doubt", "done"]


@dataclass(frozen=True, slots=True)
class Opened:
    """What an idempotency id stands for: its effects as canonical JSON text, and the values of those that are done."""

    effects: str
    done: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether the caller may run an effect now: only when it is `yours`.

    `attempt` tells this claim from later ones; `value` is the JSON text of what is done, `error` what is known of a doubt.
    """

    state: Literal["yours", "done", "in_progress", "in_doubt"]
    attempt: int = 0
    value: str = "null"
    error: str | None = None


class Ledger(Protocol):
    """Remembers effects; safe to share between threads."""

    def open(self, idempotency_id: str, effects: str, count: int) -> Opened:
        """Remember that the id stands for these `count` effects, unless it is known; answer what it stands for."""

    def look(self, idempotency_id: str) -> Opened | None:
        """What the id stands for, or None where it was never opened."""

    def begin(self, idempotency_id: str, index: int, *, repeatable: bool) -> Claim:
        """Claim one effect of an opened id; of several callers at once, one gets it."""

    def done(self, idempotency_id: str, index: int, value: str) -> None:
        """The effect happened, whoever says so; the first value stays."""

    def failed(self, idempotency_id: str, index: int, attempt: int, error: str, *, in_doubt: bool) -> None:
        """The effect did not happen, or nobody knows; ignored when the claim is no longer this one."""

    def settle(self, idempotency_id: str, index: int, *, happened: bool, value: object = None) -> bool:
        """Somebody looked: the effect that is in doubt happened, with this value, or it did not.

        Answers False, and changes nothing, where there is no doubt.
        """

    def unfinished(self) -> tuple[tuple[str, str], ...]:
        """The ids that have effects left to do, oldest first, each with its effects as JSON text."""


def claimable(state: State, *, lapsed: bool, repeatable: bool) -> Literal["yours", "done", "in_progress", "in_doubt"]:
    """Who may run an effect in this state; `lapsed` says that whoever claimed it is taken to be dead."""
    if state == "done":
        return "done"
    if state == "begun" and not lapsed:
        return "in_progress"
    return "in_doubt" if state in {"begun", "in_doubt"} and not repeatable else "yours"


def as_text(value: object) -> str:
    """The value as JSON text: what JSON cannot carry becomes its words, or null where it has none."""
    try:
        text = json.dumps(value, default=str, allow_nan=False)
        json.loads(text)
    except Exception:  # noqa: BLE001 -- a handler may answer anything, and what it did must be remembered all the same
        return "null"
    return text


@dataclass(slots=True)
class _Entry:
    state: State = "open"
    attempt: int = 0
    value: str = "null"
    error: str | None = None

    def end(self, value: str) -> None:
        if self.state != "done":
            self.state, self.value, self.error = "done", value, None


@dataclass(slots=True)
class _Page:
    effects: str
    entries: list[_Entry]

    @property
    def finished(self) -> bool:
        return all(entry.state == "done" for entry in self.entries)

    def opened(self) -> Opened:
        done = {index: entry.value for index, entry in enumerate(self.entries) if entry.state == "done"}
        return Opened(self.effects, done)


class MemoryLedger:
    """Remembers within this process, and no longer.

    Past `capacity` ids it forgets finished ones, those that finished first; what has effects left to do is kept,
    however much there is of it. A claim never lapses: no thread dies without a word.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._pages: dict[str, _Page] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def open(self, idempotency_id: str, effects: str, count: int) -> Opened:
        """As `Ledger.open`."""
        with self._lock:
            page = self._pages.get(idempotency_id)
            if page is None:
                while len(self._pages) >= self._capacity and self._finished:
                    del self._pages[self._finished.popitem(last=False)[0]]
                page = self._pages[idempotency_id] = _Page(effects, [_Entry() for _ in range(count)])
            return page.opened()

    def look(self, idempotency_id: str) -> Opened | None:
        """As `Ledger.look`."""
        with self._lock:
            page = self._pages.get(idempotency_id)
            return None if page is None else page.opened()

    def begin(self, idempotency_id: str, index: int, *, repeatable: bool) -> Claim:
        """As `Ledger.begin`."""
        with self._lock:
            page = self._pages.get(idempotency_id)
            if page is None:
                # It was finished by somebody else, and forgotten, since this caller opened it.
                return Claim("in_progress")
            entry = page.entries[index]
            answer = claimable(entry.state, lapsed=False, repeatable=repeatable)
            if answer == "yours":
                entry.state, entry.attempt = "begun", entry.attempt + 1
            return Claim(answer, entry.attempt, entry.value, entry.error)

    def done(self, idempotency_id: str, index: int, value: str) -> None:
        """As `Ledger.done`."""
        with self._lock:
            self._end(idempotency_id, index, value)

    def failed(self, idempotency_id: str, index: int, attempt: int, error: str, *, in_doubt: bool) -> None:
        """As `Ledger.failed`."""
        with self._lock:
            entry = self._pages[idempotency_id].entries[index]
            if entry.state == "begun" and entry.attempt == attempt:
                entry.state, entry.error = "in_doubt" if in_doubt else "failed", error

    def settle(self, idempotency_id: str, index: int, *, happened: bool, value: object = None) -> bool:
        """As `Ledger.settle`."""
        with self._lock:
            page = self._pages.get(idempotency_id)
            if page is None or page.entries[index].state != "in_doubt":
                return False
            if happened:
                self._end(idempotency_id, index, as_text(value))
            else:
                page.entries[index].state = "failed"
            return True

    def unfinished(self) -> tuple[tuple[str, str], ...]:
        """As `Ledger.unfinished`."""
        with self._lock:
            return tuple((name, page.effects) for name, page in self._pages.items() if not page.finished)

    def _end(self, idempotency_id: str, index: int, value: str) -> None:
        page = self._pages[idempotency_id]
        page.entries[index].end(value)
        if page.finished:
            self._finished[idempotency_id] = None
