"""The slowest hundredth of placements at half of saturation, beside the median.

Saturation: what two visitor processes achieve in a closed loop, each one visit after the other. Then an open loop at
half of that rate: arrivals at even distances, whatever the visits before them do, and each latency counts from the
scheduled arrival, so that a visit that waits for a slow one before it is slow too. Every visit grants, each to another
user. Of each round the 99th percentile over the median; the figure is the median of rounds.

Arrivals at even distances, as load generators with a constant rate have them, show the engine's own unevenness. With
random arrivals a queue forms at half of saturation even before a server that always takes equally long: one such queue
alone has p99 at 4.3 times the median.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from tactics.local import Local
from tests.bench import scene, visits
from tests.bench.clients import Clients, clients
from tests.bench.size import Size
from tests.bench.stage import stage

KEYS = ("placement_p99_over_p50",)
VISITORS = 2
_SOON_S = 0.2


def measure(size: Size) -> dict[str, float]:
    """Take all rounds; a short one before them warms up."""
    sizes = [(size.saturating_visits, size.saturating_visits)]
    sizes += [(size.saturating_visits, size.open_visits)] * size.latency_rounds
    users = sum(closed + opened for closed, opened in sizes)
    with stage() as local, clients(visits.visitor, [(local.settings,)] * VISITORS) as visitors:
        scene.set_up(local.app, users)
        rounds, first = [], 0
        for closed, opened in sizes:
            rounds.append(_round(local, visitors, first, closed, opened))
            first += closed + opened
    ratios, medians, saturations = zip(*rounds[1:], strict=True)
    return {
        "placement_p99_over_p50": statistics.median(ratios),
        "placement_half_load_p50_ms": statistics.median(medians),
        "placement_saturation_per_s": statistics.median(saturations),
    }


def _round(local: Local, visitors: Clients, first: int, closed: int, opened: int) -> tuple[float, float, float]:
    """Find the saturation, then load with half of it; gives p99 over p50, p50 in ms, and the saturation a second."""
    visits.prepare(local, range(first, first + closed + opened))
    answers = visitors.ask(_orders(range(first, first + closed), 0.0))
    saturation = closed / max(took for _, took in answers)
    gap_s = VISITORS / (saturation / 2)
    answers = visitors.ask(_orders(range(first + closed, first + closed + opened), gap_s))
    latencies = [one for found, _ in answers for one in found]
    p50 = statistics.median(latencies)
    return statistics.quantiles(latencies, n=100)[98] / p50, p50, saturation


def _orders(user_numbers: Sequence[int], gap_s: float) -> list[tuple[Sequence[int], float, float]]:
    """Share users out; the visitors' arrivals alternate."""
    begin_at = time.time() + _SOON_S
    return [(user_numbers[one::VISITORS], begin_at + one * gap_s / VISITORS, gap_s) for one in range(VISITORS)]
