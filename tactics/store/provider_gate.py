"""Who may call an outside system at this moment: a breaker and a limit of concurrent calls for each, in Redis.

Both are manners, not safety: with Redis emptied they begin anew, and for a moment more calls go out.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
from redis.exceptions import NoScriptError

# KEYS: calls under way (by the time they are counted no more), the breaker. ARGV: limit, the call's time in ms, its mark,
# failures in a row that open the breaker. A breaker that was open lets one call through, and closes with its success.
_ENTER = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local opens = tonumber(redis.call('HGET', KEYS[2], 'until') or '0')
if opens > now then return {1, opens - now} end
local limit = tonumber(ARGV[1])
if tonumber(redis.call('HGET', KEYS[2], 'failures') or '0') >= tonumber(ARGV[4]) then limit = 1 end
if redis.call('ZCARD', KEYS[1]) >= limit then return {2, 0} end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
return {0, 0}
"""
# ARGV: the mark, 1 where it went well, '' where nobody was asked, failures that open the breaker, its first pause and its longest in ms, and how
# long the other side itself wants to be left alone in ms.
_LEAVE = """
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[2] == '' then return 0 end
if ARGV[2] == '1' then redis.call('DEL', KEYS[2]) return 0 end
local failures = redis.call('HINCRBY', KEYS[2], 'failures', 1)
local pause = tonumber(ARGV[6])
if failures >= tonumber(ARGV[3]) then
  pause = math.max(pause, math.min(ARGV[4] * 2 ^ math.min(failures - ARGV[3], 20), tonumber(ARGV[5])))
end
if pause > 0 then
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[2], 'until', math.floor(t[1] * 1000 + t[2] / 1000 + pause))
end
redis.call('PEXPIRE', KEYS[2], math.max(pause, tonumber(ARGV[5])) * 4)
return pause
"""
_HASHES = {script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (_ENTER, _LEAVE)}

FAILURES_OPEN = 5
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1_000, 60_000


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a call may go out: with a `mark` to be given back, or after `wait_s` seconds."""

    mark: str | None
    wait_s: float = 0.0
    breaker: bool = False


@dataclass(frozen=True, slots=True)
class HeldBack:
    """How long nobody calls an outside system, and after how many failures in a row."""

    wait_s: float
    until: datetime
    failures: int


def gate_of(provider: str) -> str:
    """Give the name by which a provider is known here."""
    return f"provider:{provider}"


def held_back(client: redis.Redis, name: str) -> HeldBack | None:
    """Tell how long nobody calls an outside system from now on; None where it may be called. Nothing is changed.

    Args:
        client: Redis.
        name: as for `enter`.
    """
    asked = client.pipeline(transaction=False)
    asked.time()
    asked.hmget(f"tactics:breaker:{name}", ["until", "failures"])
    (seconds, micros), (until_ms, failures) = asked.execute()
    wait_s = float(until_ms or 0) / 1000 - seconds - micros / 1_000_000
    if wait_s <= 0:
        return None
    return HeldBack(wait_s, datetime.fromtimestamp(float(until_ms) / 1000, UTC), int(failures or 0))


def enter(client: redis.Redis, name: str, *, limit: int, call_ms: int) -> Admission:
    """Ask for a place among the calls to an outside system.

    Args:
        client: Redis.
        name: the system, such as `provider:wallet`.
        limit: how many calls may be under way.
        call_ms: the longest that one takes; after that, nobody's place is taken by who died.
    """
    mark = secrets.token_hex(8)
    code, wait_ms = _run(client, _ENTER, name, limit, call_ms, mark, FAILURES_OPEN)
    return Admission(mark) if code == 0 else Admission(None, int(wait_ms) / 1000, breaker=code == 1)


def leave(client: redis.Redis, name: str, mark: str, *, well: bool | None, retry_after_s: float = 0.0) -> float:
    """Give a place back, and say how it went.

    Args:
        client: Redis.
        name: as for `enter`.
        mark: the place.
        well: whether there was an answer that says something; failures in a row open the breaker. None: nobody was asked.
        retry_after_s: how long the other side wants to be left alone.

    Returns:
        For how many seconds nobody calls it now.
    """
    ask_ms = int(min(retry_after_s * 1000, LONGEST_PAUSE_MS))
    arguments = (mark, "" if well is None else int(well), FAILURES_OPEN, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, ask_ms)
    return float(_run(client, _LEAVE, name, *arguments)) / 1000


def _run(client: redis.Redis, script: str, name: str, *arguments: Any) -> Any:
    keys = (f"tactics:calls:{name}", f"tactics:breaker:{name}")
    try:
        return client.evalsha(_HASHES[script], len(keys), *keys, *arguments)
    except NoScriptError:
        return client.eval(script, len(keys), *keys, *arguments)
