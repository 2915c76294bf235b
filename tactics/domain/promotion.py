"""What an activity's rule makes of an item's price, and what buying more would make of it (C-24)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tactics.domain.activity import TacticsActivity
from tactics.rules import RuleError, price
from tactics.rules.discount import ITEM_PHASE, phase
from tactics.rules.price import LinePrice
from tactics.rules.shortfall import changes_prices, origins, shortfalls

MOST_UNMET = 3
_ADDED = frozenset({"promotion_price_minor", "rule", "unmet"})


def lowers_prices(activity: TacticsActivity) -> bool:
    """Tell whether the activity's rule can change what an order costs."""
    return changes_prices(activity.parsed_rule)


def in_currency(item: Mapping[str, Any], activity: TacticsActivity) -> bool:
    """Tell whether an item costs money of the activity's currency; one that names none does."""
    return item.get("currency") in {None, activity.currency}


def promoted(item: Mapping[str, Any], activity: TacticsActivity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give an item with its price under the activity's rule: `promotion_price_minor`, `rule` and `unmet`.

    The price is that of one piece in the order of `facts`, to which one piece is added where it has none; without an
    order that can be read and is in the activity's currency, in an order of that piece alone. It includes the
    piece's share of order discounts, rounded up: less is never promised than is charged. An item without price or in
    another currency than the activity's has no promotion, nor has one that the rule cannot decide on.

    Args:
        item: with `item_id`, and `category`, `price_minor`, `currency` where they are known.
        activity: whose rule decides.
        facts: what the rule sees. An order's price of the item counts, and is shown, instead of the catalogue's.
    """
    plain = {key: value for key, value in item.items() if key not in _ADDED}
    if not lowers_prices(activity) or not in_currency(item, activity):
        return plain
    for order in (*_readable(facts.get("order"), activity), {}):
        try:
            offer = _cheapest(item, activity, facts, order)
        except RuleError:  # the order has a line that cannot be priced
            continue
        return plain if offer is None else {**plain, **_shown(offer)}
    return plain


def _readable(order: object, activity: TacticsActivity) -> Iterator[Mapping[str, Any]]:
    if (
        isinstance(order, Mapping)
        and isinstance(order.get("lines"), list)
        and order.get("currency") in {None, activity.currency}
    ):
        yield order


@dataclass(frozen=True, slots=True)
class _Offer:
    """An item in one line of an order, and what the rule makes of that line."""

    activity: TacticsActivity
    facts: Mapping[str, Any]
    item_id: str
    line: int
    priced: LinePrice

    @property
    def record(self) -> Mapping[str, Any]:
        """The line as the order has it."""
        found: Mapping[str, Any] = self.facts["order"]["lines"][self.line]
        return found

    @property
    def quantity(self) -> int:
        """How many pieces the line has."""
        found = self.record.get("quantity")
        return 1 if found is None else int(found)

    @property
    def each_minor(self) -> int:
        """What one piece costs, never less than charged."""
        return -(-self.priced["total_minor"] // self.quantity)

    @property
    def alone(self) -> bool:
        """Whether the price stays the same whatever else is in the order: no order discount is shared out."""
        return all(phase(one["effect"]["block"]) == ITEM_PHASE for one in self.priced["applied"])

    def facts_with_more(self, pieces: int) -> dict[str, Any]:
        """Give the facts as they were with more pieces in the line."""
        lines = list(self.facts["order"]["lines"])
        lines[self.line] = {**self.record, "quantity": self.quantity + pieces}
        return {**self.facts, "order": {**self.facts["order"], "lines": lines}}

    def with_more(self, pieces: int) -> _Offer:
        """Give the same with more pieces in the line."""
        facts = self.facts_with_more(pieces)
        return replace(self, facts=facts, priced=_priced(self.activity, facts, self.item_id)[self.line])


def _priced(activity: TacticsActivity, facts: Mapping[str, Any], item_id: str) -> list[LinePrice]:
    return price(facts["order"], [activity.parsed_rule], "stack", facts, item_id=item_id)["lines"]


def _cheapest(
    item: Mapping[str, Any], activity: TacticsActivity, facts: Mapping[str, Any], order: Mapping[str, Any]
) -> _Offer | None:
    """Find the item's line in the order, the cheapest where there are several, or add one."""
    item_id, lines = str(item["item_id"]), order.get("lines", [])
    mine = [at for at, line in enumerate(lines) if isinstance(line, Mapping) and line.get("item_id") == item_id]
    if not mine:
        if item.get("price_minor") is None:
            return None
        fields = {key: item[key] for key in ("item_id", "category", "price_minor") if item.get(key) is not None}
        lines, mine = [*lines, {**fields, "quantity": 1}], [len(lines)]
    seen = {**facts, "order": {"currency": activity.currency, **order, "lines": list(lines)}}
    priced = _priced(activity, seen, item_id)
    offers = [_Offer(activity, seen, item_id, at, priced[at]) for at in mine]
    return min((one for one in offers if one.quantity), key=lambda one: one.each_minor, default=None)


def _shown(offer: _Offer) -> dict[str, Any]:
    found: dict[str, Any] = {"price_minor": offer.priced["original_unit_price_minor"]}
    if offer.each_minor < found["price_minor"]:
        found |= {"promotion_price_minor": offer.each_minor, "rule": _origin(offer)}
    unmet = list(_unmet(offer))[:MOST_UNMET]
    return {**found, **({"unmet": unmet} if unmet else {})}


def _origin(offer: _Offer) -> dict[str, Any]:
    """Name the action that saved the most on the item: its activity, its place in the rule, and what it is."""
    most = max(offer.priced["applied"], key=lambda one: one["saved_minor"])["effect"]
    found = origins(offer.activity.parsed_rule, offer.facts, item_id=offer.item_id)
    path = next((path for path, effect in found if effect == most), "")
    return {"activity": offer.activity.code, "path": path, "effect": most["block"]}


def _unmet(offer: _Offer) -> Iterator[dict[str, Any]]:
    """Find what more pieces would bring: each threshold that makes a piece cheaper than the one before."""
    rule, best = offer.activity.parsed_rule, offer.each_minor
    missing = shortfalls(rule, offer.facts, offer.facts_with_more(1), item_id=offer.item_id)
    for one in sorted(missing, key=lambda found: found.pieces):
        reached = offer.with_more(one.pieces)
        if reached.each_minor >= best:
            continue
        best = reached.each_minor
        money = one.amount_minor is not None and reached.alone
        yield {
            "needs": one.amount_minor if money else one.pieces,
            "unit": "amount_minor" if money else "quantity",
            "price_minor": best,
            "path": one.path,
        }
