"""R1 to R3, one compiled rule each, beside hand-written functions; average over orders of 20 lines.

Ours: `compile_rule(rule).decide(facts)`, which says whether the rule matches, by which step and, where it does not,
at which conjunct it failed; and `.calculate(facts)`, the full answer with its effects. Beside them `hand` and `bare`
(see `hand.py`), which give the price or the amount off.
"""

from __future__ import annotations

from tests.bench.rules import hand, ours, verify
from tests.bench.rules.facts import orders
from tests.bench.rules.rules import SINGLE
from tests.bench.rules.size import Size
from tests.bench.rules.timing import over, times

KEYS = (*(f"{name}_over_hand" for name in SINGLE), *(f"{name}_over_bare" for name in SINGLE), "calculate_over_hand")


def measure(size: Size) -> dict[str, float]:
    """Take all, in turn."""
    facts = orders(size.orders)
    by_hand, bare = hand.HAND.single(), hand.BARE.single()
    figures: dict[str, float] = {}
    full = []
    for name in SINGLE:
        wanted = verify.ours_are_by_hand(name, facts)
        verify.same(f"bare {name}", map(bare[name], facts), wanted)
        compiled = ours.single(name)
        contestants = {
            "ours": compiled.decide,
            "hand": by_hand[name],
            "bare": bare[name],
            "calculate": compiled.calculate,
        }
        works = {who: (judge, facts) for who, judge in contestants.items()}
        taken = times(works, size, size.rounds)
        figures[f"{name}_over_hand"] = over(taken, "ours", "hand")
        figures[f"{name}_over_bare"] = over(taken, "ours", "bare")
        full.append(over(taken, "calculate", "hand"))
    return figures | {"calculate_over_hand": sum(full) / len(full)}
