"""What "why not" costs: `decide`, which names the conjunct that failed, beside `matches`, which says no only.

Each rule has three conjuncts that cost about the same, and fails at the last one listed.
"""

from __future__ import annotations

from tactics.rules import amount_at_least, give_points, no_batch_item_quantity, order_amount, order_quantity, so
from tests.bench.rules import ours, rules
from tests.bench.rules.facts import orders
from tests.bench.rules.size import Size
from tests.bench.rules.timing import over, times
from tests.bench.stage import MeasureFailed

KEYS = ("why_over_plain",)
NEVER = 100_000_000
"""More than any order is worth, in minor units."""


def measure(size: Size) -> dict[str, float]:
    """Take both, in turn."""
    first = amount_at_least(no_batch_item_quantity(rules.R1_ITEM), 1)
    second = amount_at_least(order_quantity(), 1)
    last = amount_at_least(order_amount(sales_channel=rules.R3_SALES_CHANNEL), NEVER)
    compiled = ours.compile_rule(so(first & second & last, give_points(1)))
    facts = [one for one in orders(size.orders) if not compiled.matches(one)]
    for one in facts:
        paths = {reason.path for reason in compiled.calculate(one).reasons}
        if paths != {"/so/when/and/2"}:
            raise MeasureFailed(f"the rule fails at {paths}")
    works = {"decide": (compiled.decide, facts), "matches": (compiled.matches, facts)}
    taken = times(works, size, size.rounds)
    return {"why_over_plain": over(taken, "decide", "matches")}
