"""Values as the plain evaluation sees them: what is a number, a time, the same; and what fits a parameter."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

CENTURY_S = 100 * 365 * 24 * 60 * 60


@dataclass(frozen=True)
class Unknown:
    """A value that cannot be known, since it is missing or since it is broken."""

    missing: bool


GONE, BROKEN = Unknown(missing=True), Unknown(missing=False)


def is_number(value: Any) -> bool:
    """Finite, no boolean, and no integer beyond the largest float."""
    return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max


def is_scalar(value: Any) -> bool:
    return isinstance(value, (str, bool)) or is_number(value)


def written(value: float) -> Fraction:
    """The number as its decimal digits say."""
    return Fraction(str(value))


def as_number(value: Fraction) -> int | float | Unknown:
    """An integer where it is one; what no float can hold is broken."""
    if value == int(value):
        return int(value)
    return float(value) if abs(value) <= Fraction(sys.float_info.max) else BROKEN


def time_of(value: Any) -> datetime | None:
    """A time is ISO 8601 text with an offset (in Python also a datetime with one)."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.utcoffset() is not None else None


def same_value(one: Any, other: Any) -> bool:
    """Numbers with numbers, booleans with booleans, text with text; `now`, a time, with text that names the same time."""
    if is_number(one) and is_number(other):
        return bool(one == other)
    if isinstance(one, datetime) or isinstance(other, datetime):
        return time_of(one) is not None and time_of(one) == time_of(other)
    kinds = [kind for kind in (bool, str) if isinstance(one, kind) and isinstance(other, kind)]
    return bool(kinds) and one == other


def fits(wanted: str, value: Any) -> bool:  # noqa: C901, PLR0911, PLR0912 -- one plain case after the other
    """Whether a fetched value may stand for a parameter of this type; nothing is coerced."""
    match wanted:
        case "text":
            return isinstance(value, str) and value != ""
        case "any text":
            return isinstance(value, str)
        case "flag":
            return isinstance(value, bool)
        case "number":
            return is_number(value)
        case "above zero":
            return is_number(value) and value > 0
        case "whole":
            return is_number(value) and isinstance(value, int) and value >= 0
        case "counting":
            return is_number(value) and isinstance(value, int) and value >= 1
        case "window":
            return is_number(value) and isinstance(value, int) and 1 <= value <= CENTURY_S
        case "percent":
            return is_number(value) and 0 < value <= 100 and (written(value) * 100).denominator == 1
        case "scalar":
            return is_scalar(value) or isinstance(value, datetime)
        case "scalars":
            return isinstance(value, (list, tuple)) and len(value) > 0 and all(is_scalar(one) for one in value)
        case "list":
            return isinstance(value, (list, tuple))
        case "point":
            return is_number(value) or time_of(value) is not None
        case "unit or line" | "running or original":
            return value in wanted.split(" or ")
    raise AssertionError(wanted)
