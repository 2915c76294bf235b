"""The barrier between two rounds: everything accepted so far has ended, so what comes next finds the same each time."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

from tactics.errors import TacticsError

POLL_S = 0.005
CHECK_EVERY_S = 0.5
PATIENCE_S = 180.0
"""How long nothing may end before the replay gives up; longer than a lost message waits for the sweeper."""

# What is not done has a time at which the sweeper would look at it: partial indexes that hold nothing else.
_BUSY = text("""
    SELECT EXISTS (SELECT FROM event WHERE next_attempt_at IS NOT NULL)
        OR EXISTS (SELECT FROM execution WHERE next_attempt_at IS NOT NULL)
""")
_UNFINISHED = text("""
    SELECT (SELECT count(*) FROM event
            WHERE routed_at IS NULL AND parked_reason IS NULL AND abandoned_at IS NULL)
         + (SELECT count(*) FROM execution WHERE finished_at IS NULL)
""")


class NeverQuiet(TacticsError):
    """What was accepted does not come to an end."""

    code = "never_quiet"


def unfinished(conn: Connection) -> int:
    """Count the events and executions that have not ended."""
    found: int = conn.execute(_UNFINISHED).scalar_one()
    return found


def wait_until_done(
    engine: Engine, check: Callable[[], None] = lambda: None, *, patience_s: float = PATIENCE_S
) -> None:
    """Wait until everything that was accepted has ended.

    Args:
        engine: the database.
        check: called now and then; raises when waiting is in vain, because the workers are gone.
        patience_s: seconds in which at least something must end.

    Raises:
        NeverQuiet: nothing ended for so long; with the number of the unfinished.
    """
    left, changed_at, checked_at = -1, time.monotonic(), time.monotonic()
    # One connection: what is asked every few milliseconds is prepared once, and each statement sees what is committed.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        while conn.execute(_BUSY).scalar_one():
            now = time.monotonic()
            if now - checked_at >= CHECK_EVERY_S:
                check()
                checked_at, before, left = now, left, unfinished(conn)
                changed_at = now if left != before else changed_at
            if now - changed_at > patience_s:
                raise NeverQuiet(
                    f"{left} events and executions have not ended, and none did for {patience_s:.0f} seconds",
                    unfinished=left,
                )
            time.sleep(POLL_S)
