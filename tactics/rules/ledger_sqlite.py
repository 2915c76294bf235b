"""A ledger in a file, so that "once" survives a restart and holds between processes. Source: C-52."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from threading import Lock

from tactics.rules.ledger import Claim, Opened, as_text, claimable

_TABLES = (
    """CREATE TABLE IF NOT EXISTS execution (
        idempotency_id TEXT PRIMARY KEY, effects TEXT NOT NULL, opened_at REAL NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS effect (
        idempotency_id TEXT NOT NULL, place INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'open', attempt INTEGER NOT NULL DEFAULT 0, lapses_at REAL,
        value TEXT NOT NULL DEFAULT 'null', error TEXT, PRIMARY KEY (idempotency_id, place)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS effect_left ON effect (idempotency_id) WHERE state <> 'done'",
)
_STATE = "SELECT state, attempt, lapses_at, value, error FROM effect WHERE idempotency_id = ? AND place = ?"
_TAKE = "UPDATE effect SET state = 'begun', attempt = ?, lapses_at = ? WHERE idempotency_id = ? AND place = ?"
_DOUBT = "UPDATE effect SET state = 'in_doubt' WHERE idempotency_id = ? AND place = ?"
_FAIL = """UPDATE effect SET state = ?, error = ?
    WHERE idempotency_id = ? AND place = ? AND state = 'begun' AND attempt = ?"""
_END = """UPDATE effect SET state = 'done', value = ?, error = NULL
    WHERE idempotency_id = ? AND place = ? AND state <> 'done'"""
_SETTLE = """UPDATE effect SET state = 'failed' WHERE idempotency_id = ? AND place = ?
    AND (state = 'in_doubt' OR state = 'begun' AND lapses_at <= ?)"""
_LEFT = """SELECT idempotency_id, effects FROM execution
    WHERE idempotency_id IN (SELECT idempotency_id FROM effect WHERE state <> 'done') ORDER BY opened_at, idempotency_id"""
_OLD = """SELECT idempotency_id FROM execution
    WHERE opened_at < ? AND idempotency_id NOT IN (SELECT idempotency_id FROM effect WHERE state <> 'done')"""
_FORGET = ("DELETE FROM effect WHERE idempotency_id = ?", "DELETE FROM execution WHERE idempotency_id = ?")


class SqliteLedger:
    """Remembers in an SQLite file, on a local disk, that threads and processes of one machine may share.

    A claim lapses after `lease_s` seconds: whoever holds it is then taken to be dead, so it has to be longer than any
    handler takes; until then others see `in_progress`. `clock` gives seconds and is the same for all who share the file.
    Every step is on disk when it returns. A process opens its own ledger, after it forked. Nothing is forgotten until
    `prune`. Raises sqlite3.Error when the file cannot be used.
    """

    def __init__(
        self, path: str | PathLike[str], *, lease_s: float = 60.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._lease_s = lease_s
        self._clock = clock
        self._lock = Lock()
        self._process = os.getpid()
        self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction() as db:
            for statement in _TABLES:
                db.execute(statement)

    def close(self) -> None:
        """Close the file; the ledger is of no use afterwards."""
        with self._lock:
            self._db.close()

    def open(self, idempotency_id: str, effects: str, count: int) -> Opened:
        """As `Ledger.open`."""
        with self._transaction() as db:
            found = _opened(db, idempotency_id)
            if found is not None:
                return found
            db.execute("INSERT INTO execution VALUES (?, ?, ?)", (idempotency_id, effects, self._clock()))
            places = ((idempotency_id, place) for place in range(count))
            db.executemany("INSERT INTO effect (idempotency_id, place) VALUES (?, ?)", places)
            return Opened(effects, {})

    def look(self, idempotency_id: str) -> Opened | None:
        """As `Ledger.look`."""
        with self._transaction() as db:
            return _opened(db, idempotency_id)

    def begin(self, idempotency_id: str, index: int, *, repeatable: bool) -> Claim:
        """As `Ledger.begin`."""
        key = (idempotency_id, index)
        with self._transaction() as db:
            row = db.execute(_STATE, key).fetchone()
            if row is None:
                # It was finished by somebody else, and pruned, since this caller opened it.
                return Claim("in_progress")
            state, attempt, lapses_at, value, error = row
            now = self._clock()
            answer = claimable(state, lapsed=state == "begun" and lapses_at <= now, repeatable=repeatable)
            if answer == "yours":
                attempt += 1
                db.execute(_TAKE, (attempt, now + self._lease_s, *key))
            elif answer == "in_doubt":
                db.execute(_DOUBT, key)
            return Claim(answer, attempt, value, error)

    def done(self, idempotency_id: str, index: int, value: str) -> None:
        """As `Ledger.done`."""
        with self._transaction() as db:
            db.execute(_END, (value, idempotency_id, index))

    def failed(self, idempotency_id: str, index: int, attempt: int, error: str, *, in_doubt: bool) -> None:
        """As `Ledger.failed`."""
        state = "in_doubt" if in_doubt else "failed"
        with self._transaction() as db:
            db.execute(_FAIL, (state, error, idempotency_id, index, attempt))

    def settle(self, idempotency_id: str, index: int, *, happened: bool, value: object = None) -> bool:
        """As `Ledger.settle`; a claim that lapsed is in doubt too."""
        key = (idempotency_id, index)
        with self._transaction() as db:
            changed = db.execute(_SETTLE, (*key, self._clock()))
            if changed.rowcount and happened:
                db.execute(_END, (as_text(value), *key))
            return changed.rowcount == 1

    def unfinished(self) -> tuple[tuple[str, str], ...]:
        """As `Ledger.unfinished`."""
        with self._transaction() as db:
            return tuple(db.execute(_LEFT).fetchall())

    def prune(self, older_than_s: float) -> int:
        """Forget finished ids that were opened longer ago than this, in seconds; answers how many."""
        with self._transaction() as db:
            forgotten = db.execute(_OLD, (self._clock() - older_than_s,)).fetchall()
            for statement in _FORGET:
                db.executemany(statement, forgotten)
            return len(forgotten)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if os.getpid() != self._process:
            raise RuntimeError("this ledger was opened before the process forked: open one in each process")
        with self._lock:
            # IMMEDIATE takes the write lock at once, so that reading and writing are one step between processes.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _opened(db: sqlite3.Connection, idempotency_id: str) -> Opened | None:
    row = db.execute("SELECT effects FROM execution WHERE idempotency_id = ?", (idempotency_id,)).fetchone()
    if row is None:
        return None
    done = db.execute("SELECT place, value FROM effect WHERE idempotency_id = ? AND state = 'done'", (idempotency_id,))
    return Opened(row[0], dict(done.fetchall()))
