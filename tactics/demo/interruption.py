"""Ctrl-C between two steps of the replay.

Python raises KeyboardInterrupt wherever it happens to be. Inside the database driver that comes out as another error
(psycopg 3.3: `IndexError`), which a step of a placement would record as its own failure, and the replay would go on.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Interruption:
    """Whether somebody pressed Ctrl-C. While `patient`, the first time is only noted; the second time counts at once."""

    def __init__(self) -> None:
        """Nobody has, and it counts at once."""
        self.noted = False
        self.patient = False

    def handle(self, *_: object) -> None:
        """Note Ctrl-C; what the signal calls."""
        first, self.noted = not self.noted, True
        if not (self.patient and first):
            raise KeyboardInterrupt

    def check(self) -> None:
        """Stop here when it was noted.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.noted:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Take care of Ctrl-C for a while; in the main thread only.

    Raises:
        KeyboardInterrupt: also in place of whatever else came of Ctrl-C.
    """
    one = Interruption()
    before = signal.signal(signal.SIGINT, one.handle)
    try:
        yield one
    except Exception:
        one.check()
        raise
    finally:
        signal.signal(signal.SIGINT, before)
