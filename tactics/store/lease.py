"""The lock on an instance, in Redis: keeps twins from waiting in line. Postgres' epoch is what protects the data.

Value: `execution:attempt:random`. It may be taken when it is free, or by the same execution with no lower attempt.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from redis.exceptions import NoScriptError

# KEYS: lease, prepared data, twin mark ('' = none). ARGV: value, execution, attempt, expiry in ms, the visit's token.
# One script so that it costs one round trip with reading the prepared data.
_TAKE = """
if KEYS[3] ~= '' then
  local twin = redis.call('GET', KEYS[3])
  if twin and twin ~= ARGV[5] then return {2, false} end
end
if KEYS[1] ~= '' then
  local held = redis.call('GET', KEYS[1])
  if held then
    local execution, attempt = string.match(held, '^(.-):(%d+):')
    if execution ~= ARGV[2] or tonumber(attempt) > tonumber(ARGV[3]) then return {1, false} end
  end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
end
if KEYS[3] ~= '' then redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[4]) end
return {0, redis.call('GET', KEYS[2])}
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_HASHES = {script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (_TAKE, _RELEASE)}
TAKEN, BUSY, TWIN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Lease:
    """A key that was taken with this value, to be given back; `key` is '' where no lock was asked for."""

    key: str
    value: str


def lease_key(activity_code: str, user_id: str) -> str:
    """Name the lock of an instance."""
    return f"tactics:lease:{activity_code}:{user_id}"


def twin_mark(source: str, event_id: str) -> Lease:
    """Make the mark of a placement in flight: a second request under the same key meets it and is told so."""
    return Lease(f"tactics:placement:{len(source)}:{source}:{event_id}", secrets.token_hex(8))


def take(
    client: redis.Redis,
    *,
    key: str,
    prepared_key: str,
    execution_id: UUID,
    attempt: int,
    expiry_ms: int,
    twin: Lease | None = None,
) -> tuple[int, Lease, bytes | None]:
    """Take the lock and read the prepared data, in one round trip.

    Args:
        client: Redis.
        key: the lock's name, '' to take none.
        prepared_key: where the prepared data is.
        execution_id: who takes it.
        attempt: which attempt of it.
        expiry_ms: when it falls by itself; longer than the segment may run.
        twin: the mark of the placement, taken along when it is free or this one.

    Returns:
        TAKEN, BUSY (another execution has it) or TWIN (the same placement is in flight); the lease; the prepared data.
    """
    lease = Lease(key, f"{execution_id}:{attempt}:{secrets.token_hex(8)}")
    keys = (key, prepared_key, twin.key if twin else "")
    args = (lease.value, str(execution_id), attempt, expiry_ms, twin.value if twin else "")
    code, data = _run(client, _TAKE, keys, args)
    return int(code), lease, data


def taken_by_other(client: redis.Redis, twin: Lease) -> bool:
    """Tell whether another request with the same key is in flight."""
    found = client.get(twin.key)
    return found is not None and found != twin.value.encode()


def release(client: redis.Redis, lease: Lease) -> None:
    """Give the key back, if it still has this value."""
    if lease.key:
        _run(client, _RELEASE, (lease.key,), (lease.value,))


def _run(client: redis.Redis, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
    """Run a script by its hash; only a server that has not seen it is sent its text."""
    try:
        return client.evalsha(_HASHES[script], len(keys), *keys, *args)
    except NoScriptError:
        return client.eval(script, len(keys), *keys, *args)
