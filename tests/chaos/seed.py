"""One seed: everything started, the load and the faults side by side, what came of it written down and checked."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from tests.chaos import history
from tests.chaos.checker import Finding, check
from tests.chaos.faults import Faults
from tests.chaos.hearing import hearing
from tests.chaos.history import History
from tests.chaos.house import House, zygote_of
from tests.chaos.load import Clients
from tests.chaos.plan import POSTGRES, VALKEY, make_plan
from tests.chaos.playing import play
from tests.chaos.proxy import proxying
from tests.chaos.scene import write_script
from tests.chaos.servers import Servers, running_servers
from tests.chaos.shape import Shape
from tests.chaos.system import Tactics, Ways, connected, ready
from tests.provider.fixtures import simulating

_START_S = 60.0
CLIENTS, DATABASE, PROVIDER, TOLD = "clients.jsonl", "database.jsonl", "provider.jsonl", "told.jsonl"


@dataclass
class Result:
    """What came of a seed."""

    seed: int
    accepted: int
    faults: Counter[str]
    skipped: Counter[str]
    findings: list[Finding]
    answered: Counter[str]
    seconds: dict[str, float] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def count(self, category: str) -> int:
        """Count the findings of a category: lost, over_issued, stuck, wrong."""
        return sum(one.category == category for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Give it as data."""
        return {
            "seed": self.seed,
            "events": self.accepted,
            "faults": sum(self.faults.values()),
            **{name: self.count(name) for name in ("lost", "over_issued", "stuck", "wrong")},
            "by_fault": dict(self.faults),
            "skipped_faults": dict(self.skipped),
            "answers": dict(sorted(self.answered.items())),
            "starts": self.starts,
            "figures": self.figures,
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            "findings": [
                {"check": one.check, "category": one.category, "text": one.text} for one in self.findings[:50]
            ],
        }


def run_seed(shape: Shape, seed: int, home: Path, broken: str | None = None) -> Result:
    """Run a seed.

    Args:
        shape: how much of everything.
        seed: of load and faults.
        home: an empty folder for servers, logs and histories; it stays.
        broken: the name of a broken build, None for the product as it is.
    """
    begun = time.monotonic()
    script, ways = write_script(seed, shape), Ways()
    clients_file = History(home / CLIENTS)
    outside = simulating(
        home / PROVIDER,
        seed=seed,
        commit_then_timeout=shape.provider_times_out,
        error_500=shape.provider_breaks,
        reset=shape.provider_breaks,
        refuse=shape.provider_refuses,
    )
    with running_servers(home / "servers") as servers, outside as simulated, hearing(home / TOLD) as listener:
        ports = {
            POSTGRES: (ways.postgres, make_url(servers.database_url).port or 0),
            VALKEY: (ways.valkey, make_url(servers.redis_url).port or 0),
        }
        system = Tactics(shape, home, ways, simulated, listener, broken)
        with (
            zygote_of(system.program, home / "zygote.log", dict(os.environ)) as zygote,
            proxying(ports, home / "proxy.log") as proxy,
        ):
            documents = system.prepare(servers, script)
            clients_file.note("setup", seed=seed, activities=documents)
            house = House(zygote, system.members(servers), home)
            faults = Faults(make_plan(seed, shape), house, proxy, servers, clients_file)
            clients = Clients(seed, script, system.ports, system.key, clients_file)
            house.start()
            try:
                _wait(lambda: ready(system.ports), "every API to answer")
                asyncio.run(clients.come_early())
                _settle(system, servers, _START_S)
                started = time.monotonic()
                passed = play(shape, clients, faults, lambda: _waiting(system, servers))
                played = time.monotonic()
                settled = _settle(system, servers, shape.patience_s)
            finally:
                house.stop()
        clients_file.note("end", unended=settled.unended)
        clients_file.close()
        with connected(servers.database_url) as conn:
            history.dump(conn, home / DATABASE)
    findings, figures = check(*(history.lines(home / name) for name in (CLIENTS, DATABASE, PROVIDER, TOLD)))
    checked = time.monotonic()
    seconds = {
        "start": started - begun,
        "faults": played - started,
        "by_its_clock": passed,
        "settle": settled.took_s,
        "whole": checked - begun,
    }
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds["processors"] = spent.ru_utime + spent.ru_stime
    accepted = figures.pop("accepted", 0)
    figures |= {"planned_events": len(script.events), "events_per_s": round(accepted / (played - started), 1)}
    return Result(
        seed, accepted, faults.done, faults.skipped, findings, clients.answered, seconds, house.starts, figures
    )


@dataclass(frozen=True)
class _Settled:
    took_s: float
    unended: int


def _settle(system: Tactics, servers: Servers, patience_s: float) -> _Settled:
    """Wait until everything has ended, or the time for it is over."""
    begun = time.monotonic()
    with connected(servers.database_url) as conn:
        while (left := system.unended(conn)) and time.monotonic() - begun < patience_s:
            time.sleep(0.1)
    return _Settled(time.monotonic() - begun, left)


def _waiting(system: Tactics, servers: Servers) -> int:
    with connected(servers.database_url) as conn:
        return system.unended(conn)


def _wait(condition: Any, what: str) -> None:
    end = time.monotonic() + _START_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited too long for {what}")
        time.sleep(0.05)
