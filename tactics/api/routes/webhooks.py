"""`/v1/webhooks`: who is told of what happens, and what is on its way to them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response

from tactics.api import examples_webhooks as examples
from tactics.api.access import Acting, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_number
from tactics.api.examples_assets import sent, told
from tactics.api.problems import described
from tactics.api.schemas_webhooks import (
    DeliveriesRetried,
    DeliveryAnswer,
    DeliveryList,
    DeliveryRetry,
    RotateAnswer,
    RotateRequest,
    TriedAnswer,
    WebhookAdded,
    WebhookAnswer,
    WebhookId,
    WebhookList,
    WebhookRequest,
)
from tactics.domain.webhook import NewEndpoint
from tactics.flows import webhook as flow
from tactics.store.webhook_deliveries import DeliveryState

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=StrictRoute)
READING = needs("activities:edit", "audit:read")
EDITING = needs("activities:edit")
_OF_VERB = described(404, 409, 422)
_NOT_KEPT = "no-store"


@router.get("", dependencies=[READING], responses=told(200, examples.LISTED) | described(422))
def list_webhooks(app: Tactics) -> WebhookList:
    """List the webhooks, the newest first, with how many deliveries wait and are parked."""
    return WebhookList(webhooks=[WebhookAnswer.model_validate(one) for one in flow.list_webhooks(app.runtime)])


@router.post(
    "",
    status_code=201,
    dependencies=[EDITING],
    responses={**told(201, examples.ADDED), **described(400, 408, 409, 413, 415, 422)},
)
def add_webhook(
    runtime: Acting,
    response: Response,
    body: Annotated[WebhookRequest, Body(openapi_examples=sent(webhook=examples.WANTED))],
) -> WebhookAdded:
    """Set up a webhook: it is told of what happens from now on. Its secret is in this answer, and told once.

    Its host has to be one that TACTICS_OUTBOUND_HOSTS allows (422).
    """
    added = flow.add_webhook(runtime, NewEndpoint(body.url, tuple(dict.fromkeys(body.topics)), body.description))
    response.headers["Location"] = f"{router.prefix}/{added.id}"
    response.headers["Cache-Control"] = _NOT_KEPT
    return WebhookAdded.model_validate({**added.stored, "secret": added.secret})


@router.get("/{webhook_id}", dependencies=[READING], responses={**told(200, examples.SHOWN), **described(404, 422)})
def show_webhook(app: Tactics, webhook_id: WebhookId) -> WebhookAnswer:
    """Give a webhook."""
    return _shown(flow.show_webhook(app.runtime, webhook_id))


@router.delete(
    "/{webhook_id}",
    status_code=204,
    dependencies=[EDITING],
    responses={204: {"description": "It is gone, with what was still to be delivered"}, **_OF_VERB},
)
def remove_webhook(runtime: Acting, webhook_id: WebhookId) -> None:
    """Remove a webhook, and what was still to be delivered to it."""
    flow.remove_webhook(runtime, webhook_id)


@router.post("/{webhook_id}/enable", dependencies=[EDITING], responses={**told(200, examples.SHOWN), **_OF_VERB})
def enable_webhook(runtime: Acting, webhook_id: WebhookId) -> WebhookAnswer:
    """Let a webhook be told again, what waited for it first. Again it changes nothing."""
    flow.enable_webhook(runtime, webhook_id)
    return _shown(flow.show_webhook(runtime, webhook_id))


@router.post("/{webhook_id}/disable", dependencies=[EDITING], responses={**told(200, examples.DISABLED), **_OF_VERB})
def disable_webhook(runtime: Acting, webhook_id: WebhookId) -> WebhookAnswer:
    """Tell a webhook nothing more: what happens meanwhile it never hears of. Again it changes nothing."""
    flow.disable_webhook(runtime, webhook_id)
    return _shown(flow.show_webhook(runtime, webhook_id))


@router.post(
    "/{webhook_id}/rotate-secret",
    dependencies=[EDITING],
    responses={**told(200, examples.ROTATED), **described(400, 404, 408, 409, 413, 415, 422)},
)
def rotate_secret(
    runtime: Acting,
    response: Response,
    webhook_id: WebhookId,
    body: Annotated[RotateRequest | None, Body(openapi_examples=sent(keep_the_last=examples.TO_ROTATE))] = None,
) -> RotateAnswer:
    """Give a webhook a new secret, told this once. The last one signs beside it, until the next change.

    With `keep_last` false only the new one signs from now on, as after a leak.
    """
    keep = 1 if body is None or body.keep_last else 0
    secret = flow.rotate_secret(runtime, webhook_id, keep=keep)
    response.headers["Cache-Control"] = _NOT_KEPT
    return RotateAnswer(id=webhook_id, secret=secret)


@router.post("/{webhook_id}/test", dependencies=[EDITING], responses={**told(200, examples.TESTED), **_OF_VERB})
def try_webhook(runtime: Acting, webhook_id: WebhookId) -> TriedAnswer:
    """Send a webhook a notice `tactics.test`, once and now, and tell what became of it."""
    found = flow.try_webhook(runtime, webhook_id)
    return TriedAnswer(outcome=found.kind, text=found.text, status=found.status)


@router.get(
    "/{webhook_id}/deliveries",
    dependencies=[READING],
    responses={**told(200, examples.DELIVERIES), **described(404, 422)},
)
def list_deliveries(
    app: Tactics,
    webhook_id: WebhookId,
    state: Annotated[DeliveryState | None, Query(description="only those that are")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeliveryList:
    """List what was sent to a webhook and what is still to come, the newest first."""
    before = read_number(cursor)
    found = flow.list_deliveries(app.runtime, webhook_id, state=state, before=before, limit=limit + 1)
    rows, following = page(found, limit, lambda one: [str(one.outbox_id)])
    return DeliveryList(deliveries=[DeliveryAnswer.of(one) for one in rows], next_cursor=following)


@router.post(
    "/{webhook_id}/retry",
    dependencies=[EDITING],
    responses={**told(200, examples.RETRIED), **described(400, 404, 408, 409, 413, 415, 422)},
)
def retry_deliveries(
    runtime: Acting,
    webhook_id: WebhookId,
    body: Annotated[DeliveryRetry, Body(openapi_examples=sent(these=examples.TO_RETRY, all=examples.RETRY_ALL))],
) -> DeliveriesRetried:
    """Try deliveries again that were parked, or that wait, at once; what is delivered stays so."""
    return DeliveriesRetried(retried=flow.retry_deliveries(runtime, webhook_id, body.ids))


def _shown(found: dict[str, Any]) -> WebhookAnswer:
    return WebhookAnswer.model_validate(found)
