"""How often a key may ask, over all processes: the generic cell rate algorithm (ITU-T I.371), in Redis.

For each key stands the time at which all it has asked for would have come in evenly. A request may come in while that is
less than its burst ahead of now. When Redis does not answer, each process counts for itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.exceptions import NoScriptError

from tactics.domain.api_key import ApiKey
from tactics.runtime import Runtime

MAX_COUNTED = 10_000
"""So many keys a process counts for itself."""
_THREADS = 2

# KEYS: the key's time. ARGV: µs between requests, burst. Gives the µs to wait, 0 to come in.
# Redis' own clock, so that processes need not agree. A time further ahead than it can get was written by another clock.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
due = math.min(due, now + interval * burst)
local wait = due + interval - now - interval * burst
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', due + interval), 'PX', math.ceil((due + interval - now) / 1000))
return 0
"""
_HASH = hashlib.sha1(_TAKE.encode(), usedforsecurity=False).hexdigest()
_MICRO = 1_000_000


class RateLimits:
    """Counts what keys ask for. Only keys with a limit cost anything."""

    def __init__(self, runtime: Runtime) -> None:
        """Keep what is needed; nothing connects before the first key with a limit."""
        self._runtime = runtime
        # Threads of its own: those of the requests may all be busy, and refusing has to be quick just then.
        self._threads = ThreadPoolExecutor(_THREADS, "tactics-rate")
        self._here: OrderedDict[str, int] = OrderedDict()

    async def wait_s(self, key: ApiKey) -> float:
        """Count a request of a key; give how many seconds are too early for it, 0 when it may come in."""
        if key.rate_per_s is None or key.burst is None:
            return 0.0
        interval_us = max(1, round(_MICRO / key.rate_per_s))
        found = None
        if not self._runtime.redis_breaker.tripped:
            ask = asyncio.get_running_loop().run_in_executor
            found = await ask(self._threads, self._ask, key.id, interval_us, key.burst)
        return self._count_here(key.id, interval_us, key.burst) if found is None else found

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)

    def _ask(self, key_id: str, interval_us: int, burst: int) -> float | None:
        """Ask Redis; None when it does not answer."""
        if self._runtime.redis_breaker.tripped:  # while this waited for a thread
            return None
        client, name = self._runtime.redis, f"tactics:rate:{key_id}"
        try:
            try:
                wait_us = client.evalsha(_HASH, 1, name, interval_us, burst)
            except NoScriptError:
                wait_us = client.eval(_TAKE, 1, name, interval_us, burst)
        except redis.RedisError:
            self._runtime.redis_breaker.trip()
            return None
        return int(wait_us) / _MICRO

    def _count_here(self, key_id: str, interval_us: int, burst: int) -> float:
        """Do in this process what the script does in Redis."""
        now = time.monotonic_ns() // 1_000
        due = max(self._here.pop(key_id, 0), now)
        wait = due + interval_us - now - interval_us * burst
        self._here[key_id] = due if wait > 0 else due + interval_us
        if len(self._here) > MAX_COUNTED:
            self._here.popitem(last=False)
        return max(0, wait) / _MICRO
