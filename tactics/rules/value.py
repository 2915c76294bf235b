"""The values that facts and rules carry, and the one that stands for "cannot be known"."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal, TypeGuard

Number = int | float
Scalar = str | int | float | bool

# Beyond this an integer has no float beside it and, soon after, no text: JSON readers refuse it.
_LARGEST = int(sys.float_info.max)
_TEXTS = frozenset({str})
_SHOWN_TEXT = 80
_SHOWN_MEMBERS = 20


@dataclass(frozen=True, slots=True)
class Unknown:
    """Kleene's third value, with its reason.

    `code` is `missing` (absent or null), `wrong_type`, or `failed` (a block's own code raised).
    """

    code: Literal["missing", "wrong_type", "failed"]
    text: str


def missing(what: str) -> Unknown:
    """The fact is absent or null."""
    return Unknown("missing", f"{what} is missing")


def wrong_type(what: str, value: object, wanted: str) -> Unknown:
    """The fact is there, but it is not what it has to be."""
    return Unknown("wrong_type", f"{what} is {show(value)}, not {wanted}")


def is_object(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether the value is what JSON calls an object."""
    # Nearly all are plain dictionaries, and these are told at once.
    return value.__class__ is dict or isinstance(value, Mapping)


def is_number(value: object) -> bool:
    """Whether the value is a finite number; a boolean is none."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -_LARGEST <= value <= _LARGEST
    return isinstance(value, float) and math.isfinite(value)


def is_scalar(value: object) -> bool:
    """Whether the value is text, a boolean or a finite number."""
    return isinstance(value, (str, bool)) or is_number(value)


def is_constant(value: object) -> bool:
    """Whether a rule may carry the value: a scalar, or a list of them."""
    return are_scalars(value) if isinstance(value, (list, tuple)) else is_scalar(value)


def are_scalars(values: Sequence[object]) -> bool:
    """Whether each of the values is a scalar; lists of texts, which may be long, are told by their types at once."""
    return _TEXTS.issuperset(map(type, values)) or all(map(is_scalar, values))


def exact(value: Number) -> Fraction:
    """The number as it was written: 0.3 is three tenths, not the nearest binary fraction."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def total(values: Iterable[Number | Fraction]) -> Number | Unknown:
    """The sum, without the drift of binary fractions; unknown when no number can hold it."""
    whole = 0
    parts: Fraction | None = None
    for value in values:
        if isinstance(value, int):
            whole += value
        else:
            parts = (parts or Fraction()) + (value if isinstance(value, Fraction) else exact(value))
    return whole if parts is None else as_number(parts + whole)


def as_number(value: Fraction) -> Number | Unknown:
    """The fraction as an integer where it is one, else as a float; unknown when no number can hold it."""
    if value.denominator == 1:
        return value.numerator
    try:
        return float(value)
    except OverflowError:
        return Unknown("wrong_type", "the number is too large")


def moment(value: object) -> datetime | None:
    """The point in time that ISO 8601 text with an offset, or an aware datetime, names; otherwise None."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.utcoffset() is not None else None


def same(one: object, other: object) -> bool:
    """Equality by type: numbers with numbers, booleans only with booleans, text with text, times with times."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, datetime) or isinstance(other, datetime):
        left, right = moment(one), moment(other)
        return left is not None and left == right
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str) and one == other
    return is_number(one) and is_number(other) and one == other


def is_member(constant: object, value: Sequence[object]) -> bool:
    """Whether the constant is in a list, by type."""
    if constant.__class__ is str:
        # Text equals text, which is quickly found, and a time.
        return constant in value or any(same(constant, one) for one in value if isinstance(one, datetime))
    return any(same(constant, one) for one in value)


def show(value: object) -> str:
    """The value in the words of a reason: short, and safe for anything that facts may hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value) if is_number(value) else "a number out of range"
    if isinstance(value, str):
        return f'"{value if len(value) <= _SHOWN_TEXT else value[:_SHOWN_TEXT] + "…"}"'
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        shown = [show(member) if is_scalar(member) else "…" for member in value[:_SHOWN_MEMBERS]]
        return "[" + ", ".join([*shown, "…"] if len(value) > _SHOWN_MEMBERS else shown) + "]"
    return "null" if value is None else "an object" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def plain(value: object) -> object:
    """The value as JSON can carry it, for answers; what JSON cannot carry is told in words."""
    if is_scalar(value) or value is None:
        return value
    if is_constant(value):
        return list(value)  # type: ignore[call-overload]  # a constant that is no scalar is a list
    return value.isoformat() if isinstance(value, datetime) else show(value)
