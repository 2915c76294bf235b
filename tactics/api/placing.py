"""Placements in this process: so many at a time, each answered by its deadline, and none begun that cannot be.

A placement runs in a thread; who waits for it waits here, and gives it up at the deadline. What a thread has not
committed by then, it never will.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tactics.celery_app import TacticsApp
from tactics.domain.placement import PlacementAnswer, PlacementRequest
from tactics.errors import DatabaseDown, Overloaded, TacticsError
from tactics.flows.placement import answer, counted
from tactics.flows.recording import give_up
from tactics.flows.visit import Visit, begin

log = structlog.get_logger()

# What one placement takes, as the average of the last ones; one more counts so much.
_WEIGHT = 0.05
# Of its deadline, a placement needs so much to be left when a thread has it.
_WORKING_SHARE = 0.5
# A database that hangs is not waited for.
_GIVING_UP_S = 1.0
# What giving up and the answer itself may take, so that who waits has it by the deadline.
_ANSWERING_S, _ANSWERING_SHARE = 0.06, 0.1


@dataclass(slots=True)
class _Attempt:
    """A placement on its way: who waits and who works meet here."""

    request: PlacementRequest
    visit: Visit | None = None
    given_up: bool = False
    lock: Lock = field(default_factory=Lock)

    def found(self, visit: Visit) -> bool:
        """Note what was found; tells whether anybody still waits for it."""
        with self.lock:
            self.visit = visit
            return not self.given_up

    def leave(self) -> Visit | None:
        """Stop waiting; gives the visit if it has begun."""
        with self.lock:
            self.given_up = True
            return self.visit


class Placing:
    """Answers placements for one process of the API."""

    def __init__(self, app: TacticsApp) -> None:
        self._app = app
        self._threads = app.settings.api_threads
        self._pool = ThreadPoolExecutor(self._threads, "placement")
        self._leaving = ThreadPoolExecutor(2, "give-up")
        self._inside = 0
        self._takes_s = 0.005

    def close(self) -> None:
        """End, once what is being answered is."""
        self._pool.shutdown()
        self._leaving.shutdown()

    async def answer(self, request: PlacementRequest, arrived_at: float | None = None) -> PlacementAnswer:
        """Answer a placement by its deadline, and count it.

        Args:
            request: who visits what.
            arrived_at: when the request came in, by `time.monotonic`: the deadline counts from then.

        Returns:
            The answer; not complete where the deadline passed first: what is not committed by then never will be.

        Raises:
            Overloaded: it would not have been answered in time, so nothing of it was begun.
            BadInput, UnknownChannel, IdempotencyConflict, Busy: as `tactics.flows.placement.visit`.
        """
        with counted() as note:
            return note(await self._answer(request, arrived_at))

    async def _answer(self, request: PlacementRequest, arrived_at: float | None) -> PlacementAnswer:
        deadline_s = (request.deadline_ms or self._app.settings.placement_deadline_ms) / 1000
        now = time.monotonic()
        left_s = deadline_s - (now - (arrived_at or now)) - min(_ANSWERING_S, _ANSWERING_SHARE * deadline_s)
        ahead = max(0, self._inside + 1 - self._threads)
        if left_s - ahead * self._takes_s / self._threads < _WORKING_SHARE * deadline_s:
            raise Overloaded("more placements wait than can be answered in time; this one was not begun")
        self._inside += 1
        attempt = _Attempt(replace(request, deadline_ms=int(left_s * 1000)))
        job = self._pool.submit(self._work, attempt)
        future = asyncio.wrap_future(job)
        future.add_done_callback(self._ended)
        await asyncio.wait({future}, timeout=left_s)
        if not job.done():
            return await self._give_up(attempt, job)
        found = await future
        if found is None:  # pragma: no cover  # only who left leaves nothing
            raise Overloaded("the placement could not be begun in time")
        return found

    async def _give_up(self, attempt: _Attempt, job: Future[PlacementAnswer | None]) -> PlacementAnswer:
        visit = attempt.leave()
        if visit is None:
            job.cancel()  # if no thread has it yet, none will
            raise Overloaded("the placement could not be begun in time; nothing of it was")
        leaving = asyncio.wrap_future(self._leaving.submit(give_up, visit))
        await asyncio.wait({leaving}, timeout=_GIVING_UP_S)
        if not leaving.done():
            leaving.add_done_callback(lambda one: one.cancelled() or one.exception())  # nobody hears of it any more
            raise DatabaseDown("the deadline passed, and the database does not say what became of the placement")
        return leaving.result()

    def _ended(self, future: asyncio.Future[PlacementAnswer | None]) -> None:
        self._inside -= 1
        if not future.cancelled() and (error := future.exception()) is not None and not _foreseen(error):
            log.warning("placement_failed", error=type(error).__name__)

    def _work(self, attempt: _Attempt) -> PlacementAnswer | None:
        if attempt.given_up:
            return None
        started = time.perf_counter()
        visit = begin(self._app, attempt.request)
        if not attempt.found(visit):
            return None
        found = answer(visit)
        self._takes_s += _WEIGHT * (time.perf_counter() - started - self._takes_s)
        return found


def _foreseen(error: BaseException) -> bool:
    return isinstance(error, TacticsError | SQLAlchemyError)
