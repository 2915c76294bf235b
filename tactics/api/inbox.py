"""The inbox: events that come in at the same time are committed together, and nobody is told before they are.

A commit costs about the same for one event as for a hundred. While one is being written, what comes in waits for the
next; alone, an event waits for nobody.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tactics import metrics
from tactics.api.limits import ACCEPT_PATIENCE_S
from tactics.celery_app import TacticsApp
from tactics.errors import DatabaseDown, Overloaded, TacticsError
from tactics.flows.accepting import Reading, Receipt, read_events, store_events
from tactics.flows.action import publish_routing
from tactics.store import events
from tactics.store.db import make_engine
from tactics.store.events import Ref

log = structlog.get_logger()

Messages = Sequence[Mapping[str, Any]]

TOGETHER = 500
"""So many events are committed at once; a request with more is a commit of its own."""
LOOK_EVERY_S = 1.0
_KEPT_REFS = 20_000
# How long the last commit and the last messages may take when the process ends.
_ENDING_S = 5.0
_SOON_S = 2.0
# A message costs as much for one event as for a hundred, here and in the worker: so much it waits for others.
_GATHER_S = 0.005


@dataclass(slots=True)
class _Waiting:
    """One request's events, on their way into a commit."""

    read: Reading
    answer: asyncio.Future[list[Receipt]]


class Inbox:
    """Accepts events for one process of the API. Use it between `start` and `stop`, on one event loop."""

    def __init__(self, app: TacticsApp) -> None:
        self._app = app
        self._queue: deque[_Waiting] = deque()
        self._events = 0
        self._more, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._committing = ThreadPoolExecutor(1, "inbox")
        self._publisher = Publisher(app)
        settings = app.settings
        # Of its own: nobody else's work keeps events waiting for a connection, and a statement ends before its patience.
        self._engine = make_engine(
            settings.database_url, pool_size=1, statement_timeout_ms=int(800 * ACCEPT_PATIENCE_S), autocommit=True
        )
        self._backlogged = False
        self._ahead = timedelta()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._commit_all()), asyncio.create_task(self._watch())]

    async def stop(self) -> None:
        """End: what waits is committed first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_S):
                await self._idle.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A database or broker that hangs does not keep the process: what is not committed was not accepted, and what is
        # not published, the sweeper finds.
        self._committing.shutdown(wait=False, cancel_futures=True)
        await self._publisher.close(_ENDING_S)
        self._engine.dispose()

    async def accept(self, messages: Messages) -> list[Receipt]:
        """Commit events, and wake the workers up.

        Args:
            messages: CloudEvents in the JSON format.

        Returns:
            A receipt for each, in order; `accepted` is committed.

        Raises:
            Overloaded: too much waits already, here or to be routed: none of these was accepted.
            DatabaseDown: nobody knows whether they are stored; sent again with the same ids, they are stored once.
        """
        if self._backlogged:
            raise Overloaded("more events wait to be routed than TACTICS_MAX_BACKLOG; none of these was accepted")
        if self._events and self._events + len(messages) > self._app.settings.api_max_waiting_events:
            raise Overloaded("too many events are being accepted at this moment; none of these was")
        if not messages:
            return []
        now = datetime.now(UTC) + self._ahead
        read = read_events(self._app.settings, messages, now)
        one = _Waiting(read, asyncio.get_running_loop().create_future())
        self._queue.append(one)
        self._count(len(messages))
        self._idle.clear()
        self._more.set()
        done, _ = await asyncio.wait({one.answer}, timeout=ACCEPT_PATIENCE_S)
        if done:
            return one.answer.result()
        raise DatabaseDown("the database did not answer in time: send these events again, with the same ids")

    async def _commit_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._more.wait()
            self._more.clear()
            while self._queue:
                together = self._take()
                try:
                    await loop.run_in_executor(self._committing, self._commit, together, loop.call_soon_threadsafe)
                except Exception as error:  # one bad commit ends nothing but itself
                    log.exception("events_not_committed")
                    _fail(together, _told(error))
                finally:
                    self._count(-sum(one.read.count for one in together))
            if not self._events:
                self._idle.set()

    def _count(self, more: int) -> None:
        self._events += more
        metrics.INBOX_WAITING.set(self._events)

    def _take(self) -> list[_Waiting]:
        found = [self._queue.popleft()]
        size = found[0].read.count
        while self._queue and size + self._queue[0].read.count <= TOGETHER:
            found.append(self._queue.popleft())
            size += found[-1].read.count
        return found

    def _commit(self, together: Sequence[_Waiting], soon: Callable[..., object]) -> None:
        """Accept what requests brought; where it cannot be stored together, each request stands for itself."""
        try:
            with self._engine.connect() as conn:
                receipts, refs = store_events(self._app, conn, [one.read for one in together])
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait are told
            if len(together) > 1 and not isinstance(error, DatabaseDown):
                for one in together:
                    self._commit([one], soon)
                return
            log.warning("events_not_stored", events=sum(one.read.count for one in together), error=type(error).__name__)
            soon(_fail, together, _told(error))
            return
        soon(_answer, together, receipts)
        self._publisher.publish(refs)

    async def _watch(self) -> None:
        while True:
            with suppress(TacticsError, SQLAlchemyError):
                await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """See how much waits to be routed, and how far this machine's clock is behind the database's."""
        most = self._app.settings.max_backlog
        with self._app.runtime.reading() as conn:
            count, now = events.backlog(conn, most + 1 if most else 0)
        self._backlogged = bool(most) and count > most
        self._ahead = now - datetime.now(UTC)
        metrics.INBOX_REFUSING.set(int(self._backlogged))


class Publisher:
    """Publishes what is to be routed, in a thread of its own: a broker that is away holds nobody up."""

    def __init__(self, app: TacticsApp) -> None:
        self._app = app
        self._refs: deque[Ref] = deque(maxlen=_KEPT_REFS)  # what falls out, the sweeper finds
        self._more = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._publish_all, name="publisher", daemon=True)
        self._thread.start()

    def publish(self, refs: Sequence[Ref]) -> None:
        """Publish soon."""
        self._refs.extend(refs)
        if refs:
            self._more.set()

    async def close(self, patience_s: float) -> None:
        """Publish what is left, and end; after so many seconds, end."""
        self._ending = True
        self._more.set()
        await asyncio.to_thread(self._thread.join, patience_s)

    def _publish_all(self) -> None:
        while not self._ending or self._refs:
            self._more.wait()
            self._more.clear()
            while self._refs:
                if len(self._refs) < self._app.settings.batch_size:
                    time.sleep(_GATHER_S)
                self._publish_some()

    def _publish_some(self) -> None:
        size = min(len(self._refs), self._app.settings.batch_size)
        refs = [self._refs.popleft() for _ in range(size)]
        try:
            published = publish_routing(self._app, refs)
        except Exception as error:  # noqa: BLE001  # they are stored: whatever it is, the sweeper publishes them
            log.warning("routing_not_published", events=size, error=type(error).__name__)
            published = False
        if not published:
            self._leave_to_the_sweeper([*refs, *(self._refs.popleft() for _ in range(len(self._refs)))])

    def _leave_to_the_sweeper(self, refs: Sequence[Ref]) -> None:
        """Make them due soon: not only when a published attempt would have been given up."""
        with suppress(TacticsError, SQLAlchemyError), self._app.runtime.engine.begin() as conn:
            events.postpone(conn, refs, _SOON_S)


def _answer(together: Sequence[_Waiting], receipts: Sequence[list[Receipt]]) -> None:
    for one, found in zip(together, receipts, strict=True):
        if not one.answer.done():
            one.answer.set_result(found)


def _fail(together: Sequence[_Waiting], error: Exception) -> None:
    for one in together:
        if not one.answer.done():
            one.answer.set_exception(error)
            one.answer.exception()  # whoever waited may have gone


def _told(error: Exception) -> Exception:
    if isinstance(error, TacticsError):
        return error
    return DatabaseDown(f"the events could not be stored: {type(error).__name__}")
