"""The journey of a notice to a webhook: due → claimed → published → sent → recorded; again and again until it arrives.

A claim is committed before anything is published or sent, and what came of it after the answer: whoever dies between the
two has the notice sent once more, under the same id.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from math import ceil
from typing import Any

import structlog
from kombu.exceptions import OperationalError
from sqlalchemy import Connection

from tactics import metrics
from tactics.celery_app import TacticsApp
from tactics.chain import TacticsTask
from tactics.config import Settings
from tactics.domain.webhook import Endpoint, Patience, message_body, message_id
from tactics.gateways.webhooks import Sent, send
from tactics.runtime import Runtime
from tactics.store import outbox, webhook_deliveries, webhooks
from tactics.store.outbox import Notice
from tactics.store.webhook_deliveries import DeliveryClaim

log = structlog.get_logger()

QUEUE = "webhooks"
TASK = "tactics.deliver_webhooks"
AT_ONCE = 8
"""So many notices are on their way to an endpoint at a time."""
BUDGET_S = 5.0
"""After so long a message ends, and lets others have the process; the sweeper goes on."""
ASIDE_S = 15.0
"""What reading and writing may take in a message, beside sending."""
REST = Patience(base_s=1.0, max_s=60.0)
"""How long an endpoint that fails is left alone."""


def claim_webhooks(app: TacticsApp, endpoint_id: str | None = None) -> list[DeliveryClaim]:
    """Take the deliveries that are due, of each endpoint that may be called; committed before anybody works on them."""
    settings = app.settings
    with app.runtime.engine.begin() as conn:
        return webhook_deliveries.claim_due(
            conn,
            most=settings.batch_size,
            claim_s=settings.claim_s,
            keep_trying_s=settings.webhook_keep_trying_s,
            endpoint_id=endpoint_id,
        )


def publish_webhooks(app: TacticsApp) -> int:
    """Publish what is due, a message for each endpoint; what cannot be published is due again later.

    Returns:
        How many deliveries were published.
    """
    claims = sorted(claim_webhooks(app), key=lambda one: (one.endpoint_id, one.outbox_id))
    published = 0
    for endpoint_id, group in groupby(claims, key=lambda one: one.endpoint_id):
        theirs = [[one.outbox_id, one.attempt] for one in group]
        try:
            app.tasks[TASK].apply_async((endpoint_id, theirs), retry=False)
        except (OperationalError, OSError) as error:
            log.warning("webhooks_not_published", deliveries=len(claims) - published, error=str(error))
            break
        published += len(theirs)
    return published


def deliver_webhooks(app: TacticsApp, claims: Sequence[DeliveryClaim]) -> None:
    """Send what was claimed to its endpoint, and go on with what is due there, while it answers and for a while.

    Args:
        app: database and settings.
        claims: of one endpoint; those that somebody took over are passed over.
    """
    until = time.monotonic() + BUDGET_S
    todo = list(claims)
    while todo:
        if not _deliver(app, todo, until) or time.monotonic() >= until:
            return
        todo = claim_webhooks(app, todo[0].endpoint_id)


def _deliver(app: TacticsApp, claims: Sequence[DeliveryClaim], until: float) -> bool:
    """Send a batch, some at a time; gives whether its endpoint is there for more."""
    runtime = app.runtime
    with runtime.engine.begin() as conn:
        todo = webhook_deliveries.still_ours(conn, claims)
        endpoint = webhooks.find(conn, claims[0].endpoint_id)
        if endpoint is None or not endpoint.enabled:
            webhooks.hold(conn, claims[0].endpoint_id)
            webhook_deliveries.release(conn, todo)
            return False
        notices = outbox.read(conn, [one.outbox_id for one in todo])
    known = [one for one in todo if one.outbox_id in notices]
    parts = [known[start : start + AT_ONCE] for start in range(0, len(known), AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number, part in enumerate(parts):
            wanted = [(endpoint, notices[one.outbox_id]) for one in part]
            sent = list(threads.map(lambda pair: _send(runtime, *pair), wanted))
            with runtime.engine.begin() as conn:
                goes_on = _record(runtime, conn, endpoint, list(zip(part, sent, strict=True)))
                if not goes_on or time.monotonic() >= until:
                    webhook_deliveries.release(conn, [one for rest in parts[number + 1 :] for one in rest])
                    return False
    return True


def _send(runtime: Runtime, endpoint: Endpoint, notice: Notice) -> Sent:
    body = message_body(notice.topic, notice.created_at, notice.payload)
    timeout_s = runtime.settings.webhook_timeout_ms / 1000
    return send(runtime.gateways.outbound, endpoint, message_id(notice.id), body, timeout_s)


def _record(
    runtime: Runtime, conn: Connection, endpoint: Endpoint, results: Sequence[tuple[DeliveryClaim, Sent]]
) -> bool:
    """Write down what came of some deliveries; gives whether the endpoint is there for more."""
    if not webhooks.hold(conn, endpoint.id):  # it was removed, and what waited for it too
        return False
    patience = patience_of(runtime.settings)
    for claim, sent in results:
        if sent.kind == "delivered":
            webhook_deliveries.settle(conn, claim, sent.status or 0, sent.text)
            metrics.WEBHOOK_DELIVERIES.count("delivered")
            continue
        wait_s = patience.wait_s(claim.attempt, sent.retry_after_s)
        parked = webhook_deliveries.fail(conn, claim, sent.status, sent.text, wait_s=wait_s, last=sent.kind == "gone")
        metrics.WEBHOOK_DELIVERIES.count("parked" if parked else "failed")
        log.info("webhook_failed", webhook=endpoint.id, outbox_id=claim.outbox_id, attempt=claim.attempt, why=sent.text)
    return _note_health(conn, endpoint, [sent for _, sent in results])


def _note_health(conn: Connection, endpoint: Endpoint, sent: Sequence[Sent]) -> bool:
    """Switch an endpoint off that wants nothing more; leave one alone that does not answer."""
    if any(one.kind == "gone" for one in sent):
        log.warning("webhook_disabled", webhook=endpoint.id, why="it answered 410 Gone")
        webhooks.disable(conn, endpoint.id, "it answered 410 Gone")
        return False
    unanswered = [one for one in sent if one.kind == "unanswered"]
    if unanswered:
        asked_s = max(one.retry_after_s for one in unanswered)
        webhooks.note_failure(conn, endpoint.id, REST.wait_s(endpoint.failures + 1, asked_s))
        return False
    webhooks.note_success(conn, endpoint.id)
    return True


def patience_of(settings: Settings) -> Patience:
    """Give how long deliveries are tried again."""
    return Patience(settings.webhook_retry_base_s, settings.webhook_retry_max_s)


def time_limit_s(settings: Settings) -> int:
    """Give how long a message may take: one that is killed records nothing, so what it sent would never be parked.

    The last notices are sent at the end of its budget, and each may take as long as a webhook may.
    """
    return max(settings.task_time_limit_s, ceil(BUDGET_S + settings.webhook_timeout_ms / 1000 + ASIDE_S))


def register(app: TacticsApp) -> None:
    """Make the task `tactics.deliver_webhooks`, on its own queue."""

    def deliver(_: TacticsTask, endpoint_id: str, deliveries: list[list[Any]]) -> None:
        deliver_webhooks(app, [DeliveryClaim(endpoint_id, outbox_id, attempt) for outbox_id, attempt in deliveries])

    limit_s = time_limit_s(app.settings)
    options = {"base": TacticsTask, "bind": True, "shared": False}
    app.task(name=TASK, time_limit=limit_s, soft_time_limit=limit_s - max(1, limit_s // 10), **options)(deliver)
    app.send_to(TASK, QUEUE)
