"""What is judged: the rules R1 to R3, and 1,000 or 10,000 rules like them, as every contestant reads them.

R1: at least 10 pieces of an item without batch → its price is 8.00. R2: at least 3 pieces of a SKU, and the user is
not one of 100 blocked ones → its price is 2.00. R3: what was sold in one sales channel is worth 100/200/300.00, and
the user's level is one of two → 10/30/50.00 off the order.

Of many rules, 40 % are like R1, 30 % like R2 with one of 10 segments of users, 30 % like R3; each is for one of 10
channels of events, one of 200 items, one of 300 SKUs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.rules.facts import CHANNELS, ITEM, ITEMS, LEVELS, SALES_CHANNELS, SKU, SKUS, USERS

SINGLE = ("r1", "r2", "r3")
R1_ITEM, R1_AT, R1_PRICE = ITEM, 10, 800
R2_SKU, R2_AT, R2_PRICE = SKU, 3, 200
R3_LEVELS, R3_SALES_CHANNEL = ("gold", "platinum"), "APP"
R3_STEPS = ((10_000, 1_000), (20_000, 3_000), (30_000, 5_000))
"""From which amount, how much off; from the least to the most."""
_SEGMENT = 400
_chance = random.Random(10)  # noqa: S311  # the same segments in every run
SEGMENTS = tuple(tuple(f"u{number}" for number in sorted(_chance.sample(range(USERS), _SEGMENT))) for _ in range(10))


@dataclass(frozen=True)
class ItemRule:
    """One like R1."""

    key: str
    channel: str
    item_id: str
    at: int


@dataclass(frozen=True)
class SkuRule:
    """One like R2; `segment` numbers the users who are left out."""

    key: str
    channel: str
    sku: str
    at: int
    segment: int


@dataclass(frozen=True)
class LadderRule:
    """One like R3; `steps` from the least to the most, so that the first one's amount decides whether it matches."""

    key: str
    channel: str
    levels: tuple[str, ...]
    sales_channel: str
    steps: tuple[tuple[int, int], ...]

    @property
    def at(self) -> int:
        """From which amount it matches."""
        return self.steps[0][0]


MixedRule = ItemRule | SkuRule | LadderRule


def mixed(count: int) -> Sequence[MixedRule]:
    """Give so many rules; the first ones are the same whatever the count."""
    chance = random.Random(7)  # noqa: S311  # the same rules in every run
    return [_rule(chance, f"a{number}") for number in range(count)]


def _rule(chance: random.Random, key: str) -> MixedRule:
    channel, kind = chance.choice(CHANNELS), chance.random()
    if kind < 0.4:  # 40 %
        return ItemRule(key, channel, f"i{chance.randrange(ITEMS)}", chance.randrange(3, 12))
    if kind < 0.7:  # 30 %
        return SkuRule(key, channel, f"s{chance.randrange(SKUS)}", R2_AT, chance.randrange(len(SEGMENTS)))
    levels = tuple(chance.sample(LEVELS, chance.randrange(1, 4)))
    least = chance.randrange(50, 400) * 100
    steps = ((least, 1_000), (2 * least, 3_000), (3 * least, 5_000))
    return LadderRule(key, channel, levels, chance.choice(SALES_CHANNELS), steps)
