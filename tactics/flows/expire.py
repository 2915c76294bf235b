"""Assets expire when their time has come, not only when their user comes back: others are told then."""

from __future__ import annotations

from tactics.runtime import Runtime
from tactics.store import expiry

BATCH = 200
MOST_BATCHES = 10


def expire_due(runtime: Runtime) -> int:
    """Expire assets that are due, some at a time, each batch in a transaction of its own.

    In replay business time is the events': what they say then expires.

    Returns:
        How many instances had assets that expired.
    """
    if runtime.settings.replay:
        return 0
    total = 0
    for _ in range(MOST_BATCHES):
        with runtime.engine.begin() as conn:
            gone_through = expiry.expire(conn, runtime.now(conn), BATCH)
        total += gone_through
        if not gone_through:
            break
    return total
