"""What an event costs in a small world and in a large one: the same events, in turn, each with a worker of its own."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tactics.local import Local
from tests.bench.size import Size
from tests.bench.stage import BATCH, work_through

Messages = Callable[[str, int], list[dict[str, Any]]]
"""Gives so many events, under a name that makes their ids."""
WARM_UP = 4 * BATCH
MOST = 5_000


@dataclass
class World:
    """An engine with its data, and the events that it is given. `behaviours` prepare an instance each, `actions` none."""

    local: Local
    behaviours: Messages
    actions: Messages
    handed_in: int = 0

    def cost_s(self, kind: str, count: int) -> float:
        """Work so many events through; gives the seconds of one."""
        self.handed_in += 1
        make = self.behaviours if kind == "behaviours" else self.actions
        messages = make(f"{kind}-{self.handed_in}", count)
        return work_through(self.local, messages, prepares=count if kind == "behaviours" else 0) / count


def compare(small: World, large: World, size: Size) -> dict[str, float]:
    """Give, for behaviour events and for user actions, what one costs in each world (ms), and by how much more.

    A probe says how many events fill a round, in each world by itself.
    """
    found: dict[str, float] = {}
    for kind in ("behaviours", "actions"):
        counts = [_enough(world, kind, size.cost_round_s) for world in (small, large)]
        pairs = [
            (small.cost_s(kind, counts[0]) * 1000, large.cost_s(kind, counts[1]) * 1000)
            for _ in range(size.cost_rounds)
        ]
        found[f"{kind}_ms_small"] = statistics.median(one for one, _ in pairs)
        found[f"{kind}_ms_large"] = statistics.median(other for _, other in pairs)
        found[kind] = statistics.median(other / one for one, other in pairs)
    return found


def _enough(world: World, kind: str, seconds: float) -> int:
    """Find how many events fill so many seconds, in whole batches; the first ones are left out, for they warm up."""
    world.cost_s(kind, WARM_UP)
    count = BATCH
    while True:
        wanted = min(MOST, max(BATCH, round(seconds / world.cost_s(kind, count) / BATCH) * BATCH))
        if wanted <= 2 * count:
            return wanted
        count = wanted
