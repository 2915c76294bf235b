"""Answers given while the asset query failed are tagged; here they are compared with what is true (C-39)."""

from __future__ import annotations

import structlog

from tactics.errors import GatewayError
from tactics.runtime import Runtime
from tactics.store import executions

log = structlog.get_logger()

MOST = 100


def reconcile(runtime: Runtime) -> int:
    """Look at tagged executions again, now that assets can be asked for.

    Nothing has to be taken back: the unique count kept a second grant from happening. What is logged is whether the
    answer fell short, because the user could have had a new benefit and was shown the replay of the first.

    Returns:
        How many were looked at.
    """
    with runtime.engine.begin() as conn:
        tagged = executions.unreconciled(conn, MOST)
        done = 0
        for row in tagged:
            try:
                held = runtime.gateways.assets.of_instance(row.user_id, row.activity_code)
            except GatewayError:
                break
            usable = any(one.status in {"available", "claimed"} for one in held)
            fell_short = row.outcome == "replayed" and not usable
            executions.set_reconciled(conn, row)
            log.info("reconciled", execution=str(row.id), outcome=row.outcome, fell_short=fell_short)
            done += 1
    return done
