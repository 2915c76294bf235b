"""Endpoints of webhooks: who is told of what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, literal_column, select, update

from tactics.domain.webhook import Endpoint, NewEndpoint
from tactics.errors import NotFound
from tactics.store.tables import webhook_delivery, webhook_endpoint

_SECRETS = webhook_endpoint.c.signing_secrets
_LISTED: tuple[ColumnElement[Any], ...] = (
    webhook_endpoint.c.id,
    webhook_endpoint.c.url,
    webhook_endpoint.c.topics,
    webhook_endpoint.c.description,
    webhook_endpoint.c.enabled,
    webhook_endpoint.c.disabled_reason,
    webhook_endpoint.c.failures,
    webhook_endpoint.c.resting_until,
    func.cardinality(_SECRETS).label("secrets"),
    webhook_endpoint.c.created_at,
    webhook_endpoint.c.updated_at,
)


def listing(conn: Connection) -> Sequence[Row[Any]]:
    """Give every endpoint without its secrets, the newest first; `secrets` is how many it has."""
    return conn.execute(select(*_LISTED).order_by(webhook_endpoint.c.created_at.desc(), webhook_endpoint.c.id)).all()


def described(conn: Connection, endpoint_id: str) -> Row[Any]:
    """Give an endpoint without its secrets.

    Raises:
        NotFound: there is no such endpoint.
    """
    row = conn.execute(select(*_LISTED).where(webhook_endpoint.c.id == endpoint_id)).one_or_none()
    if row is None:
        raise _no_endpoint(endpoint_id)
    return row


def find(conn: Connection, endpoint_id: str) -> Endpoint | None:
    """Read an endpoint with its secrets, to send to it."""
    columns = [webhook_endpoint.c[name] for name in ("id", "url", "topics", "signing_secrets", "enabled", "failures")]
    row = conn.execute(select(*columns).where(webhook_endpoint.c.id == endpoint_id)).one_or_none()
    if row is None:
        return None
    return Endpoint(row.id, row.url, tuple(row.topics), tuple(row.signing_secrets), row.enabled, row.failures)


def hold(conn: Connection, endpoint_id: str) -> bool:
    """Lock an endpoint before deliveries of it, as all do who lock both; tells whether it is still there."""
    mine = select(webhook_endpoint.c.id).where(webhook_endpoint.c.id == endpoint_id)
    return conn.execute(mine.with_for_update(key_share=True)).one_or_none() is not None


def add(conn: Connection, endpoint_id: str, wanted: NewEndpoint, secret: str) -> None:
    """Write a new endpoint; it is told of what happens from now on."""
    conn.execute(
        insert(webhook_endpoint).values(
            id=endpoint_id,
            url=wanted.url,
            topics=list(wanted.topics),
            description=wanted.description,
            signing_secrets=[secret],
        )
    )


def remove(conn: Connection, endpoint_id: str) -> int:
    """Remove an endpoint, and what was to be delivered to it.

    Returns:
        How many deliveries were still waiting.

    Raises:
        NotFound: there is no such endpoint.
    """
    mine = webhook_endpoint.c.id == endpoint_id
    if conn.execute(delete(webhook_endpoint).where(mine).returning(webhook_endpoint.c.id)).one_or_none() is None:
        raise _no_endpoint(endpoint_id)
    theirs = webhook_delivery.c.endpoint_id == endpoint_id
    waiting = select(func.count()).where(theirs, webhook_delivery.c.next_attempt_at.is_not(None))
    count = int(conn.execute(waiting).scalar_one())
    conn.execute(delete(webhook_delivery).where(theirs))
    return count


def enable(conn: Connection, endpoint_id: str) -> bool:
    """Let an endpoint be told again, what waits for it first; tells whether that changed anything.

    Raises:
        NotFound: there is no such endpoint.
    """
    values = {"enabled": True, "disabled_reason": None, "failures": 0, "resting_until": None}
    return _change(conn, endpoint_id, webhook_endpoint.c.enabled.is_(False), values)


def disable(conn: Connection, endpoint_id: str, reason: str | None = None) -> bool:
    """Tell an endpoint nothing more; tells whether that changed anything.

    Args:
        conn: an open transaction.
        endpoint_id: which one.
        reason: why, where nobody asked for it.

    Raises:
        NotFound: there is no such endpoint.
    """
    return _change(conn, endpoint_id, webhook_endpoint.c.enabled, {"enabled": False, "disabled_reason": reason})


def put_secret_first(conn: Connection, endpoint_id: str, secret: str, *, keep: int) -> None:
    """Give an endpoint a newer secret, and let so many of those before stay beside it (0 or 1).

    Raises:
        NotFound: there is no such endpoint.
    """
    kept = _SECRETS[1:keep] if keep else literal_column("ARRAY[]::text[]")
    _change(conn, endpoint_id, literal_column("true"), {"signing_secrets": func.array_prepend(secret, kept)})


def note_success(conn: Connection, endpoint_id: str) -> None:
    """Record that an endpoint answers; written only where it did not before."""
    mine = (webhook_endpoint.c.id == endpoint_id, webhook_endpoint.c.failures > 0)
    conn.execute(update(webhook_endpoint).where(*mine).values(failures=0, resting_until=None))


def note_failure(conn: Connection, endpoint_id: str, rest_s: float) -> None:
    """Record that an endpoint failed, and leave it alone for so many seconds, unless it is left alone for longer."""
    until = func.clock_timestamp() + timedelta(seconds=rest_s)
    values = {
        "failures": webhook_endpoint.c.failures + 1,
        "resting_until": func.greatest(webhook_endpoint.c.resting_until, until),
    }
    conn.execute(update(webhook_endpoint).where(webhook_endpoint.c.id == endpoint_id).values(values))


def _change(conn: Connection, endpoint_id: str, unless_so: Any, values: dict[str, Any]) -> bool:
    mine = webhook_endpoint.c.id == endpoint_id
    statement = update(webhook_endpoint).where(mine, unless_so).values(**values, updated_at=func.now())
    if conn.execute(statement.returning(webhook_endpoint.c.id)).one_or_none() is not None:
        return True
    if conn.execute(select(webhook_endpoint.c.id).where(mine)).one_or_none() is None:
        raise _no_endpoint(endpoint_id)
    return False


def _no_endpoint(endpoint_id: str) -> NotFound:
    return NotFound(
        f"there is no webhook {endpoint_id!r}; `tactics webhooks list` shows those there are", webhook=endpoint_id
    )
