"""Conditions over a value that may be anything: certain of the verdict, or `Unclear`.

Compiled rules call these where a value is not of the one type that they test in place. A value that cannot be judged
raises, and the exact evaluation says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

from tactics.rules.quick import Unclear
from tactics.rules.value import Number, Scalar, is_member, is_number, is_scalar, moment, same


def number(value: Any) -> Number:
    """The value, which is a finite number."""
    if not is_number(value):
        raise Unclear
    return value  # type: ignore[no-any-return]  # is_number has just said so


def is_same(value: Any, constant: Scalar) -> bool:
    """Whether a scalar or a time equals the constant, by type."""
    return same(_judged(value), constant)


def is_one_of(value: Any, constants: Sequence[Scalar]) -> bool:
    """Whether a scalar or a time equals one of the constants, by type."""
    judged = _judged(value)
    return any(same(judged, constant) for constant in constants)


def has(value: Any, constant: Scalar) -> bool:
    """Whether a list has the constant as a member, by type."""
    if not isinstance(value, (list, tuple)):
        raise Unclear
    return is_member(constant, value)


def has_text(value: Any, constant: str) -> bool:
    """Whether the constant is in a text."""
    if not isinstance(value, str):
        raise Unclear
    return constant in value


def is_within(start: Scalar | None, end: Scalar | None) -> Callable[[Any], bool]:
    """A test of whether a value is not before `start` and is before `end`: both numbers, or both times."""
    numbers = is_number(end if start is None else start)
    place: Callable[[Any], Any] = number if numbers else moment
    first, last = (None if bound is None else place(bound) for bound in (start, end))

    def within(value: Any) -> bool:
        at = place(value)
        if at is None or (not numbers and is_number(value)):
            raise Unclear
        return (first is None or first <= at) and (last is None or at < last)

    return within


def is_there(facts: Any, section: str, name: str) -> bool:
    """Whether `facts[section][name]` is there: not absent and not null."""
    record = facts.get(section)
    if record is None:
        return False
    if not isinstance(record, Mapping):
        raise Unclear
    value = record.get(name)
    if isinstance(value, float) and not isfinite(value):
        raise Unclear
    return value is not None


def _judged(value: Any) -> Any:
    if is_scalar(value) or isinstance(value, datetime):
        return value
    raise Unclear
