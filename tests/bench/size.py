"""How much of everything is measured: enough for figures that hold, or just enough to see that a measure works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Counts for one run of the benchmarks."""

    rounds: int = 5
    """Most rounds that count; each measure does one more before, to warm up."""
    rounds_s: float = 60.0
    """A measure whose rounds take longer than that stops after fewer: three, at least. In seconds."""
    events: int = 600
    """Behaviour events, or baseline chains, in a round."""
    actions: int = 3_000
    """User actions in a round, and as many one-row inserts; a multiple of 100."""
    visits: int = 300
    """Placements in a round, one after the other."""
    latency_rounds: int = 3
    saturating_visits: int = 600
    """Visits of a closed loop that finds the saturation, over all visitors."""
    open_visits: int = 3_000
    """Visits of an open loop at half of the saturation, over all visitors."""
    grant_s: float = 1.5
    """How long a round of grants lasts, in seconds."""
    benefits: int = 1_000
    cost_rounds: int = 3
    cost_round_s: float = 2.0
    """About how long a round of a cost measure should last, in seconds: its count of events follows from a probe."""
    few_activities: int = 10
    many_activities: int = 10_000
    few_users: int = 1_000
    many_users: int = 1_000_000
    early_events: int = 10_000
    """Events after which a worker's memory is first read."""
    late_events: int = 200_000
    """Events after which it is read again."""


FULL = Size()
QUICK = Size(
    rounds=1,
    events=100,
    actions=300,
    visits=30,
    latency_rounds=1,
    saturating_visits=40,
    open_visits=100,
    grant_s=0.3,
    benefits=10,
    cost_rounds=1,
    cost_round_s=0.3,
    many_activities=100,
    many_users=5_000,
    early_events=500,
    late_events=1_500,
)
