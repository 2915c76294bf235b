"""The facts that every contestant judges: orders of 20 lines from one seeded generator, and what the rules speak of."""

from __future__ import annotations

import json
import random
from typing import Any

Facts = dict[str, Any]

ITEM = "i7"
"""The item of R1; on about every fourth line."""
SKU = "s11"
"""The SKU of R2; one of the item's two."""
LINES = 20
ITEMS = 200
SKUS = 300
USERS = 20_000
BLOCKED = tuple(f"u{number}" for number in range(100))
CHANNELS = tuple(f"c{number}" for number in range(10))
SALES_CHANNELS = ("APP", "PC", "H5", "MINI")
LEVELS = ("normal", "silver", "gold", "platinum")
_ITEMS_IN_AN_ORDER = 12


def orders(count: int) -> list[Facts]:
    """Give so many facts, the same in every run; every key that a rule reads is there, so that trusting code may run."""
    chance = random.Random(20)  # noqa: S311  # the same orders in every run
    return [_facts(chance) for _ in range(count)]


def sparse(facts: Facts, seed: int) -> Facts:
    """Give these facts without some of the keys that facts may leave out: for checking answers, not for timing."""
    chance = random.Random(seed)  # noqa: S311  # as above
    lines = []
    for line in facts["order"]["lines"]:
        gone = {key for key in ("quantity", "batch", "item_id", "sku", "sales_channel") if chance.random() < 0.1}
        lines.append({key: value for key, value in line.items() if key not in gone})
    return {**facts, "order": {**facts["order"], "lines": lines}}


def as_json(facts: Facts) -> bytes:
    """Give the facts as a request carries them."""
    return json.dumps(facts, separators=(",", ":")).encode()


def _facts(chance: random.Random) -> Facts:
    items = [int(ITEM[1:]), *chance.sample(range(ITEMS), _ITEMS_IN_AN_ORDER - 1)]
    return {
        "user": {"id": _user(chance), "level": chance.choice(LEVELS)},
        "event": {"channel": chance.choice(CHANNELS)},
        "order": {"currency": "CNY", "lines": [_line(chance, items) for _ in range(LINES)]},
    }


def _user(chance: random.Random) -> str:
    blocked = chance.random() < 0.15  # so that some of them are
    return f"u{chance.randrange(len(BLOCKED)) if blocked else chance.randrange(USERS)}"


def _line(chance: random.Random, items: list[int]) -> Facts:
    item = items[0] if chance.random() < 0.25 else chance.choice(items)  # about every fourth
    return {
        "item_id": f"i{item}",
        "sku": f"s{item * SKUS // ITEMS + chance.randrange(2)}",
        "quantity": chance.randrange(1, 6),
        "price_minor": chance.randrange(500, 3_000),
        "batch": None if chance.random() < 0.6 else f"b{chance.randrange(9)}",
        "sales_channel": chance.choice(SALES_CHANNELS),
    }
