"""How long a claimed attempt has before the sweeper repeats it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func

MOST_DOUBLINGS = 5


def next_claim_at(attempts: ColumnElement[int], claim_s: float) -> ColumnElement[Any]:
    """Give when an attempt that is claimed now is due again, if nothing is heard of it.

    Each attempt has twice as long as the one before. Mostly nothing was lost: the message only waits in a long queue,
    and to repeat it again and again would make the queue longer, and use the attempts up before the first one ran.

    Args:
        attempts: how many there were before this one.
        claim_s: what the first one had, in seconds.
    """
    factor = func.power(2, func.least(attempts, MOST_DOUBLINGS))
    return func.clock_timestamp() + timedelta(seconds=claim_s) * factor
