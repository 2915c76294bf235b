"""Runs in which a broken build has to be caught; the product as it is passes the same runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.chaos.broken import BUILDS
from tests.chaos.seed import Result, run_seed
from tests.chaos.shape import Shape

SHORT = Shape().scaled(0.05)


def directed(name: str, home: Path, *, seed: int = 1, whole: bool = False) -> Result:
    """Run what shows a broken build.

    Args:
        name: of `tests.chaos.broken.BUILDS`.
        home: an empty folder, which stays.
        seed: of load and faults.
        whole: leave the product as it is.
    """
    shape = SHORT.but(**BUILDS[name].shape)
    if whole:  # for what never ends, nobody waits long; what does end has its whole time
        return run_seed(shape.but(patience_s=SHORT.patience_s), seed, home)
    return run_seed(shape, seed, home, name)


def catches(name: str, result: Result) -> frozenset[str]:
    """Give the checks that caught a broken build, of those that are there to; empty: it got through."""
    return BUILDS[name].expected & {one.check for one in result.findings}


def caught(results: Iterable[tuple[str, Result]]) -> list[str]:
    """Give the names of the builds that were caught, for `broken_builds_caught` of the JSON."""
    return sorted(name for name, result in results if catches(name, result))
