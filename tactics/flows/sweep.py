"""What beat starts: events and executions whose time has come get another attempt, whoever lost the last one.

Claiming is committed before anything is published, so a message carries an attempt that nobody else has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import OperationalError

from tactics import metrics
from tactics.celery_app import TacticsApp
from tactics.chain import TacticsTask, publish_chain
from tactics.choosing import decided
from tactics.errors import TacticsError
from tactics.flows.action import publish_routing
from tactics.flows.behaviour import remaining_steps
from tactics.flows.expire import expire_due
from tactics.flows.reconcile import reconcile
from tactics.flows.settle import publish_settling
from tactics.flows.webhook_delivery import publish_webhooks
from tactics.store import events, executions, held, limits, outside_grants, partitions, webhook_deliveries

log = structlog.get_logger()

MOST = 1_000
FORGET_EVERY_S = 600
_FORGOTTEN_AT = "forgotten_at"


def sweep(app: TacticsApp) -> dict[str, int]:
    """Publish what is due again, expire assets, reconcile tagged answers, and keep next months' partitions ready.

    A part that fails keeps none of the others from their work.

    Returns:
        How many events, executions, grants and deliveries were published, how many instances had assets that expired, and
        how many answers were reconciled.

    Raises:
        Exception: what a part raised, once the others are done.
    """
    done: dict[str, int] = {}
    failures: list[Exception] = []
    for name, part in _PARTS:
        try:
            done[name] = part(app)
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:  # noqa: BLE001  # raised below
            log.warning("sweep_failed", part=name, error=type(error).__name__)
            failures.append(error)
    metrics.SWEEPS.count()
    for name in ("events", "executions", "grants", "webhooks", "reconciled"):
        metrics.SWEPT.count(name, by=done.get(name, 0))
    if any(done.values()):
        log.info("swept", **done)
    if failures:
        raise failures[0]
    return done


def _events(app: TacticsApp) -> int:
    settings = app.settings
    with app.runtime.engine.begin() as conn:
        refs = events.claim_due(conn, limit=MOST, claim_s=settings.claim_s, max_attempts=settings.max_attempts)
    publish_routing(app, refs)
    return len(refs)


def _executions(app: TacticsApp) -> int:
    settings = app.settings
    with app.runtime.engine.begin() as conn:
        due = executions.claim_due(conn, limit=MOST, claim_s=settings.claim_s, max_attempts=settings.max_attempts)
    return publish_claims(app, due) + let_go(app)


def _grants(app: TacticsApp) -> int:
    with app.runtime.engine.begin() as conn:
        unsettled = outside_grants.claim_due(conn, limit=MOST, claim_s=app.settings.claim_s)
    publish_settling(app, unsettled)
    return len(unsettled)


def _expired(app: TacticsApp) -> int:
    return expire_due(app.runtime)


def _reconciled(app: TacticsApp) -> int:
    return reconcile(app.runtime)


def _months(app: TacticsApp) -> int:
    with app.runtime.engine.begin() as conn:
        partitions.ensure_months(conn)
    return 0


def _forgotten(app: TacticsApp) -> int:
    """Delete, now and then, what nobody will ask for: counters of minutes long over, notices to webhooks that are gone."""
    runtime = app.runtime
    now, last = time.monotonic(), runtime.shared.get(_FORGOTTEN_AT)
    if isinstance(last, float) and now - last < FORGET_EVERY_S:
        return 0
    runtime.shared[_FORGOTTEN_AT] = now
    with runtime.engine.begin() as conn:
        if not runtime.settings.replay:  # where no minute is over
            limits.forget_minutes(conn)
        webhook_deliveries.delete_orphans(conn, MOST)
    return 0


_PARTS: tuple[tuple[str, Callable[[TacticsApp], int]], ...] = (
    ("events", _events),
    ("executions", _executions),
    ("grants", _grants),
    ("expired", _expired),
    ("webhooks", publish_webhooks),
    ("reconciled", _reconciled),
    ("months", _months),
    ("forgotten", _forgotten),
)


def let_go(app: TacticsApp, *, code: str | None = None) -> int:
    """Start executions that waited for activities which had paused themselves and are live again, the oldest first.

    Args:
        app: database and broker.
        code: only those of this activity.

    Returns:
        How many were published; where they were MOST, there may be more.
    """
    begins_now = not app.settings.replay
    with app.runtime.engine.begin() as conn:
        claims = held.let_go(conn, limit=MOST, claim_s=app.settings.claim_s, code=code, begins_now=begins_now)
    return publish_claims(app, claims)


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
