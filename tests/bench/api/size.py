"""How much is measured: enough for figures that hold, or just enough to see that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Counts and seconds for one run."""

    rounds: int = 5
    """Rounds that count; one more before them warms up."""
    ingest_s: float = 3.0
    """How long each contestant is loaded in a round."""
    connections: int = 32
    """Connections of a closed loop, for us and for the baseline."""
    quiet_s: float = 4.0
    """How long placements come at a low rate, in a round."""
    quiet_rate: float = 40.0
    """Requests a second where nothing waits for anything else."""
    loaded_s: float = 8.0
    """How long placements come at half of saturation, in a round."""
    early_requests: int = 20_000
    """Requests after which the API's memory is first read."""
    late_requests: int = 200_000
    """Requests after which it is read again."""


FULL = Size()
QUICK = Size(
    rounds=1,
    ingest_s=0.5,
    connections=8,
    quiet_s=1.0,
    loaded_s=1.0,
    early_requests=200,
    late_requests=600,
)
