"""How much is measured: enough for figures that hold on a noisy machine, or just enough to see that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Counts for one run."""

    orders: int = 20
    rounds: int = 100
    """Of single rules beside hand-written functions."""
    peer_rounds: int = 25
    """Of peers, and of many rules."""
    slow_rounds: int = 3
    """Of contestants that take more than `slow_s` for one pass over the orders, in seconds."""
    slow_s: float = 0.15
    slice_s: float = 0.01
    """About how long a contestant's turn lasts, in seconds."""
    some: int = 1_000
    """Rules."""
    many: int = 10_000
    compiled: int = 1_500
    """Rules that are compiled, a third of each kind."""


FULL = Size()
QUICK = Size(orders=8, rounds=15, peer_rounds=7, slow_rounds=1, slice_s=0.003, many=3_000, compiled=90)
TINY = Size(orders=4, rounds=2, peer_rounds=1, slow_rounds=1, slice_s=0.0001, some=30, many=90, compiled=6)
"""For the benchmarks' own test."""
