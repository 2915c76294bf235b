"""Contestants timed in turn: within a round each runs for a moment, so that what disturbs the machine hits all alike.

Times are of the processor, not of the clock: others may use this machine too.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.bench.rules.size import Size

Work = tuple[Callable[[Any], Any], Sequence[Any]]
"""What is called, and with what, one after the other: one pass."""
_FEW = 3
"""A turn of no more passes is so long that it needs no other before."""


def times(works: Mapping[str, Work], size: Size, rounds: int) -> dict[str, list[float]]:
    """Time each contestant's passes.

    Args:
        works: by contestant.
        size: how long a turn lasts, and who is so slow that a few rounds have to do.
        rounds: how often each has its turn; who begins changes from round to round.

    Returns:
        Processor seconds of one call, by contestant and round.
    """
    names = list(works)
    with _undisturbed():
        took = {name: _took(work, 1) for name, work in works.items()}
        passes = {name: max(1, round(size.slice_s / took[name])) for name in names}
        taken: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            start = number % len(names)
            for name in names[start:] + names[:start]:
                if number < size.slow_rounds or took[name] <= size.slow_s:
                    taken[name].append(_turn(works[name], passes[name]))
    return taken


def over(taken: Mapping[str, Sequence[float]], one: str, other: str) -> float:
    """Give the median, over the rounds that both had a turn in, of one contestant's time over another's."""
    return statistics.median(mine / theirs for mine, theirs in zip(taken[one], taken[other], strict=False))


def _turn(work: Work, passes: int) -> float:
    """Time so many passes, after one that brings what it needs back into the processor's caches; seconds of one call."""
    if passes > _FEW:
        _took(work, 1)
    return _took(work, passes) / (passes * len(work[1]))


def _took(work: Work, passes: int) -> float:
    function, arguments = work
    started = time.process_time()
    for _ in range(passes):
        for argument in arguments:
            function(argument)
    return time.process_time() - started


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the garbage collector out, as `timeit` does: whose turn it comes in would be chance."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
