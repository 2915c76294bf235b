"""An event loop in a thread beside: what runs in it can be cancelled at any moment, so a whole call can have one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopBeside:
    """An event loop that starts with its first work, so that a fork before that does no harm."""

    def __init__(self, name: str) -> None:
        """Keep what the thread will be called."""
        self._name = name
        self._starting = Lock()
        self._running: tuple[asyncio.AbstractEventLoop, Thread] | None = None

    def start(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin some work, and give what it will come to; cancelling that cancels the work."""
        with self._starting:
            if self._running is None:
                loop = asyncio.new_event_loop()
                thread = Thread(target=loop.run_forever, name=self._name, daemon=True)
                thread.start()
                self._running = loop, thread
            return asyncio.run_coroutine_threadsafe(work, self._running[0])

    def close(self, last: Coroutine[Any, Any, None] | None = None) -> None:
        """Do the last work, where anything was ever begun, and end the thread."""
        with self._starting:
            running, self._running = self._running, None
        if running is None:
            if last is not None:
                last.close()
            return
        loop, thread = running
        if last is not None:
            asyncio.run_coroutine_threadsafe(last, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
