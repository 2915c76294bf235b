"""What peers are given: resources computed by the host, so that a peer's own language judges only.

The host reads facts as `hand` does: it honours what they may leave out, and checks no types.

A peer could filter and sum an order's lines in its own language instead; for every one of them that was 3 to 200 times
slower, since the whole order has to be brought over first. So this is what a user of such a library does, and it is
inside what is timed. For many rules it is one pass over the lines for all.
"""

from __future__ import annotations

from typing import Any

from tests.bench.rules import rules
from tests.bench.rules.facts import BLOCKED, Facts
from tests.bench.rules.rules import SEGMENTS

_BLOCKED = frozenset(BLOCKED)
_SEGMENTS = tuple(map(frozenset, SEGMENTS))


def r1(facts: Facts) -> dict[str, Any]:
    """Give `count`, the pieces without batch of R1's item."""
    count = 0
    for line in facts["order"]["lines"]:
        if line.get("item_id") == rules.R1_ITEM and line.get("batch") is None:
            count += line.get("quantity", 1)
    return {"count": count}


def r2(facts: Facts) -> dict[str, Any]:
    """Give `blocked` and `count`, the pieces of R2's SKU."""
    count = 0
    for line in facts["order"]["lines"]:
        if line.get("sku") == rules.R2_SKU:
            count += line.get("quantity", 1)
    return {"blocked": facts["user"]["id"] in _BLOCKED, "count": count}


def r3(facts: Facts) -> dict[str, Any]:
    """Give `level` and `amount`, the worth of R3's sales channel, in minor units."""
    amount = 0
    for line in facts["order"]["lines"]:
        if line.get("sales_channel") == rules.R3_SALES_CHANNEL:
            amount += line["price_minor"] * line.get("quantity", 1)
    return {"level": facts["user"]["level"], "amount": amount}


VALUES = {"r1": r1, "r2": r2, "r3": r3}


def sums(facts: Facts) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Give the pieces without batch by item, the pieces by SKU, and the amounts by sales channel, in minor units."""
    items: dict[str, int] = {}
    skus: dict[str, int] = {}
    amounts: dict[str, int] = {}
    for line in facts["order"]["lines"]:
        quantity = line.get("quantity", 1)
        key = line.get("sku")
        skus[key] = skus.get(key, 0) + quantity
        key = line.get("sales_channel")
        amounts[key] = amounts.get(key, 0) + quantity * line["price_minor"]
        if line.get("batch") is None:
            key = line.get("item_id")
            items[key] = items.get(key, 0) + quantity
    return items, skus, amounts


def segments(facts: Facts) -> list[bool]:
    """Say of each segment whether the user is in it."""
    user_id = facts["user"]["id"]
    return [user_id in members for members in _SEGMENTS]


def nested(facts: Facts) -> dict[str, Any]:
    """Give all of it as one object: `channel`, `level`, `items`, `skus`, `amounts`, `segments`."""
    items, skus, amounts = sums(facts)
    return {
        "channel": facts["event"]["channel"],
        "level": facts["user"]["level"],
        "items": items,
        "skus": skus,
        "amounts": amounts,
        "segments": segments(facts),
    }


def flat(facts: Facts) -> dict[str, Any]:
    """Give it with one name a value: `channel`, `level`, `item_…`, `sku_…`, `amount_…`, `segment_…`."""
    items, skus, amounts = sums(facts)
    found: dict[str, Any] = {"channel": facts["event"]["channel"], "level": facts["user"]["level"]}
    found |= {f"item_{key}": value for key, value in items.items()}
    found |= {f"sku_{key}": value for key, value in skus.items()}
    found |= {f"amount_{key}": value for key, value in amounts.items()}
    found |= {f"segment_{number}": inside for number, inside in enumerate(segments(facts))}
    return found
