"""The keys that a process knows: soon up to date, whatever is guessed, and for a while without the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text

from tactics import metrics
from tactics.api import keyring
from tactics.api.keyring import AHEAD_S, FRESH_S, GUESSERS, OUT_S, OUTAGE_S, USE_NOTED_S, Keyring, open_keyring
from tactics.domain.api_key import SCOPES, ApiKey, NewApiKey
from tactics.errors import DatabaseDown
from tactics.flows.api_key import create
from tactics.runtime import Runtime
from tactics.store.api_keys import Keys
from tests.counting import counting, counts_of


class World:
    """A database of keys and a clock, both as a test wants them."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.ids: set[str] = {"a"}
        self.reads = 0
        self.down = False
        self.go = Event()
        self.go.set()
        self.used: list[set[str]] = []
        self.ring = Keyring(self._read, self._note, lambda: self.now)

    def find(self, *key_ids: str) -> list[str | None]:
        """Look for keys, all at once; None for what is not there."""

        async def ask() -> list[ApiKey | None]:
            return list(await asyncio.gather(*(self.ring.find(one) for one in key_ids)))

        return [None if found is None else found.id for found in asyncio.run(ask())]

    def settle(self) -> None:
        """Wait until what was begun beside the requests has ended."""
        self.ring._thread.submit(int).result(10)

    def _read(self) -> Keys:
        assert self.go.wait(10)
        self.reads += 1
        if self.down:
            raise DatabaseDown
        found = {one: ApiKey(one, one, "", frozenset(), None, None, (), None) for one in self.ids}
        return Keys(found, bool(found))

    def _note(self, key_ids: Collection[str]) -> None:
        self.used.append(set(key_ids))
        if self.down:
            raise DatabaseDown


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world in which nobody waits between the readings that guesses cause."""
    monkeypatch.setattr(keyring, "AGAIN_S", 0.0)
    made = World()
    yield made
    made.go.set()
    made.ring.close()


def _fails(call: Callable[[], Any]) -> bool:
    try:
        call()
    except DatabaseDown:
        return True
    return False


def test_a_revoked_key_is_gone_within_the_time_said(world: World) -> None:
    """Keys are read once for many requests, again beside them when they grow old, and before them when they are too old."""
    assert world.find("a", "a", "a") == ["a"] * 3
    assert world.reads == 1
    world.ids = {"b"}
    world.now += AHEAD_S
    assert world.find("a") == ["a"]
    world.settle()
    assert world.reads == 1
    world.now += 0.1
    assert world.find("a") == ["a"]  # nobody waits for the new ones
    world.settle()
    assert world.reads == 2
    assert world.find("a") == [None]
    world.ids = set()
    world.now += FRESH_S + 0.1
    assert world.find("b") == [None]  # now one does


def test_a_new_key_is_found_at_once(world: World) -> None:
    """A key that was made after the last reading comes in with its first request."""
    assert world.find("a") == ["a"]
    world.ids.add("b")
    world.now += 0.01
    assert world.find("b", "b") == ["b", "b"]
    assert world.reads == 2


def test_guesses_cause_few_readings(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """However many guess at once, the keys are read once more for all of them, and not before some time has passed."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def asleep(delay: float) -> None:
        slept.append(delay)
        world.now = max(world.now, begun + delay)
        await sleep(0)

    world.find("a")
    monkeypatch.setattr(keyring, "AGAIN_S", 0.25)
    monkeypatch.setattr(asyncio, "sleep", asleep)
    world.now += 0.05
    begun = world.now
    assert world.find(*(f"guess{at}" for at in range(500))) == [None] * 500
    assert world.reads == 2
    assert slept[0] == pytest.approx(0.2)
    world.now += AHEAD_S
    begun = world.now
    world.find("guess")
    assert slept[-1] == 0.0  # who guesses rarely waits for nothing


def test_few_guessers_wait(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """A few wait for the next reading, the others are told at once; where nobody can tell, none is told that it is wrong."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def asleep(delay: float) -> None:
        slept.append(delay)
        await sleep(0.01)

    monkeypatch.setattr(asyncio, "sleep", asleep)
    world.find("a")
    world.now += 0.01
    guesses = [f"guess{at}" for at in range(50)]
    assert world.find(*guesses, "a") == [None] * 50 + ["a"]
    assert len(slept) == GUESSERS
    world.ids.add("b")
    world.now += 0.01
    assert world.find("b") == ["b"]  # they have made room
    world.down = True
    world.now += FRESH_S + 0.1

    async def ask() -> list[object]:
        return await asyncio.gather(*(world.ring.find(one) for one in guesses), return_exceptions=True)

    with counting() as changed:
        assert all(isinstance(one, DatabaseDown) for one in asyncio.run(ask()))
    assert changed == {"tactics_keys_read_failures_total": 1}


def test_when_the_keys_were_read_is_told(world: World) -> None:
    """The metric has the wall clock's time at which the last reading began that came to something."""
    before = time.time()
    world.find("a")
    told = "tactics_keys_read_timestamp_seconds"
    found = counts_of(metrics.shown().decode())[told]
    assert before - 1 < found <= time.time()
    world.down = True
    world.now += FRESH_S + 0.1
    world.find("a")
    assert counts_of(metrics.shown().decode())[told] == found


def test_known_keys_outlive_an_outage_for_a_while(world: World) -> None:
    """Database away: known keys come in for five minutes; of others, and of callers without a key, nothing is said."""
    assert world.find("a") == ["a"]
    world.down = True
    world.now += FRESH_S + 0.1
    assert world.find("a") == ["a"]
    assert _fails(lambda: world.find("b"))
    assert _fails(lambda: asyncio.run(world.ring.none_ever_made()))
    reads = world.reads
    assert world.find("a") == ["a"]
    assert world.reads == reads  # it is not asked again at once
    world.now = 1_000.0 + OUTAGE_S
    assert world.find("a") == ["a"]
    world.settle()
    world.now += 0.1
    assert _fails(lambda: world.find("a"))
    world.down = False
    world.now += 2
    assert world.find("a", "b") == ["a", None]


def test_no_key_is_known_in_an_outage_from_the_start(world: World) -> None:
    """A process that never read the keys lets nobody in, and says so without delay."""
    world.down = True
    assert _fails(lambda: world.find("a"))
    assert _fails(lambda: asyncio.run(world.ring.none_ever_made()))
    assert world.reads == 1


def test_after_an_outage_long_ago_keys_are_read_before_a_request(world: World) -> None:
    """An outage that nobody has heard of for a while is no reason to go on with old keys."""
    world.find("a")
    world.down = True
    world.now += FRESH_S + 0.1
    world.find("a")
    world.down, world.ids = False, set()
    world.now += OUT_S + 0.1
    assert world.find("a") == [None]


def test_a_reading_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """A database that takes a request and says nothing costs the first ones a moment, and is asked by one thread only."""
    world.find("a")
    monkeypatch.setattr(keyring, "PATIENCE_S", 0.05)
    world.now += FRESH_S + 0.1
    world.go.clear()
    assert world.find("a") == ["a"]
    assert _fails(lambda: world.find("b"))
    assert world.reads == 1
    world.go.set()
    world.settle()
    assert world.reads == 2


def test_known_keys_wait_for_nothing_during_an_outage(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """While one reading after another fails or hangs, requests of known keys go on at once."""
    monkeypatch.setattr(keyring, "PATIENCE_S", OUT_S / 2)
    world.find("a")
    world.down = True
    world.now += FRESH_S + 0.1
    world.find("a")
    world.now += OUT_S / 2 + 0.1
    world.go.clear()
    found = asyncio.run(asyncio.wait_for(world.ring.find("a"), OUT_S / 4))
    assert found is not None
    world.go.set()
    world.settle()
    assert world.reads == 3


def test_whether_a_key_was_ever_made(world: World) -> None:
    """The first key closes the doors for callers without one, within the time said."""
    world.ids = set()
    assert asyncio.run(world.ring.none_ever_made())
    world.ids = {"a"}
    world.now += AHEAD_S + 0.1
    assert asyncio.run(world.ring.none_ever_made())  # nobody waits for the new ones
    world.settle()
    assert not asyncio.run(world.ring.none_ever_made())
    world.ids = set()
    world.now += FRESH_S + 0.1
    assert asyncio.run(world.ring.none_ever_made())


def test_use_is_noted_once_a_minute(world: World) -> None:
    """Many uses are written once, those of several keys together, and none while the database is away."""
    world.ids = {"a", "b", "c"}
    world.find("a")
    world.go.clear()
    world.ring._thread.submit(world.go.wait)
    for key_id in "aabab":
        world.ring.used(key_id)
    world.go.set()
    world.settle()
    assert world.used == [{"a", "b"}]
    world.now += USE_NOTED_S - 1
    world.ring.used("a")
    world.settle()
    assert len(world.used) == 1
    world.now += 1
    world.down = True
    for key_id in "ab":
        world.ring.used(key_id)
        world.settle()
    assert world.used[1:] == [{"a"}]
    for at in range(50):
        world.ring.used(f"gone{at}")
    assert len(world.ring._noted) < 10


def test_a_restarted_database_is_no_outage(runtime: Runtime) -> None:
    """A connection that was cut while nobody used it is replaced within the same reading."""
    ring, engine = open_keyring(runtime.settings)
    key = create(runtime, NewApiKey("shop", SCOPES))
    assert asyncio.run(ring.find(key.id)) is not None
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with runtime.engine.connect() as conn:
        assert conn.execute(text(cut)).scalar_one() == 1
    another = create(runtime, NewApiKey("shop", SCOPES))
    assert asyncio.run(ring.find(another.id)) is not None
    ring.close()
    engine.dispose()
