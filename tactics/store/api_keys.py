"""API keys: made, revoked, and read whole by every process that serves the API."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, func, insert, or_, select, text, update

from tactics.domain.api_key import ApiKey, NewApiKey
from tactics.errors import NotFound
from tactics.store.tables import api_key

_LISTED: tuple[ColumnElement[Any], ...] = (
    api_key.c.id,
    api_key.c.name,
    api_key.c.scopes,
    api_key.c.rate_per_s,
    api_key.c.burst,
    func.cardinality(api_key.c.signing_secrets).label("signing_secrets"),
    api_key.c.created_at,
    api_key.c.expires_at,
    api_key.c.revoked_at,
    api_key.c.last_used_at,
)
_VALID = api_key.c.revoked_at.is_(None) & or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > func.now())
_ACTIVE = select(
    api_key.c.id,
    api_key.c.name,
    api_key.c.secret_hash,
    api_key.c.scopes,
    api_key.c.rate_per_s,
    api_key.c.burst,
    api_key.c.signing_secrets,
    api_key.c.expires_at,
).where(_VALID)
_MADE = select(exists().select_from(api_key))
_COUNT_ACTIVE = select(func.count()).select_from(api_key).where(_VALID)
# However many processes serve, a row is written once a minute; never while somebody changes it, for that would wait.
_USED = text(
    "UPDATE api_key SET last_used_at = now() WHERE id IN (SELECT id FROM api_key WHERE id = ANY(:ids) AND"
    " (last_used_at IS NULL OR last_used_at < now() - interval '55 s') FOR NO KEY UPDATE SKIP LOCKED)"
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key that is valid, by its id; and whether any key was ever made."""

    by_id: Mapping[str, ApiKey]
    ever_made: bool


def read_all(conn: Connection) -> Keys:
    """Read what a process needs to know who is asking.

    Args:
        conn: each statement may be a transaction of its own: keys are asked for first, so no key is missed by the other.
    """
    found = {
        row.id: ApiKey(
            row.id,
            row.name,
            row.secret_hash,
            frozenset(row.scopes),
            row.rate_per_s,
            row.burst,
            tuple(row.signing_secrets),
            row.expires_at,
        )
        for row in conn.execute(_ACTIVE)
    }
    return Keys(found, bool(found) or bool(conn.execute(_MADE).scalar_one()))


def count_active(conn: Connection) -> int:
    """Count the keys that are valid now."""
    return int(conn.execute(_COUNT_ACTIVE).scalar_one())


def listing(conn: Connection) -> Sequence[Row[Any]]:
    """Give every key without its secrets, the newest first; `signing_secrets` is how many it has."""
    return conn.execute(select(*_LISTED).order_by(api_key.c.created_at.desc(), api_key.c.id)).all()


def find(conn: Connection, key_id: str) -> Row[Any]:
    """Give a key without its secrets; `signing_secrets` is how many it has.

    Raises:
        NotFound: there is no such key.
    """
    row = conn.execute(select(*_LISTED).where(api_key.c.id == key_id)).first()
    if row is None:
        # What was given may be a whole key, by mistake: it is not repeated.
        raise NotFound("there is no API key with this id; `tactics keys list` shows those there are")
    return row


def add(conn: Connection, key_id: str, wanted: NewApiKey, secret_hash: str, signing_secrets: Sequence[str]) -> None:
    """Write a new key."""
    conn.execute(
        insert(api_key).values(
            id=key_id,
            name=wanted.name,
            secret_hash=secret_hash,
            scopes=list(wanted.scopes),
            rate_per_s=wanted.rate_per_s,
            burst=wanted.burst,
            signing_secrets=list(signing_secrets),
            expires_at=None if wanted.lifetime is None else func.now() + wanted.lifetime,
        )
    )


def revoke(conn: Connection, key_id: str) -> bool:
    """Revoke a key; tells whether that changed anything.

    Raises:
        NotFound: there is no such key.
    """
    if find(conn, key_id).revoked_at is not None:
        return False
    conn.execute(update(api_key).where(api_key.c.id == key_id).values(revoked_at=func.now()))
    return True


def put_signing_secret_first(conn: Connection, key_id: str, secret: str) -> None:
    """Give a key a newer signing secret, before those it has."""
    conn.execute(
        update(api_key)
        .where(api_key.c.id == key_id)
        .values(signing_secrets=func.array_prepend(secret, api_key.c.signing_secrets))
    )


def keep_first_signing_secret(conn: Connection, key_id: str) -> None:
    """Drop all signing secrets of a key but the newest."""
    conn.execute(
        update(api_key)
        .where(api_key.c.id == key_id)
        .values(signing_secrets=func.trim_array(api_key.c.signing_secrets, 1))
    )


def note_use(conn: Connection, key_ids: Collection[str]) -> None:
    """Write that keys are used, each unless that was written within a minute; the caller commits."""
    conn.execute(_USED, {"ids": list(key_ids)})
