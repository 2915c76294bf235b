"""The lock on an instance: who may take it, and who may give it back."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
import redis

from tactics.runtime import connect_redis
from tactics.store import lease
from tactics.store.lease import BUSY, TAKEN, TWIN, Lease

KEY = lease.lease_key("a", "1")
ONE, OTHER = uuid4(), uuid4()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the test's own Redis."""
    with connect_redis(redis_url, 2.0) as found:
        yield found


def _take(
    client: redis.Redis, execution: UUID = ONE, attempt: int = 1, *, key: str = KEY, twin: Lease | None = None
) -> tuple[int, Lease, bytes | None]:
    return lease.take(
        client, key=key, prepared_key="p", execution_id=execution, attempt=attempt, expiry_ms=60_000, twin=twin
    )


def test_lock_is_one_execution_s(client: redis.Redis) -> None:
    """Another execution finds it busy until it was given back; another instance's lock is another lock."""
    code, held, _ = _take(client)
    assert code == TAKEN
    assert _take(client, OTHER, 9)[0] == BUSY
    assert _take(client, OTHER, key=lease.lease_key("a", "2"))[0] == TAKEN
    lease.release(client, held)
    assert _take(client, OTHER)[0] == TAKEN


def test_later_attempt_takes_over_and_an_earlier_one_does_not(client: redis.Redis) -> None:
    """The same execution takes its lock again with no lower attempt; what it took over, the former cannot give back."""
    _, first, _ = _take(client, attempt=2)
    assert _take(client, attempt=1)[0] == BUSY
    assert _take(client, attempt=2)[0] == TAKEN
    code, second, _ = _take(client, attempt=10)
    assert (code, _take(client, attempt=9)[0]) == (TAKEN, BUSY)
    lease.release(client, first)
    assert client.get(KEY) == second.value.encode()
    lease.release(client, second)
    assert client.get(KEY) is None


def test_prepared_data_comes_with_the_lock_only(client: redis.Redis) -> None:
    """One trip gives lock and prepared data; who does not get the lock does not get the data."""
    client.set("p", b"data")
    assert _take(client)[2] == b"data"
    assert _take(client, OTHER)[::2] == (BUSY, None)
    client.delete("p")
    assert _take(client)[2] is None


def test_lock_falls_by_itself(client: redis.Redis) -> None:
    """A lock that nobody gives back has an expiry."""
    _take(client)
    assert 0 < client.pttl(KEY) <= 60_000


def test_without_a_key_nothing_is_locked(client: redis.Redis) -> None:
    """No lock asked for: nothing is written, nobody is busy, the data is read, and giving back does nothing."""
    client.set("p", b"data")
    _, held, data = _take(client, key="")
    assert (data, _take(client, OTHER, key="")[0], client.keys()) == (b"data", TAKEN, [b"p"])
    lease.release(client, held)


def test_twin_of_a_placement_is_kept_out(client: redis.Redis) -> None:
    """A second request under a key meets the first one's mark and takes no lock; the first may take several."""
    first, second = lease.twin_mark("api", "k"), lease.twin_mark("api", "k")
    assert first.key == second.key != lease.twin_mark("api", "other").key
    assert _take(client, twin=first)[0] == TAKEN
    assert _take(client, OTHER, key="x", twin=first)[0] == TAKEN
    assert _take(client, OTHER, key="y", twin=second)[0] == TWIN
    assert client.exists("y") == 0
    lease.release(client, first)
    assert _take(client, OTHER, key="y", twin=second)[0] == TAKEN


def test_busy_instance_leaves_no_mark(client: redis.Redis) -> None:
    """A request that finds its instance busy does not mark its key, so that it can be sent again at once."""
    _take(client)
    mark = lease.twin_mark("api", "k")
    assert _take(client, OTHER, twin=mark)[0] == BUSY
    assert client.exists(mark.key) == 0
