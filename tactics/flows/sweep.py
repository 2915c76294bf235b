"""What beat starts: events and executions whose time has come get another attempt, whoever lost the last one.

Claiming is committed before anything is published, so a message carries an attempt that nobody else has.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from kombu.exceptions import OperationalError

from tactics import metrics
from tactics.celery_app import TacticsApp
from tactics.chain import TacticsTask, publish_chain
from tactics.choosing import decided
from tactics.errors import TacticsError
from tactics.flows.action import publish_routing
from tactics.flows.behaviour import remaining_steps
from tactics.flows.reconcile import reconcile
from tactics.store import events, executions, partitions

log = structlog.get_logger()

MOST = 1_000


def sweep(app: TacticsApp) -> dict[str, int]:
    """Publish what is due again, reconcile tagged answers, and keep next months' partitions ready.

    Returns:
        How many events and executions were published again, and how many answers reconciled.
    """
    runtime, settings = app.runtime, app.settings
    claim_s, max_attempts = settings.claim_s, settings.max_attempts
    with runtime.engine.begin() as conn:
        refs = events.claim_due(conn, limit=MOST, claim_s=claim_s, max_attempts=max_attempts)
    publish_routing(app, refs)
    with runtime.engine.begin() as conn:
        due = executions.claim_due(conn, limit=MOST, claim_s=claim_s, max_attempts=max_attempts)
    published = publish_claims(app, due)
    reconciled = reconcile(runtime)
    with runtime.engine.begin() as conn:
        partitions.ensure_months(conn)
    metrics.SWEEPS.count()
    metrics.SWEPT.count("events", by=len(refs))
    metrics.SWEPT.count("executions", by=published)
    metrics.SWEPT.count("reconciled", by=reconciled)
    if refs or due or reconciled:
        log.info("swept", events=len(refs), executions=published, reconciled=reconciled)
    return {"events": len(refs), "executions": published, "reconciled": reconciled}


def publish_claims(app: TacticsApp, due: Sequence[executions.Claim]) -> int:
    """Publish claimed executions from the step where each goes on.

    Returns:
        How many were published; what could not be is due again later.
    """
    for count, claim in enumerate(due):
        with app.runtime.reading() as conn:
            row = executions.find(conn, claim.id)
        if row is None:
            continue
        try:
            row = decided(app.runtime, app, row)
            publish_chain(app, remaining_steps(app, row), row, claim.attempt)
        except TacticsError as error:  # its own trouble: the others go on
            log.warning("cannot_go_on", execution=str(row.id), error=error.message)
            wait_s = app.settings.claim_s
            with app.runtime.engine.begin() as conn:
                executions.postpone(conn, row, attempt=claim.attempt, wait_s=wait_s, reason=error.message, waits=True)
        except (OperationalError, OSError) as error:
            log.warning("not_published", executions=len(due) - count, error=str(error))
            return count
    return len(due)


def register(app: TacticsApp) -> None:
    """Make the task `tactics.sweep`."""

    def run_sweep(_: TacticsTask) -> None:
        sweep(app)

    app.task(name="tactics.sweep", base=TacticsTask, bind=True, shared=False)(run_sweep)
    app.send_to("tactics.sweep", "ops")
