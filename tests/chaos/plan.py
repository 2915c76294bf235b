"""The plan of a seed: every fault, made up front, so that a seed can be read and run again."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tests.chaos.shape import Shape

Kind = Literal["kill", "stop", "cut", "drop_reply", "stall", "valkey_kill", "flush", "postgres_stop", "clock_jump"]
POSTGRES, VALKEY = "postgres", "valkey"
SERVERS = (POSTGRES, VALKEY)
KILLED = ("worker", "child", "api")
STOPPED = ("worker", "child", "api", "group")
DROPPED = {POSTGRES: ("", "COMMIT"), VALKEY: ("", "EVALSHA", "LPUSH")}
"""What the request whose answer is swallowed contains; empty: any."""


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that goes wrong.

    `at_s` counts from the begin of the fault phase; `target` is a role or a server; `pick`, in [0, 1), chooses among the
    processes that have the role by then; `how` is the manner, `for_s` how long.
    """

    at_s: float
    kind: Kind
    target: str
    pick: float = 0.0
    for_s: float = 0.0
    how: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give it as data."""
        return asdict(self)


def make_plan(seed: int, shape: Shape) -> list[Fault]:
    """Make the plan of a seed: the same for the same seed and shape, in the order of time."""
    rng = random.Random(f"faults of {seed}")  # noqa: S311  # to be repeated, not to be kept secret
    found: list[Fault] = []

    def some(count: int, kind: Kind, **fixed: Any) -> list[Fault]:
        return [Fault(round(rng.uniform(0.02, 0.97) * shape.seconds, 3), kind, **fixed) for _ in range(count)]

    for number in range(shape.kills):
        found += some(1, "kill", target=KILLED[number % len(KILLED)], pick=rng.random())
    outlasting = max(shape.lease_s, shape.visibility_timeout_s, shape.claim_s)
    for number in range(shape.stops):
        for_s = round(outlasting + rng.uniform(0.5, 2.0), 3)
        found += some(1, "stop", target=STOPPED[number % len(STOPPED)], pick=rng.random(), for_s=for_s)
    for number in range(shape.cuts):
        lasting = number % 2 == 1
        for_s = round(rng.uniform(0.3, 2.0), 3) if lasting else 0.0
        how = ("refuse", "blackhole")[number // 2 % 2] if lasting else "close"
        found += some(1, "cut", target=SERVERS[number // 4 % 2], for_s=for_s, how=how)
    for number in range(shape.dropped_replies):
        server = SERVERS[number % 2]
        found += some(1, "drop_reply", target=server, how=rng.choice(DROPPED[server]))
    for number in range(shape.stalls):
        found += some(1, "stall", target=SERVERS[number % 2], for_s=round(rng.uniform(1.0, 4.0), 3))
    found += some(shape.valkey_kills, "valkey_kill", target=VALKEY)
    found += some(shape.flushes, "flush", target=VALKEY)
    found += some(shape.postgres_stops, "postgres_stop", target=POSTGRES)
    for number in range(shape.clock_jumps):
        found += some(1, "clock_jump", target="clock", for_s=2.0, how=("+1h", "-1h")[number % 2])
    return sorted(found)
