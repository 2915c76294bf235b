"""API keys over their life: made, signed for with one secret after another, revoked.

The key itself and its signing secrets are given out once, to whoever asks for them; nothing here says them again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from tactics.domain.api_key import NewApiKey, hashed, new_id, new_secret, new_signing_secret, whole_key
from tactics.errors import Conflict
from tactics.flows.reading import transaction
from tactics.runtime import Runtime
from tactics.store import api_keys

MAX_ACTIVE = 10_000
"""Every process that serves the API keeps all keys in memory."""
_BOTH = 2


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key that was made; `key` and `signing_secret` (None of a key that does not sign) are told once.

    `first`: none was ever made before, so callers went without until now.
    """

    id: str
    key: str = field(repr=False)
    signing_secret: str | None = field(repr=False)
    stored: dict[str, Any]
    first: bool = False


def create(runtime: Runtime, wanted: NewApiKey) -> CreatedKey:
    """Make a key.

    Args:
        runtime: the database.
        wanted: what it is for; without a burst, a second's worth of its rate.

    Raises:
        Conflict: there are as many active keys as there may be.
    """
    if wanted.rate_per_s is not None and wanted.burst is None:
        wanted = replace(wanted, burst=max(1, math.ceil(wanted.rate_per_s)))
    key_id, secret = new_id(), new_secret()
    signing_secret = new_signing_secret() if wanted.signed else None
    with transaction(runtime) as conn:
        if api_keys.count_active(conn) >= MAX_ACTIVE:
            raise Conflict(f"there are {MAX_ACTIVE} active API keys: revoke those that nobody uses")
        first = not api_keys.read_all(conn).ever_made
        api_keys.add(conn, key_id, wanted, hashed(secret), [signing_secret] if signing_secret else [])
        stored = described(api_keys.find(conn, key_id))
        return CreatedKey(key_id, whole_key(key_id, secret), signing_secret, stored, first=first)


def revoke(runtime: Runtime, key_id: str) -> bool:
    """Revoke a key, for good; tells whether that changed anything. It is refused everywhere within seconds.

    Raises:
        NotFound: there is no such key.
    """
    with transaction(runtime) as conn:
        return api_keys.revoke(conn, key_id)


def begin_rotation(runtime: Runtime, key_id: str) -> str:
    """Give a key a new signing secret; the one before stays valid beside it.

    Returns:
        The new secret, which is told once.

    Raises:
        NotFound: there is no such key.
        Conflict: the key is revoked or does not sign, or two secrets are valid already.
    """
    with transaction(runtime) as conn:
        secrets = _signing_secrets(api_keys.find(conn, key_id))
        if secrets == _BOTH:
            raise Conflict(
                f"key {key_id} has two signing secrets already: end that rotation first, "
                f"with `tactics keys end-rotation {key_id}`"
            )
        made = new_signing_secret()
        api_keys.put_signing_secret_first(conn, key_id, made)
    return made


def end_rotation(runtime: Runtime, key_id: str) -> bool:
    """Let only the newest signing secret of a key be valid; tells whether that changed anything.

    Raises:
        NotFound: there is no such key.
        Conflict: the key is revoked or does not sign.
    """
    with transaction(runtime) as conn:
        if _signing_secrets(api_keys.find(conn, key_id)) < _BOTH:
            return False
        api_keys.keep_first_signing_secret(conn, key_id)
    return True


def described(row: Any) -> dict[str, Any]:
    """Give a key as plain data, without its secrets.

    Args:
        row: as `tactics.store.api_keys` lists it.
    """
    return {**row._mapping, "signed": row.signing_secrets > 0, "rotating": row.signing_secrets == _BOTH}  # noqa: SLF001  # documented


def _signing_secrets(row: Any) -> int:
    if row.revoked_at is not None:
        raise Conflict(f"key {row.id} is revoked")
    if not row.signing_secrets:
        raise Conflict(
            f"key {row.id} does not sign its requests: make one that does with `tactics keys create --signed`"
        )
    return int(row.signing_secrets)
