"""Which of 1,000 and 10,000 rules match: our `RuleSet` beside a hand-written function a rule; average over orders."""

from __future__ import annotations

from tests.bench.rules import hand, ours, verify
from tests.bench.rules.facts import orders
from tests.bench.rules.rules import mixed
from tests.bench.rules.size import Size
from tests.bench.rules.timing import Work, over, times

KEYS = ("rules_1000_over_hand", "rules_10000_over_1000", "rules_10000_over_hand")


def measure(size: Size) -> dict[str, float]:
    """Take the three ratios one after the other: large sets would drive small ones out of the processor's caches."""
    some, many = _contestants(size.some, size), _contestants(size.many, size)
    by_some = times(some, size, size.peer_rounds)
    by_many = times(many, size, size.peer_rounds)
    growing = times({"some": some["ours"], "many": many["ours"]}, size, size.peer_rounds)
    return {
        "rules_1000_over_hand": over(by_some, "ours", "hand"),
        "rules_10000_over_1000": over(growing, "many", "some"),
        "rules_10000_over_hand": over(by_many, "ours", "hand"),
    }


def _contestants(count: int, size: Size) -> dict[str, Work]:
    """Give both for so many rules; raises MeasureFailed when they differ."""
    facts, rules = orders(size.orders), mixed(count)
    our, by_hand = ours.many(rules), hand.many(rules)
    verify.keys(f"hand, of {count} rules,", by_hand, facts, [ours.keys(our, one) for one in facts])
    return {"ours": (our.matching, facts), "hand": (by_hand, facts)}
