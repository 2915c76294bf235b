"""Rate limits of keys: exact over all processes in Redis, each process for itself without it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tactics.api import rate
from tactics.api.rate import RateLimits
from tactics.domain.api_key import ApiKey, NewApiKey
from tactics.flows.api_key import create
from tactics.runtime import Runtime, connect_redis
from tests.driving import Drive


def _key(key_id: str = "k", rate_per_s: float | None = 10.0, burst: int | None = 3) -> ApiKey:
    return ApiKey(key_id, "test", "", frozenset(), rate_per_s, burst, (), None)


@pytest.fixture
def limits(runtime: Runtime) -> Iterator[RateLimits]:
    """The limits of a process with Redis."""
    made = RateLimits(runtime)
    yield made
    made.close()


@pytest.fixture
def alone(runtime: Runtime) -> Iterator[RateLimits]:
    """The limits of a process whose Redis does not answer."""
    away = connect_redis("redis://127.0.0.1:1/0", 0.2)
    made = RateLimits(replace(runtime, redis=away))
    yield made
    made.close()
    away.close()


def _waits(limits: RateLimits, key: ApiKey, count: int) -> list[float]:
    async def ask() -> list[float]:
        return [await limits.wait_s(key) for _ in range(count)]

    return asyncio.run(ask())


def test_burst_then_rate_over_all_processes(runtime: Runtime, limits: RateLimits) -> None:
    """Of many requests at once, in several processes, exactly the burst comes in; the next after the time that was said."""
    key = _key(rate_per_s=0.05, burst=5)
    others = [RateLimits(runtime) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        found = sorted(
            wait for waits in pool.map(lambda one: _waits(one, key, 10), [limits, *others]) for wait in waits
        )
    assert found[:5] == [0.0] * 5
    assert all(10 < wait <= 20 for wait in found[5:])
    assert 80_000 < runtime.redis.pttl("tactics:rate:k") <= 100_000  # it leaves nothing behind
    assert _waits(limits, _key("another"), 3) == [0.0] * 3  # each key for itself
    quick = _key("quick", rate_per_s=5.0, burst=2)
    while not (wait := _waits(limits, quick, 1)[0]):
        pass
    time.sleep(wait)
    assert _waits(others[0], quick, 1) == [0.0]
    for one in others:
        one.close()


def test_without_redis_each_process_counts(alone: RateLimits) -> None:
    """Redis away: the limit holds in this process, and only the first request finds out."""
    found = _waits(alone, _key(rate_per_s=0.01, burst=4), 6)
    assert found[:4] == [0.0] * 4
    assert all(90 < wait <= 100 for wait in found[4:])
    assert alone._runtime.redis_breaker.tripped


def test_a_script_redis_does_not_know_is_sent(runtime: Runtime, limits: RateLimits) -> None:
    """An emptied Redis is taught the script again; what was counted is forgotten with it."""
    key = _key(rate_per_s=0.01, burst=1)
    assert _waits(limits, key, 2)[1] > 90
    runtime.redis.script_flush()
    runtime.redis.flushdb()
    assert _waits(limits, key, 1) == [0.0]
    assert not runtime.redis_breaker.tripped


def test_a_time_from_another_clock_does_not_lock_out(runtime: Runtime, limits: RateLimits) -> None:
    """What an earlier Redis with a clock ahead, or a slower limit, left behind delays by at most the burst."""
    runtime.redis.set("tactics:rate:k", "9000000000000000")
    (wait,) = _waits(limits, _key(rate_per_s=10.0, burst=3), 1)
    assert 0 < wait <= 0.1


def test_no_limit_asks_nobody(alone: RateLimits) -> None:
    """A key without a limit costs no round trip."""
    assert _waits(alone, _key(rate_per_s=None, burst=None), 100) == [0.0] * 100
    assert not alone._runtime.redis_breaker.tripped


def test_few_keys_are_counted_here(alone: RateLimits, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process counts for itself is bounded: the key that asked longest ago is forgotten."""
    monkeypatch.setattr(rate, "MAX_COUNTED", 2)
    for name in ("a", "b", "a", "c"):
        _waits(alone, _key(name), 1)
    assert list(alone._here) == ["a", "c"]


@settings(max_examples=60)
@given(
    gaps=st.lists(st.floats(0, 0.5), min_size=1, max_size=30), burst=st.integers(1, 5), interval=st.floats(0.01, 0.5)
)
def test_never_more_than_burst_and_rate(gaps: list[float], burst: int, interval: float) -> None:
    """Over any span of time, no more come in than the burst and what the rate allows; who waited as told comes in."""
    limits = RateLimits.__new__(RateLimits)
    limits._here = OrderedDict()
    now, let_in = 0.0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic_ns", lambda: round(now * 1e9))
        for gap in gaps:
            now += gap
            wait = limits._count_here("k", round(interval * 1e6), burst)
            if wait:
                now += wait + 2e-6
                assert limits._count_here("k", round(interval * 1e6), burst) == 0
            let_in.append(now)
    for first, begun in enumerate(let_in):
        for last in range(first, len(let_in)):
            allowed = burst + (let_in[last] - begun) / interval
            assert last - first + 1 <= allowed + 1e-3


def test_the_answer_is_a_429(live: Drive, api_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks too often is told so, with whole seconds to wait; others with other keys are not."""
    api = api_of(live)
    quick = create(live.runtime, NewApiKey("quick", ("audit:read",)))
    slow = create(live.runtime, NewApiKey("slow", ("audit:read",), rate_per_s=0.01, burst=2))
    ask = {"Authorization": f"Bearer {slow.key}"}
    answers = [api.get("/v1/rules/blocks", headers=ask) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert 90 < int(answers[2].headers["Retry-After"]) <= 100
    assert answers[2].headers["Content-Type"] == "application/problem+json"
    assert answers[2].json()["code"] == "rate_limited"
    assert api.get("/v1/rules/blocks", headers={"Authorization": f"Bearer {quick.key}"}).status_code == 200
    wrong = {"Authorization": f"Bearer tk_{slow.id}_{'A' * 43}"}
    assert api.get("/v1/rules/blocks", headers=wrong).status_code == 401  # who guesses uses up nothing

    async def a_while(*_: object) -> float:
        return 2.1

    monkeypatch.setattr(RateLimits, "wait_s", a_while)
    assert api.get("/v1/rules/blocks", headers=ask).headers["Retry-After"] == "3"  # earlier would be too early
