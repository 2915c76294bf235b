"""The plain Celery chain: honest work, as long as nothing fails."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, insert, select

from tests.chaos.plain import app
from tests.chaos.plain.checks import count
from tests.provider.fixtures import Simulated, simulating

USERS, STOCK = 12, 8


@pytest.fixture
def engine(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The plain chain's database, with little stock of everything."""
    monkeypatch.setenv(app.DATABASE, database)
    app.engine.cache_clear()
    made = create_engine(database)
    app.metadata.create_all(made)
    codes = [code for some in app.ACTIVITIES.values() for code in some]
    with made.begin() as conn:
        conn.execute(insert(app.stock), [{"activity": code, "initial": STOCK, "remaining": STOCK} for code in codes])
    yield made
    app.engine().dispose()
    app.engine.cache_clear()
    made.dispose()


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulated]:
    """A benefit system at which nothing goes wrong."""
    with simulating(tmp_path / "provider.jsonl") as found:
        monkeypatch.setenv(app.PROVIDER, f"{found.base}/grants")
        monkeypatch.setattr(app, "PROVIDER_TIMEOUT_S", 10.0)
        yield found


def test_nothing_is_lost_or_given_twice_where_nothing_fails(engine: Engine, outside: Simulated) -> None:
    """Events and visits, some of them twice and side by side: each ends, and no more is given than there is."""
    noted: list[dict[str, Any]] = []
    with ThreadPoolExecutor(4) as pool:
        for user in (f"u{number}" for number in range(USERS)):
            event = {"source": "shop", "id": user, "type": "tactics.behaviour", "data": {"user_id": user}}
            noted.append({"kind": "event", "source": "shop", "id": user, "said": "accepted"})
            for _ in range(2):
                app.record.apply((event,), throw=True)
        running = []
        for channel in app.ACTIVITIES:
            for user in (f"u{number}" for number in range(USERS)):
                key = f"{channel}-{user}"
                noted.append({"kind": "placement", "key": key, "status": 202})
                running += [pool.submit(app.chain_of(key, user, channel).apply) for _ in range(2)]
        for one in running:
            one.result()
    with engine.connect() as conn:
        counted = count(noted, conn, outside.lines())
        left = {row.activity: row.remaining for row in conn.execute(select(app.stock))}
    assert (counted.events, counted.lost, counted.over_issued, counted.stuck) == (USERS * 5, 0, 0, 0), counted.parts
    assert {code for code, remaining in left.items() if remaining} == {"lesser"}
    assert len(outside.effects()) == STOCK


def test_what_is_lost_stuck_or_given_twice_is_counted(engine: Engine) -> None:
    """Each kind of harm shows in its own figure."""
    noted: list[dict[str, Any]] = [
        {"kind": "event", "source": "shop", "id": "e1", "said": "accepted"},
        {"kind": "event", "source": "shop", "id": "e2", "said": "refused 400"},
        {"kind": "placement", "key": "v1", "status": 202},
        {"kind": "placement", "key": "v2", "status": 503},
    ]
    rows = [("stocked", f"u{number}", f"s{number}", "granted") for number in range(STOCK + 2)]
    rows += [("outside", "u1", "o1", "granted"), ("outside", "u2", "o2", "pending"), ("outside", "u3", "o3", "refused")]
    names = ("activity", "user_id", "task_id", "state")
    with engine.begin() as conn:
        conn.execute(insert(app.grants), [dict(zip(names, row, strict=True)) for row in rows])
        log = [{"what": "effect", "idempotency_id": name} for name in ("o1", "o1", "o2", "o3")]
        counted = count(noted, conn, [*log, {"what": "replay", "idempotency_id": "o1"}])
    assert counted.parts == {
        "events_lost": 1,
        "visits_lost": 1,
        "second_grants": 0,
        "beyond_stock": 2,
        "effects_beyond_grants": 3,
    }
    assert (counted.events, counted.lost, counted.over_issued, counted.stuck) == (2, 2, 5, 1)
