"""Webhooks over their life: set up, switched off and on, given new secrets, tried out.

A secret is given out once, to whoever asks for it; nothing here says it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tactics.domain.webhook import TEST, NewEndpoint, message_body, new_endpoint_id
from tactics.errors import BadInput, Conflict, NotFound
from tactics.flows.reading import transaction
from tactics.gateways.signing import new_secret
from tactics.gateways.webhooks import Sent, send
from tactics.runtime import Runtime
from tactics.store import audit_log, webhook_deliveries, webhooks
from tactics.store.webhook_deliveries import DeliveryRow, DeliveryState

MAX_ENDPOINTS = 100
"""Each grant looks at all of them."""
_PREFIX = "msg_"
_MOST_ID = 2**63


@dataclass(frozen=True, slots=True)
class AddedWebhook:
    """A webhook that was set up; `secret` is told once."""

    id: str
    secret: str = field(repr=False)
    stored: dict[str, Any]


def add_webhook(runtime: Runtime, wanted: NewEndpoint) -> AddedWebhook:
    """Set up a webhook: it is told of what happens from now on.

    Raises:
        BadInput: its address may not be called; the text says what to set.
        Conflict: there are as many as there may be.
    """
    _check_url(runtime, wanted.url)
    endpoint_id, secret = new_endpoint_id(), new_secret()
    with transaction(runtime) as conn:
        if len(webhooks.listing(conn)) >= MAX_ENDPOINTS:
            raise Conflict(f"there are {MAX_ENDPOINTS} webhooks: remove those that nobody listens at")
        webhooks.add(conn, endpoint_id, wanted, secret)
        return AddedWebhook(endpoint_id, secret, described(webhooks.described(conn, endpoint_id)))


def list_webhooks(runtime: Runtime) -> list[dict[str, Any]]:
    """Give every webhook without its secrets, the newest first, with how many deliveries wait and are parked."""
    with runtime.engine.connect() as conn:
        counts = webhook_deliveries.counts(conn)
        return [described(row, counts.get(row.id)) for row in webhooks.listing(conn)]


def show_webhook(runtime: Runtime, endpoint_id: str) -> dict[str, Any]:
    """Give a webhook, as `list_webhooks` does.

    Raises:
        NotFound: there is no such webhook.
    """
    with runtime.engine.connect() as conn:
        return described(webhooks.described(conn, endpoint_id), webhook_deliveries.counts(conn).get(endpoint_id))


def remove_webhook(runtime: Runtime, endpoint_id: str) -> int:
    """Remove a webhook; gives how many deliveries were still waiting, and now never come.

    Raises:
        NotFound: there is no such webhook.
    """
    with transaction(runtime) as conn:
        return webhooks.remove(conn, endpoint_id)


def enable_webhook(runtime: Runtime, endpoint_id: str) -> bool:
    """Let a webhook be told again, what waited for it first; tells whether that changed anything.

    Raises:
        NotFound: there is no such webhook.
    """
    with transaction(runtime) as conn:
        return webhooks.enable(conn, endpoint_id)


def disable_webhook(runtime: Runtime, endpoint_id: str) -> bool:
    """Tell a webhook nothing more, and let nothing more wait for it; tells whether that changed anything.

    Raises:
        NotFound: there is no such webhook.
    """
    with transaction(runtime) as conn:
        return webhooks.disable(conn, endpoint_id)


def rotate_secret(runtime: Runtime, endpoint_id: str, *, keep: int = 1) -> str:
    """Give a webhook a new secret.

    Args:
        runtime: the database.
        endpoint_id: which one.
        keep: how many of the secrets before sign beside it: the last one (1), or none (0).

    Returns:
        The new secret, which is told once.

    Raises:
        NotFound: there is no such webhook.
    """
    secret = new_secret()
    with transaction(runtime) as conn:
        webhooks.put_secret_first(conn, endpoint_id, secret, keep=keep)
    return secret


def try_webhook(runtime: Runtime, endpoint_id: str) -> Sent:
    """Send a webhook a notice of the topic `tactics.test`, once, from here; it may be switched off.

    Raises:
        NotFound: there is no such webhook.
    """
    with runtime.engine.connect() as conn:
        endpoint = webhooks.find(conn, endpoint_id)
        if endpoint is None:
            raise NotFound(
                f"there is no webhook {endpoint_id!r}; `tactics webhooks list` shows those there are",
                webhook=endpoint_id,
            )
    body = message_body(TEST, datetime.now(UTC), {"webhook": endpoint_id})
    timeout_s = runtime.settings.webhook_timeout_ms / 1000
    return send(runtime.gateways.outbound, endpoint, f"{_PREFIX}test_{uuid4().hex}", body, timeout_s)


def list_deliveries(
    runtime: Runtime, endpoint_id: str, *, state: DeliveryState | None = None, before: int | None = None, limit: int
) -> list[DeliveryRow]:
    """Give deliveries to a webhook, the newest first.

    Raises:
        NotFound: there is no such webhook.
    """
    with runtime.engine.connect() as conn:
        webhooks.described(conn, endpoint_id)
        return webhook_deliveries.listing(conn, endpoint_id, state=state, before=before, limit=limit)


def retry_deliveries(runtime: Runtime, endpoint_id: str, ids: Sequence[str] | None) -> int:
    """Let deliveries be tried again, for as long as at first; what is delivered stays so.

    Args:
        runtime: the database.
        endpoint_id: whose.
        ids: as receivers know them, `msg_…`; None is everything that is parked.

    Returns:
        How many.

    Raises:
        NotFound: there is no such webhook.
        BadInput: a text is no such id; nothing is tried.
    """
    numbers = None if ids is None else [number_of(one) for one in ids]
    with runtime.changing() as conn:
        webhooks.described(conn, endpoint_id)
        webhooks.hold(conn, endpoint_id)
        count = webhook_deliveries.retry(conn, endpoint_id, numbers)
        if count:
            audit_log.add(conn, action="retried", kind="webhook_delivery", subject=endpoint_id, after={"count": count})
    return count


def number_of(msg_id: str) -> int:
    """Give the number of a notice from its id as receivers know it.

    Raises:
        BadInput: it is no such id.
    """
    number = msg_id.removeprefix(_PREFIX)
    if not msg_id.startswith(_PREFIX) or not number.isascii() or not number.isdecimal() or int(number[:20]) >= _MOST_ID:
        message = f"{msg_id[:40]!r} is no id such as msg_17"
        raise BadInput(f"ids: {message}", problems=[{"path": "/ids", "message": message}])
    return int(number)


def described(row: Any, counts: dict[str, int] | None = None) -> dict[str, Any]:
    """Give a webhook as plain data, without its secrets.

    Args:
        row: as `tactics.store.webhooks` lists it.
        counts: how many deliveries wait, and are parked; None is none.
    """
    shown = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's documented name
    rotating = shown.pop("secrets") > 1
    return {**shown, "rotating": rotating, **(counts or {"waiting": 0, "parked": 0})}


def _check_url(runtime: Runtime, url: str) -> None:
    try:
        runtime.gateways.outbound.check_url(url)
    except BadInput as error:
        problems = [{"path": "/url", "message": error.message}]
        raise BadInput(f"url: {error.message}", problems=problems) from None
