"""Order lines counted at the speed of a hand-written loop, for facts that are plain and complete.

Each function answers exactly what its exact twin in `measure` answers, or raises: whatever it raises means "not that
simple, ask the exact one". So a loop tests nothing but what its sum depends on, in the cheapest way there is:

- `get` where it is asked seldom: a dictionary that makes what it lacks is not to be changed by being read. Of each line,
  the one field that selects it is read plainly, and costs half; so lines are to be plain dictionaries.
- `value in text` holds for that very text and for parts of it, so equality is asked next; it raises for what is no text.
- A number above 1 needs no look at its type: true is not above 1, a fraction shows in the type of the sum, and anything
  else does not compare. What is left is mostly the number 1, of which there is one object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ONE = 1
# Sums beyond this are for exact arithmetic.
LARGEST = 2**62


class Unclear(Exception):  # says what was found; it never leaves the engine
    """The facts are not that simple."""


@dataclass(frozen=True, slots=True)
class Quick:
    """How a resource is computed quickly: `compute(facts, *given, *parameters)`, `facts` being as the caller gave them.

    Parameters come in the order in which the block declares them, the current item in `item_id`'s place where the block
    is per item; where they are all left out, `whole(facts)` computes it.
    """

    compute: Callable[..., Any]
    given: tuple[str, ...] = ()
    whole: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """The resource's parameter names a value in this part of the facts, which is any value, or none."""

    name: str


def is_count(value: Any) -> None:
    """Make sure that the value is a whole number from 0 on, of no extraordinary size."""
    if value.__class__ is not int or not 0 <= value <= LARGEST:
        raise Unclear


def quantity_where(facts: Any, field: str, text: str) -> int:
    """How many pieces the lines have whose `field` is `text`."""
    found = 0
    lines = facts.get("order").get("lines")
    if lines.__class__ is not list:
        raise Unclear
    for line in lines:
        if line[field] in text and line[field] == text:
            pieces = line.get("quantity", 1)
            if pieces > 1 or pieces is ONE:
                found += pieces
            else:
                is_count(pieces)
    if found.__class__ is not int or found > LARGEST:
        raise Unclear
    return found


def no_batch_quantity_where(facts: Any, field: str, text: str) -> int:
    """As `quantity_where`, of the lines without batch."""
    found = 0
    lines = facts.get("order").get("lines")
    if lines.__class__ is not list:
        raise Unclear
    for line in lines:
        if line[field] in text and line[field] == text:
            if (batch := line.get("batch")) is None:
                pieces = line.get("quantity", 1)
                if pieces > 1 or pieces is ONE:
                    found += pieces
                else:
                    is_count(pieces)
            elif batch.__class__ is not str:
                raise Unclear
    if found.__class__ is not int or found > LARGEST:
        raise Unclear
    return found


def amount_where(facts: Any, field: str, text: str) -> int:
    """What the lines whose `field` is `text` are worth, in minor units."""
    found = 0
    lines = facts.get("order").get("lines")
    if lines.__class__ is not list:
        raise Unclear
    for line in lines:
        if (value := line[field]) == text:
            pieces = line.get("quantity", 1)
            price = line.get("price_minor")
            if not (price > 1 and (pieces > 1 or pieces is ONE)):
                is_count(pieces)
                is_count(price)
            found += price * pieces
        elif value.__class__ is not str:
            raise Unclear
    if found.__class__ is not int or found > LARGEST:
        raise Unclear
    return found


def quantity_of_all(facts: Any) -> int:
    """How many pieces the order has."""
    found = 0
    lines = facts.get("order").get("lines")
    if lines.__class__ is not list:
        raise Unclear
    for line in lines:
        pieces = line.get("quantity", 1)
        if pieces > 1 or pieces is ONE:
            found += pieces
        else:
            is_count(pieces)
    if found.__class__ is not int or found > LARGEST:
        raise Unclear
    return found


def no_batch_quantity_of_all(facts: Any) -> int:
    """How many pieces without batch the order has."""
    return quantity_of_all(_with_lines(facts, _has_no_batch))


def amount_of_all(facts: Any) -> int:
    """What the order is worth, in minor units."""
    found = 0
    lines = facts.get("order").get("lines")
    if lines.__class__ is not list:
        raise Unclear
    for line in lines:
        pieces = line.get("quantity", 1)
        price = line.get("price_minor")
        if not (price > 1 and (pieces > 1 or pieces is ONE)):
            is_count(pieces)
            is_count(price)
        found += price * pieces
    if found.__class__ is not int or found > LARGEST:
        raise Unclear
    return found


def quantity_in_category(facts: Any, category: str) -> int:
    """How many pieces the lines of one category have."""
    return quantity_of_all(_with_lines(facts, lambda line: _is_of(line, category)))


def amount_in_category(facts: Any, category: str) -> int:
    """What the lines of one category are worth, in minor units."""
    return amount_of_all(_with_lines(facts, lambda line: _is_of(line, category)))


def _with_lines(facts: Any, meant: Callable[[Any], bool]) -> Any:
    lines = facts.get("order").get("lines")
    if lines.__class__ is not list:
        raise Unclear
    return {"order": {"lines": [line for line in lines if meant(line)]}}


def _has_no_batch(line: Any) -> bool:
    batch = line.get("batch")
    if batch is not None and batch.__class__ is not str:
        raise Unclear
    return batch is None


def _is_of(line: Any, category: str) -> bool:
    given = line.get("category")
    if given is None or given.__class__ is str:
        return bool(given == category)
    if given.__class__ is not list or not all(member.__class__ is str for member in given):
        raise Unclear
    return category in given


# What counts lines here, and so gives whole numbers from 0 on, or raises.
COUNTING = frozenset({
    quantity_where,
    no_batch_quantity_where,
    amount_where,
    quantity_of_all,
    no_batch_quantity_of_all,
    amount_of_all,
    quantity_in_category,
    amount_in_category,
})  # fmt: skip
