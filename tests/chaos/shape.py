"""How much of everything a run has."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

_SHORTEST_S = 14.0
_LEAST_BACKLOG = 200
_COUNTED = (
    "events",
    "users",
    "placements",
    "kills",
    "stops",
    "cuts",
    "dropped_replies",
    "stalls",
    "valkey_kills",
    "flushes",
    "postgres_stops",
    "clock_jumps",
)


@dataclass(frozen=True)
class Shape:
    """A run of one seed. The times are those of the product's settings, shrunk so that a stop can outlast them;
    `claim_s` doubles with each attempt, up to 32 times as long, and must come round within `patience_s` then.

    `duplicated` and `reordered` are shares of the events, `short` is by how much stock falls short of what is asked for.
    The outside provider commits and then says nothing, answers with errors or resets, and refuses, at these shares.
    """

    events: int = 10_000
    users: int = 2_000
    placements: int = 4_000
    duplicated: float = 0.2
    reordered: float = 0.2
    short: float = 0.3
    seconds: float = 240.0
    kills: int = 200
    stops: int = 50
    cuts: int = 60
    dropped_replies: int = 20
    stalls: int = 10
    valkey_kills: int = 5
    flushes: int = 2
    postgres_stops: int = 10
    clock_jumps: int = 4
    provider_times_out: float = 0.1
    provider_breaks: float = 0.04
    provider_refuses: float = 0.03
    workers: int = 3
    pool: int = 2
    apis: int = 3
    task_time_limit_s: int = 4
    lease_s: int = 5
    claim_s: float = 1.5
    visibility_timeout_s: int = 7
    backlog: int = 600
    """The run's clock stands still while more than this has not ended."""
    patience_s: float = 60.0
    """How long after the last fault everything must have ended."""

    def scaled(self, factor: float) -> Self:
        """Give a smaller run: every kind of fault is left, once at least."""
        counts = {name: max(1, round(getattr(self, name) * factor)) for name in _COUNTED if getattr(self, name)}
        backlog = max(_LEAST_BACKLOG, round(self.backlog * factor))
        return replace(self, **counts, seconds=max(_SHORTEST_S, self.seconds * factor), backlog=backlog)

    def but(self, **changes: Any) -> Self:
        """Give a run in which something is different.

        Raises:
            TypeError: there is no such field.
        """
        return replace(self, **changes)

    @property
    def faults(self) -> int:
        """How many faults the plan has, what the outside provider does aside."""
        return sum(getattr(self, one.name) for one in fields(self) if one.name in _COUNTED[3:])
