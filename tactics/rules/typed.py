"""Order lines that were decoded for one rule, counted without a look at their types, which the decoder checked.

A line has `quantity`, and as far as the rule reads them `key` (the one field that it selects by), `price_minor` and
`batch`. The functions stand in for those of `tactics.rules.quick`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tactics.rules import quick
from tactics.rules.quick import Unclear


def _quantity(facts: Any, _: str, text: str) -> int:
    """How many pieces the lines have that have the text."""
    found = 0
    for line in facts["order"].lines:
        if line.key == text:
            found += line.quantity
    return found


def _no_batch_quantity(facts: Any, _: str, text: str) -> int:
    """As before, of the lines without batch."""
    found = 0
    for line in facts["order"].lines:
        if line.key == text and line.batch is None:
            found += line.quantity
    return found


def _amount(facts: Any, _: str, text: str) -> int:
    """What the lines are worth that have the text; a price that is not there raises, and so it should."""
    found = 0
    for line in facts["order"].lines:
        if line.key == text:
            found += line.price_minor * line.quantity
    return found


def _quantity_of_all(facts: Any) -> int:
    """How many pieces there are."""
    found = 0
    for line in facts["order"].lines:
        found += line.quantity
    return found


def _amount_of_all(facts: Any) -> int:
    """What all lines are worth."""
    found = 0
    for line in facts["order"].lines:
        found += line.price_minor * line.quantity
    return found


# What counts lines that were decoded for it, instead of lines that may be anything.
TYPED: Mapping[Any, Callable[..., int]] = {
    quick.quantity_where: _quantity,
    quick.no_batch_quantity_where: _no_batch_quantity,
    quick.amount_where: _amount,
    quick.quantity_of_all: _quantity_of_all,
    quick.amount_of_all: _amount_of_all,
}


def ask_elsewhere(*_: object) -> Any:
    """In the exact evaluation's place, which needs the facts whole."""
    raise Unclear
