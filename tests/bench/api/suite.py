"""All measures: which keys each gives, and what is aimed at."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.bench.api import ingest, memory, placement
from tests.bench.api.size import Size
from tests.bench.stage import MeasureFailed


@dataclass(frozen=True)
class Measure:
    """What is measured together: by which function, under which keys."""

    take: Callable[[Size], dict[str, float]]
    keys: Sequence[str]


MEASURES = [Measure(module.measure, module.KEYS) for module in (ingest, placement, memory)]
KEYS = tuple(key for one in MEASURES for key in one.keys)
AIMS = {
    "ingest_single_over_bare": "≥ 0.7",
    "ingest_batch_over_bare": "≥ 10",
    "placement_p50_over_bare": "≤ 3",
    "placement_p99_over_p50": "≤ 5",
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
    print(f"{', '.join(one.keys)}: measured in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def show(figures: dict[str, float]) -> None:
    """Print the ratios with their aims, then the absolute figures beside them."""
    table = Table("measure", "figure", "aim", title="Ratios within this run")
    absolute = Table("beside them", "figure", title="Absolute figures: this machine's, at this moment")
    for name, value in figures.items():
        if name in AIMS:
            table.add_row(name, f"{value:g}", AIMS[name])
        else:
            absolute.add_row(name, f"{value:g}")
    console = Console()
    console.print(table)
    console.print(absolute)
