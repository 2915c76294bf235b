"""What one effect takes off each line of an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from tactics.rules.order import Line
from tactics.rules.spread import half_up, spread
from tactics.rules.value import exact

Params: TypeAlias = Mapping[str, Any]

_PERCENT = 100
# The phases of a calculation: all item effects come before all order effects; what changes no price comes last.
ITEM_PHASE, ORDER_PHASE, NO_PRICE_PHASE = range(3)


def phase(block: str) -> int:
    """When an action's effect has its turn."""
    return ITEM_PHASE if block in _ITEM else ORDER_PHASE if block in _ORDER else NO_PRICE_PHASE


def savings(effect: Mapping[str, Any], lines: Sequence[Line], totals: Sequence[int]) -> list[int]:
    """What the effect takes off each line, in minor units, `totals` being what the lines cost so far.

    Never more than a line costs. An effect that does not change prices takes off nothing.
    """
    block, params, times = effect["block"], effect["params"], effect["times"]
    if block in _ITEM:
        take = _ITEM[block]
        return [
            min(total, take(params, times, line, total)) if _means(params, line) else 0
            for line, total in zip(lines, totals, strict=True)
        ]
    if block in _ORDER:
        running = sum(totals)
        original = sum(line.total_minor for line in lines)
        return spread(min(running, _ORDER[block](params, times, original, running)), totals)
    return [0] * len(lines)


def _means(params: Params, line: Line) -> bool:
    """Whether the effect is about the line: every selector it has fits; without any, each line is meant."""
    return (
        params.get("item_id") in (None, line.item_id)
        and params.get("sku") in (None, line.sku)
        and ("category" not in params or params["category"] in line.categories)
        and not (params.get("no_batch") and line.batch is not None)
    )


def _promotion_price(params: Params, _: int, line: Line, running: int) -> int:
    """Down to the price for each piece; a line that costs less already keeps its price."""
    price_minor: int = params["price_minor"]
    return max(0, running - line.quantity * price_minor)


def _amount_off_item(params: Params, times: int, line: Line, _: int) -> int:
    amount_minor: int = params["amount_minor"]
    return amount_minor * times * (1 if params.get("per") == "line" else line.quantity)


def _percent_off_item(params: Params, _: int, line: Line, running: int) -> int:
    return _percent_of(params, line.total_minor, running)


def _amount_off_order(params: Params, times: int, _: int, __: int) -> int:
    amount_minor: int = params["amount_minor"]
    return amount_minor * times


def _percent_off_order(params: Params, _: int, original: int, running: int) -> int:
    return _percent_of(params, original, running)


def _percent_of(params: Params, original: int, running: int) -> int:
    base = original if params.get("base") == "original" else running
    return half_up(Fraction(base) * exact(params["percent"]) / _PERCENT)


_ITEM: Mapping[str, Callable[[Params, int, Line, int], int]] = {
    "pbb.action.item_promotion_price": _promotion_price,
    "pbb.action.item_amount_off": _amount_off_item,
    "pbb.action.item_percent_off": _percent_off_item,
}
_ORDER: Mapping[str, Callable[[Params, int, int, int], int]] = {
    "pbb.action.order_amount_off": _amount_off_order,
    "pbb.action.order_percent_off": _percent_off_order,
}
