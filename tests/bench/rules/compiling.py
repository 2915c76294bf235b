"""What a compilation costs, in microseconds of the processor: from a rule's tree to a function that decides.

Means over many rules, a third like R1, R2 and R3 each, every one with an item, SKU or sales channel of its own.

- `compile_us`: many rules, nothing having been compiled before. The first of each shape has its code written, those after
  it differ in constants and share it; so it is when a process starts that has many activities of a few plays.
- `compile_first_us`: every rule is the first of its shape.
- `compile_warm_us`: an equal rule is alive, so what was compiled is found; its tree was not asked before.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import count, islice

from tactics.rules import Rule
from tests.bench.rules import ours
from tests.bench.rules.size import Size

KEYS = ("compile_us", "compile_first_us", "compile_warm_us")
_ROUNDS = 3
_serial = count()


def measure(size: Size) -> dict[str, float]:
    """Take all, in turn; medians of the rounds' means."""
    taken: dict[str, list[float]] = {key: [] for key in KEYS}
    for _ in range(_ROUNDS):
        names = [f"n{number}" for number in islice(_serial, size.compiled // len(ours.LIKE))]
        others = [f"n{number}" for number in islice(_serial, len(names))]
        first_us, _ = _mean_us(_trees(others), ours.forget_shapes)
        ours.forget_shapes()
        compile_us, alive = _mean_us(_trees(names), _nothing)
        warm_us, again = _mean_us(_trees(names), _nothing)
        assert all(one is other for one, other in zip(alive, again, strict=True))
        for key, value in zip(KEYS, (compile_us, first_us, warm_us), strict=True):
            taken[key].append(value)
    return {key: statistics.median(values) for key, values in taken.items()}


def _trees(names: Sequence[str]) -> list[Rule]:
    return [like(name) for name in names for like in ours.LIKE]


def _nothing() -> None:
    pass


def _mean_us(trees: Sequence[Rule], before_each: Callable[[], None]) -> tuple[float, list[object]]:
    """Compile all; gives the mean microseconds, and what was compiled, to keep it alive."""
    compiled: list[object] = []
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        for tree in trees:
            before_each()
            compiled.append(ours.compile_rule(tree))
        return (time.process_time() - started) / len(trees) * 1e6, compiled
    finally:
        gc.enable()
