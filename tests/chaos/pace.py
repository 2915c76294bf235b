"""The clock of a run: load and faults go by it together, and it stands still while too much waits to be done.

So a slow machine takes longer for the same run, instead of being buried under a load that it could not have done without
any fault either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_LOOK_S = 0.25
# However much waits: a run whose backlog never shrinks goes on, and ends with what the checker finds.
_LONGEST = 6.0


class Pace:
    """Seconds of a run; runs while it is entered."""

    def __init__(self, backlog: Callable[[], int], most: int, seconds: float) -> None:
        """Say what is too much.

        Args:
            backlog: counts what waits; may raise while the database is away.
            most: the clock stands while more than this waits.
            seconds: how long a run is meant to be.
        """
        self._backlog, self._most = backlog, most
        self._stands_until_end = time.monotonic() + _LONGEST * seconds
        self._passed, self._since, self._stands = 0.0, time.monotonic(), False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        """Begin at zero."""
        self._since = time.monotonic()
        self._looking.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self._over.set()
        self._looking.join()

    def now(self) -> float:
        """Give the seconds that have passed while the clock went."""
        with self._lock:
            return self._passed + (0.0 if self._stands else time.monotonic() - self._since)

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            stands = time.monotonic() < self._stands_until_end and self._too_much()
            now = self.now()
            with self._lock:
                self._passed, self._since, self._stands = now, time.monotonic(), stands

    def _too_much(self) -> bool:
        try:
            return self._backlog() > self._most
        except Exception:  # noqa: BLE001  # it is away: that is what the run is about, and it goes on
            return self._stands
