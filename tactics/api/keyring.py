"""The valid API keys, as a process that serves knows them: read whole, every few seconds, beside the requests.

So a request asks no database who its caller is, and guesses cost the database nothing. What a guess can do is have the
keys read again, for its key may just have been made: at most a few times a second, whoever guesses how much. A few wait
for that; the others are told at once that there is no such key.

When the database does not answer, the keys known last stay valid for a while, and about others nothing can be said.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from sqlalchemy import Engine

from tactics import metrics
from tactics.config import Settings
from tactics.domain.api_key import ApiKey
from tactics.errors import DatabaseDown
from tactics.store import api_keys
from tactics.store.api_keys import Keys
from tactics.store.db import make_engine

FRESH_S = 5.0
"""A key that was revoked is refused after so long at the latest."""
AHEAD_S = 2.5
"""Keys this old are read again while requests go on with them."""
OUTAGE_S = 300.0
"""Known keys stay valid for so long while the database does not answer."""
PATIENCE_S = 1.0
"""A reading that takes longer is an outage; and after one, nobody tries again for so long."""
AGAIN_S = 0.25
"""Readings that guesses cause are this far apart."""
GUESSERS = 8
"""So many wait at a time for a key that may just have been made: each is a request inside, in the place of another."""
OUT_S = 10.0
"""So long after a failed reading, requests of known keys do not wait for the next."""
USE_NOTED_S = 60.0
_UNREADABLE = "the API keys cannot be read"

_LOG = logging.getLogger(__name__)


@dataclass
class _Reading:
    """The keys as they were read; `begun_at` is when the reading began, on the monotonic clock."""

    keys: Keys
    begun_at: float


@dataclass
class Keyring:
    """Knows the valid keys. Its work is done by one thread of its own: requests wait for no other's connection.

    `read` gives all keys, and `note_use` writes that some are used; both run in that thread.
    """

    read: Callable[[], Keys]
    note_use: Callable[[Collection[str]], None]
    clock: Callable[[], float] = time.monotonic
    _known: _Reading | None = None
    _failed_at: float = float("-inf")
    _under_way: tuple[Future[None], float] | None = None
    _guessing: int = 0
    _noted: dict[str, float] = field(default_factory=dict)
    _to_note: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "tactics-keys"))

    async def find(self, key_id: str) -> ApiKey | None:
        """Give the valid key of this id; None when there is none.

        Raises:
            DatabaseDown: nobody can tell at this moment.
        """
        asked_at = self.clock()
        known = self._known
        if known is None or (known.begun_at < asked_at - FRESH_S and not self._out(asked_at)):
            known = await self._read_since(asked_at - FRESH_S)
        elif known.begun_at < asked_at - AHEAD_S:
            self._begin(asked_at, asked_at - AHEAD_S)
        if known is not None and asked_at - known.begun_at <= OUTAGE_S:
            found = known.keys.by_id.get(key_id)
            if found is not None:
                return found
        if known is not None and known.begun_at < asked_at:
            if self._guessing >= GUESSERS and asked_at - known.begun_at <= FRESH_S:
                return None
            known = await self._read_again(known, asked_at)
        if known is None or known.begun_at < asked_at:
            raise DatabaseDown(_UNREADABLE)
        return known.keys.by_id.get(key_id)

    async def none_ever_made(self) -> bool:
        """Tell whether no key was ever made. One that has expired still says that callers are to be told apart.

        Raises:
            DatabaseDown: nobody can tell at this moment.
        """
        asked_at = self.clock()
        fresh_from = asked_at - FRESH_S
        known = await self._read_since(fresh_from)
        if known is not None and known.begun_at < asked_at - AHEAD_S:
            self._begin(asked_at, asked_at - AHEAD_S)
        if known is None or known.begun_at < fresh_from:
            raise DatabaseDown(_UNREADABLE)
        return not known.keys.ever_made

    def used(self, key_id: str) -> None:
        """Take note that a key is used; it is written once a minute, and nobody waits for that."""
        now = self.clock()
        if now - self._noted.get(key_id, float("-inf")) < USE_NOTED_S:
            return
        if len(self._noted) > 2 * len(self._known.keys.by_id if self._known else ()):
            self._noted.clear()
        self._noted[key_id] = now
        with self._lock:
            first = not self._to_note
            self._to_note.add(key_id)
        if first:
            self._thread.submit(self._note)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _out(self, now: float) -> bool:
        """Tell whether the database did not answer lately: then nobody waits for it who need not."""
        return now - self._failed_at < OUT_S

    async def _read_again(self, known: _Reading, asked_at: float) -> _Reading | None:
        """Give the keys as they are now, a little later: one may have been made a moment ago."""
        self._guessing += 1
        try:
            await asyncio.sleep(max(0.0, known.begun_at + AGAIN_S - self.clock()))
            return await self._read_since(asked_at)
        finally:
            self._guessing -= 1

    async def _read_since(self, wanted: float) -> _Reading | None:
        """Give the keys as they were read at `wanted` or later, if that can be had soon; else as they are known."""
        now = self.clock()
        while self._known is None or self._known.begun_at < wanted:
            reading = self._begin(now, wanted)
            if reading is None:
                break
            future, begun_at = reading
            await asyncio.wait({asyncio.wrap_future(future)}, timeout=max(0.0, begun_at + PATIENCE_S - now))
            now = self.clock()
            # One that was under way already may have begun too early to know.
            if not future.done():
                break
        return self._known

    def _begin(self, now: float, wanted: float) -> tuple[Future[None], float] | None:
        """Have the keys read, unless that is under way; None when they are as new as wanted, or it is better not to try."""
        with self._lock:
            if self._under_way is None or self._under_way[0].done():
                newest = self._known.begun_at if self._known is not None else float("-inf")
                if newest >= wanted or now - self._failed_at < PATIENCE_S:
                    return None
                self._under_way = (self._thread.submit(self._read, now), now)
            return self._under_way

    def _read(self, begun_at: float) -> None:
        try:
            self._known = _Reading(self.read(), begun_at)
            metrics.KEYS_READ_AT.set(time.time() - (self.clock() - begun_at))
        except Exception as error:  # noqa: BLE001  # whatever it is: nobody comes in by it, and the next one tries again
            self._failed_at = self.clock()
            metrics.KEYS_FAILURES.count()
            _LOG.warning("%s: %s", _UNREADABLE, _first_line(error))

    def _note(self) -> None:
        with self._lock:
            used, self._to_note = self._to_note, set()
        if self._out(self.clock()):
            return
        try:
            self.note_use(used)
        except Exception as error:  # noqa: BLE001  # it is for people's eyes only: the next minute tries again
            self._failed_at = self.clock()
            _LOG.warning("the use of API keys cannot be written: %s", _first_line(error))


def open_keyring(settings: Settings) -> tuple[Keyring, Engine]:
    """Make the keyring of a process, over a connection of its own; nothing connects yet.

    Returns:
        It, and the engine to dispose of when it is closed.
    """
    engine = make_engine(
        settings.database_url, pool_size=1, statement_timeout_ms=2_000, autocommit=True, vanished_ms=5_000
    )

    def read_once() -> Keys:
        with engine.connect() as conn:
            return api_keys.read_all(conn)

    def read() -> Keys:
        try:
            return read_once()
        except DatabaseDown:
            # When the server was started anew, the connection that was kept leads nowhere.
            return read_once()

    def note_use(key_ids: Collection[str]) -> None:
        with engine.connect() as conn:
            api_keys.note_use(conn, key_ids)

    return Keyring(read, note_use), engine


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
