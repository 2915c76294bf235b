"""Whole minor units out of exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

_HALF = Fraction(1, 2)


def half_up(value: Fraction) -> int:
    """The nearest whole number; from halfway on, the next one up."""
    return floor(value + _HALF)


def spread(amount: int, totals: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to totals, without losing a unit.

    Each gets its exact share rounded down; what is left over goes, one unit each, to the largest remainders, the
    earlier first where they tie. `amount` is from 0 to the sum of `totals`, so that no share passes its total.
    Source: the largest remainder method (Hamilton).
    """
    whole = sum(totals)
    if not whole:
        return [0] * len(totals)
    shares = [amount * total // whole for total in totals]
    remainders = [amount * total % whole for total in totals]
    largest_first = sorted(range(len(totals)), key=lambda at: -remainders[at])
    for at in largest_first[: amount - sum(shares)]:
        shares[at] += 1
    return shares
