"""The clock of a run."""

from __future__ import annotations

import time

from tests.chaos.pace import Pace
from tests.delivery.waiting import until


def test_the_clock_stands_while_too_much_waits_and_then_goes_on() -> None:
    """It goes while little waits and while nobody can tell, stands while too much does, and loses nothing by standing."""
    waiting = 0

    def backlog() -> int:
        if waiting < 0:
            raise OSError
        return waiting

    with Pace(backlog, 10, 60.0) as pace:
        begun = time.monotonic()
        until(lambda: pace.now() > 0.1, "it goes")
        waiting = 11
        until(lambda: pace.now() < time.monotonic() - begun - 0.3, "it stands")
        stood = pace.now()
        waiting = -1
        until(lambda: time.monotonic() - begun > stood + 0.9, "time passes")
        assert pace.now() == stood
        waiting = 10
        until(lambda: pace.now() > stood, "it goes on")
        assert pace.now() < time.monotonic() - begun
