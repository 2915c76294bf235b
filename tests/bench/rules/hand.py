"""Hand-written Python: what an engineer writes for these rules and facts, without any engine.

`hand` honours what facts may leave out: a line without a quantity has 1, one without a batch (or with null) is in none,
and one without item, SKU or sales channel is not meant. It checks no types. `bare` trusts every key to be there. Both
know the sets before, test what is cheap first, and read the lines once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.bench.rules import rules
from tests.bench.rules.contestant import Contestant, Matching, after_loads
from tests.bench.rules.facts import BLOCKED, Facts
from tests.bench.rules.rules import ItemRule, MixedRule, SkuRule

_BLOCKED = frozenset(BLOCKED)
_LEVELS = frozenset(rules.R3_LEVELS)
_SEGMENTS = tuple(map(frozenset, rules.SEGMENTS))


def r1(facts: Facts) -> int | None:
    """At least 10 pieces of the item without batch."""
    count = 0
    for line in facts["order"]["lines"]:
        if line.get("item_id") == "i7" and line.get("batch") is None:
            count += line.get("quantity", 1)
    return 800 if count >= 10 else None


def r2(facts: Facts) -> int | None:
    """At least 3 pieces of the SKU, and the user is not blocked."""
    if facts["user"]["id"] in _BLOCKED:
        return None
    count = 0
    for line in facts["order"]["lines"]:
        if line.get("sku") == "s11":
            count += line.get("quantity", 1)
    return 200 if count >= 3 else None


def r3(facts: Facts) -> int | None:
    """The ladder over the sales channel's lines, for two levels of users."""
    if facts["user"]["level"] not in _LEVELS:
        return None
    amount = 0
    for line in facts["order"]["lines"]:
        if line.get("sales_channel") == "APP":
            amount += line["price_minor"] * line.get("quantity", 1)
    return 5_000 if amount >= 30_000 else 3_000 if amount >= 20_000 else 1_000 if amount >= 10_000 else None


def bare_r1(facts: Facts) -> int | None:
    """R1, where every key is there."""
    count = 0
    for line in facts["order"]["lines"]:
        if line["item_id"] == "i7" and line["batch"] is None:
            count += line["quantity"]
    return 800 if count >= 10 else None


def bare_r2(facts: Facts) -> int | None:
    """R2, where every key is there."""
    if facts["user"]["id"] in _BLOCKED:
        return None
    count = 0
    for line in facts["order"]["lines"]:
        if line["sku"] == "s11":
            count += line["quantity"]
    return 200 if count >= 3 else None


def bare_r3(facts: Facts) -> int | None:
    """R3, where every key is there."""
    if facts["user"]["level"] not in _LEVELS:
        return None
    amount = 0
    for line in facts["order"]["lines"]:
        if line["sales_channel"] == "APP":
            amount += line["price_minor"] * line["quantity"]
    return 5_000 if amount >= 30_000 else 3_000 if amount >= 20_000 else 1_000 if amount >= 10_000 else None


def many(mixed: Sequence[MixedRule]) -> Matching:
    """Give one function a rule, each computing what it needs; the cheap test, of the channel, comes first."""
    functions = [(rule.key, _function(rule)) for rule in mixed]

    def matching(facts: Facts) -> list[str]:
        return [key for key, holds in functions if holds(facts)]

    return matching


def _function(rule: MixedRule) -> Callable[[Facts], bool]:
    if isinstance(rule, ItemRule):
        return _item_function(rule.channel, rule.item_id, rule.at)
    if isinstance(rule, SkuRule):
        return _sku_function(rule.channel, rule.sku, rule.at, _SEGMENTS[rule.segment])
    return _ladder_function(rule.channel, frozenset(rule.levels), rule.sales_channel, rule.at)


def _item_function(channel: str, item_id: str, at: int) -> Callable[[Facts], bool]:
    def holds(facts: Facts) -> bool:
        if facts["event"]["channel"] != channel:
            return False
        count: int = 0
        for line in facts["order"]["lines"]:
            if line.get("item_id") == item_id and line.get("batch") is None:
                count += line.get("quantity", 1)
        return count >= at

    return holds


def _sku_function(channel: str, sku: str, at: int, segment: frozenset[str]) -> Callable[[Facts], bool]:
    def holds(facts: Facts) -> bool:
        if facts["event"]["channel"] != channel or facts["user"]["id"] in segment:
            return False
        count: int = 0
        for line in facts["order"]["lines"]:
            if line.get("sku") == sku:
                count += line.get("quantity", 1)
        return count >= at

    return holds


def _ladder_function(channel: str, levels: frozenset[str], sales_channel: str, at: int) -> Callable[[Facts], bool]:
    def holds(facts: Facts) -> bool:
        if facts["event"]["channel"] != channel or facts["user"]["level"] not in levels:
            return False
        amount: int = 0
        for line in facts["order"]["lines"]:
            if line.get("sales_channel") == sales_channel:
                amount += line["price_minor"] * line.get("quantity", 1)
        return amount >= at

    return holds


_HAND = {"r1": r1, "r2": r2, "r3": r3}
_BARE = {"r1": bare_r1, "r2": bare_r2, "r3": bare_r3}
HAND = Contestant("hand", lambda: _HAND, lambda: after_loads(_HAND), many)
BARE = Contestant("bare", lambda: _BARE, lambda: after_loads(_BARE), many)
