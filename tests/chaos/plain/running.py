"""Runs a seed on the plain chain: the same clients, proxy, supervisor and faults as Tactics has."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import Engine, create_engine, func, insert, make_url, select

from tactics.embedded.home import free_port
from tests.chaos.faults import Faults
from tests.chaos.history import History, lines
from tests.chaos.house import House, Member, zygote_of
from tests.chaos.load import Clients
from tests.chaos.plain.app import (
    BROKER,
    DATABASE,
    PROVIDER,
    TIME_LIMIT,
    VISIBILITY,
    events,
    grants,
    metadata,
    stock,
    visits,
)
from tests.chaos.plain.checks import Counted, count
from tests.chaos.plan import POSTGRES, VALKEY, make_plan
from tests.chaos.playing import play
from tests.chaos.proxy import proxying
from tests.chaos.scene import SLOTS, Script, documents, write_script
from tests.chaos.servers import Servers, running_servers
from tests.chaos.shape import Shape
from tests.chaos.system import Ways, ready
from tests.provider.fixtures import simulating

_START_S = 60.0
# Nobody knows when a chain without an inbox is done: when nothing has changed for longer than a retry may wait.
_QUIET_S = 22.0
_UNLIMITED = 1_000_000


@dataclass(frozen=True)
class PlainResult:
    """What came of a seed; the keys are those of Tactics' own result."""

    seed: int
    counted: Counted
    faults: Counter[str]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Give it as data."""
        told = asdict(self.counted)
        faults = {"faults": sum(self.faults.values()), "by_fault": dict(self.faults)}
        return {"seed": self.seed, "system": "plain celery chain", **told, **faults, "seconds": round(self.seconds, 1)}


def run_plain(shape: Shape, seed: int, home: Path) -> PlainResult:
    """Run a seed.

    Args:
        shape: how much of everything.
        seed: of load and faults.
        home: an empty folder for servers, logs and histories; it stays.
    """
    begun, script, ways = time.monotonic(), write_script(seed, shape), Ways()
    clients_file, provider_log = History(home / "clients.jsonl"), home / "provider.jsonl"
    wrong: dict[str, Any] = {"commit_then_timeout": shape.provider_times_out, "refuse": shape.provider_refuses}
    wrong |= {"error_500": shape.provider_breaks, "reset": shape.provider_breaks}
    with (
        running_servers(home / "servers") as servers,
        simulating(provider_log, seed=seed, **wrong) as outside,
        zygote_of("tests.chaos.plain.program", home / "zygote.log", dict(os.environ)) as zygote,
        proxying(_ports(servers, ways), home / "proxy.log") as proxy,
    ):
        engine = create_engine(servers.database_url, pool_pre_ping=True)
        _prepare(engine, script, shape)
        ports = [free_port() for _ in range(shape.apis)]
        members = _members(shape, ports, _environment(shape, servers, ways, f"{outside.base}/grants"))
        house = House(zygote, members, home)
        clients = Clients(seed, script, ports, "", clients_file)
        faults = Faults(make_plan(seed, shape), house, proxy, servers, clients_file)
        house.start()
        try:
            _wait(lambda: ready(ports), "every API to answer")
            asyncio.run(clients.come_early())
            play(shape, clients, faults, lambda: _queued(servers))
            _rest(engine, shape.patience_s)
        finally:
            house.stop()
        clients_file.close()
        with engine.connect() as conn:
            counted = count(lines(home / "clients.jsonl"), conn, lines(provider_log) if provider_log.exists() else ())
        engine.dispose()
    return PlainResult(seed, counted, faults.done, time.monotonic() - begun)


def _ports(servers: Servers, ways: Ways) -> dict[str, tuple[int, int]]:
    return {
        POSTGRES: (ways.postgres, make_url(servers.database_url).port or 0),
        VALKEY: (ways.valkey, make_url(servers.redis_url).port or 0),
    }


def _prepare(engine: Engine, script: Script, shape: Shape) -> None:
    """Make the tables, with the same stock as Tactics' activities have."""
    metadata.create_all(engine)
    declared = {
        one["code"]: next(iter(one["benefits"].values())).get("stock", _UNLIMITED)
        for one in documents(script, shape, "local")
    }
    codes = [code for _, _, _, some in SLOTS for code in some]
    with engine.begin() as conn:
        conn.execute(
            insert(stock), [{"activity": one, "initial": declared[one], "remaining": declared[one]} for one in codes]
        )


def _environment(shape: Shape, servers: Servers, ways: Ways, provider_url: str) -> Mapping[str, str]:
    own = {
        DATABASE: make_url(servers.database_url).set(port=ways.postgres).render_as_string(hide_password=False),
        BROKER: make_url(servers.redis_url).set(port=ways.valkey).render_as_string(hide_password=False),
        PROVIDER: provider_url,
        VISIBILITY: str(shape.visibility_timeout_s),
        TIME_LIMIT: str(shape.task_time_limit_s),
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("TACTICS_")}, **own}


def _members(shape: Shape, ports: list[int], env: Mapping[str, str]) -> list[Member]:
    workers = [
        Member(f"worker-{one}", "worker", ("worker", f"w{one}", str(shape.pool)), env) for one in range(shape.workers)
    ]
    return [*workers, *(Member(f"api-{one}", "api", ("api", str(port)), env) for one, port in enumerate(ports))]


def _queued(servers: Servers) -> int:
    """Count the messages that wait: all that tells of a backlog here."""
    with redis.Redis.from_url(servers.redis_url, socket_timeout=2) as client:
        return int(client.llen("celery"))


def _rest(engine: Engine, patience_s: float) -> None:
    """Wait until nothing has changed for a while, or the time for it is over."""
    end, quiet_since, before = time.monotonic() + patience_s, time.monotonic(), None
    while time.monotonic() < min(end, quiet_since + _QUIET_S):
        time.sleep(0.2)
        with engine.connect() as conn:
            now = [conn.execute(select(func.count()).select_from(one)).scalar_one() for one in (events, visits)]
            now.append(conn.execute(select(func.count()).where(grants.c.state == "pending")).scalar_one())
        if now != before:
            quiet_since, before = time.monotonic(), now


def _wait(condition: Any, what: str) -> None:
    end = time.monotonic() + _START_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited too long for {what}")
        time.sleep(0.05)
