"""All measures: which keys each gives, and what is aimed at."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.bench import actions, cost_activities, cost_users, events, grants, latency, memory, placements
from tests.bench.size import Size
from tests.bench.stage import MeasureFailed


@dataclass(frozen=True)
class Measure:
    """What is measured together: by which function, under which keys."""

    take: Callable[[Size], dict[str, float]]
    keys: Sequence[str]


MEASURES = [
    Measure(module.measure, module.KEYS)
    for module in (events, actions, placements, latency, grants, cost_activities, cost_users, memory)
]
KEYS = tuple(key for one in MEASURES for key in one.keys)
AIMS = {
    "events_over_stepwise": "≥ 3",
    "events_over_dbos": "≥ 3",
    "actions_over_insert": "≥ 0.5",
    "placement_p50_over_floor": "≤ 2",
    "placement_p99_over_p50": "≤ 4",
    "grants_hot_over_bare": "≥ 0.7",
    "grants_spread_over_bare": "≥ 0.7",
    "cost_10k_activities": "≤ 1.3",
    "cost_1m_users": "≤ 1.3",
    "memory_growth": "≤ 1.1",
}


def chosen(keys: Collection[str] | None) -> list[Measure]:
    """Give the measures that give these keys; all when None."""
    return [one for one in MEASURES if keys is None or set(keys) & set(one.keys)]


def take(one: Measure, size: Size) -> dict[str, float]:
    """Take a measure, and say on stderr how long that took.

    Raises:
        MeasureFailed: a key is missing, or no finite number.
    """
    started = time.perf_counter()
    found = one.take(size)
    missing = [key for key in one.keys if not math.isfinite(found.get(key, math.nan))]
    if missing:
        raise MeasureFailed(f"no figure for {', '.join(missing)}: {found}")
    told = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
    print(f"{', '.join(one.keys)}: measured in {time.perf_counter() - started:.0f} s: {told}", file=sys.stderr)
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def show(figures: dict[str, float]) -> None:
    """Print the ratios with their aims, then the absolute figures beside them."""
    table = Table("measure", "figure", "aim", title="Ratios within this run")
    for key in KEYS:
        if key in figures:
            table.add_row(key, f"{figures[key]:g}", AIMS[key])
    absolute = Table("beside them", "figure", title="Absolute figures: this machine's, at this moment")
    for name, value in figures.items():
        if name not in KEYS:
            absolute.add_row(name, f"{value:g}")
    console = Console()
    console.print(table)
    console.print(absolute)
