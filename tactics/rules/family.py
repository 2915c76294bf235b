"""Families of resources: what an order has of every item, SKU, category or sales channel, in one pass over its lines.

Rules that ask for thousands of items at once find each answer in a dictionary instead of counting the lines again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Literal, TypeAlias

from tactics.rules.blocks import resource as standard
from tactics.rules.facts import Facts
from tactics.rules.quick import LARGEST, ONE, Unclear, is_count
from tactics.rules.registry import Blocks
from tactics.rules.standard import is_standard
from tactics.rules.tree import Block
from tactics.rules.value import Unknown

Measured = Literal["quantity", "no_batch_quantity", "amount"]
Field = Literal["item_id", "sku", "category", "sales_channel"]
# Totals by key (None is the whole order); a total of None is left to the exact evaluation.
Totals: TypeAlias = dict[str | None, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """What is measured, by which field of a line; without a field it is the whole order. There is one of each."""

    measured: Measured
    field: Field | None


_FAMILIES: Mapping[Any, tuple[Measured, Field]] = {
    standard.order_amount.definition.implementation: ("amount", "sales_channel"),
    standard.order_quantity.definition.implementation: ("quantity", "sales_channel"),
    standard.item_amount.definition.implementation: ("amount", "item_id"),
    standard.item_quantity.definition.implementation: ("quantity", "item_id"),
    standard.sku_amount.definition.implementation: ("amount", "sku"),
    standard.sku_quantity.definition.implementation: ("quantity", "sku"),
    standard.category_amount.definition.implementation: ("amount", "category"),
    standard.category_quantity.definition.implementation: ("quantity", "category"),
    standard.no_batch_item_quantity.definition.implementation: ("no_batch_quantity", "item_id"),
}


def family_of(node: object, blocks: Blocks) -> tuple[Family, str | None] | None:
    """The family that a resource is of, and its key there; None for one that is of no family, or means the current item."""
    if not isinstance(node, Block):
        return None
    definition = blocks.get(node.block)
    if definition is None or not is_standard(definition) or definition.implementation not in _FAMILIES:
        return None
    measured, field = _FAMILIES[definition.implementation]
    key = node.params.get(field)
    if key is None:
        return None if definition.per_item else (_family(measured, None), None)
    return (_family(measured, field), key) if isinstance(key, str) else None


@cache
def _family(measured: Measured, field: Field | None) -> Family:
    return Family(measured, field)


def totals(family: Family, facts: Any) -> Totals:
    """The family's totals. A key that is not there has 0, or its total is unknown: no lines, or none that can be read."""
    try:
        return _PASSES[family.measured, family.field == "category"](_lines(facts), family.field)
    except Exception:  # noqa: BLE001 -- facts may be anything; the exact way has an answer to all of it
        return _untold(family, facts)


def _lines(facts: Any) -> list[Any]:
    lines = facts.get("order").get("lines")
    if lines.__class__ is not list:
        raise Unclear
    return lines


def _quantities(lines: list[Any], field: str | None) -> Totals:
    found: Totals = {}
    so_far = found.get
    for line in lines:
        key = None if field is None else line.get(field)
        if key.__class__ is str or field is None:
            pieces = line.get("quantity", 1)
            if not (pieces > 1 or pieces is ONE):
                is_count(pieces)
            found[key] = so_far(key, 0) + pieces
        elif key is not None:
            raise Unclear
    return _whole(found)


def _no_batch_quantities(lines: list[Any], field: str | None) -> Totals:
    found: Totals = {}
    so_far = found.get
    for line in lines:
        key = None if field is None else line.get(field)
        if key.__class__ is str or field is None:
            if (batch := line.get("batch")) is None:
                pieces = line.get("quantity", 1)
                if not (pieces > 1 or pieces is ONE):
                    is_count(pieces)
                found[key] = so_far(key, 0) + pieces
            elif batch.__class__ is not str:
                raise Unclear
        elif key is not None:
            raise Unclear
    return _whole(found)


def _amounts(lines: list[Any], field: str | None) -> Totals:
    found: Totals = {}
    so_far = found.get
    for line in lines:
        key = None if field is None else line.get(field)
        if key.__class__ is str or field is None:
            pieces = line.get("quantity", 1)
            price = line.get("price_minor")
            if not (price > 1 and (pieces > 1 or pieces is ONE)):
                is_count(pieces)
                is_count(price)
            found[key] = so_far(key, 0) + price * pieces
        elif key is not None:
            raise Unclear
    return _whole(found)


def _whole(found: Totals) -> Totals:
    """The totals, which are whole numbers of no extraordinary size: a fraction, or a giant, shows in their sum."""
    total = sum(found.values())
    if total.__class__ is not int or total > LARGEST:
        raise Unclear
    return found


def _by_category(measure: Callable[[list[Any], str | None], Totals]) -> Callable[[list[Any], str | None], Totals]:
    """A line of several categories counts in each of them."""

    def found(lines: list[Any], field: str | None) -> Totals:
        each: list[Any] = []
        for line in lines:
            categories = line.get("category")
            if categories.__class__ is list:
                if not all(category.__class__ is str for category in categories):
                    raise Unclear
                each += [{**line, "category": category} for category in dict.fromkeys(categories)]
            else:
                each.append(line)
        return measure(each, field)

    return found


_PASSES: Mapping[tuple[Measured, bool], Callable[[list[Any], str | None], Totals]] = {
    ("quantity", False): _quantities,
    ("quantity", True): _by_category(_quantities),
    ("no_batch_quantity", False): _no_batch_quantities,
    ("amount", False): _amounts,
    ("amount", True): _by_category(_amounts),
}


def _untold(family: Family, facts: Any) -> Totals:
    """The keys of an order that is not plain: what they have is left to be asked exactly, for those that matter."""
    try:
        lines = Facts(facts).lines
        if isinstance(lines, Unknown):
            return {}
        if family.field is None:
            return {None: None}
        given = (line.get(family.field) for line in lines)
        keys = chain.from_iterable(one if isinstance(one, (list, tuple)) else (one,) for one in given)
        return dict.fromkeys(key for key in keys if isinstance(key, str))
    except Exception:  # noqa: BLE001 -- a mapping of the caller's own may raise whatever it likes; nothing is known of it
        return {}
