"""What a block's parameter may be: its type, its JSON Schema, and which resources may stand in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tactics.rules.value import are_scalars, exact, is_number, is_scalar, moment, show

# What a resource gives. `any` is only known at run time (an attribute), and so may stand anywhere.
Gives = Literal["number", "text", "boolean", "time", "list", "any"]
GIVES: tuple[Gives, ...] = ("number", "text", "boolean", "time", "list", "any")
# What a number counts. Two known units that differ do not mix.
Unit = Literal["minor", "count", "s", "hour", "weekday"]

_HUNDREDTHS = 100


@dataclass(frozen=True)
class Parameter:
    """One parameter of a block; made by the functions below.

    `fits` answers None for a value that may stand here, else what was wanted instead. `takes` lists what a resource in
    its place may give. With `takes_unknown`, the block itself handles a value that cannot be known.
    """

    description: str
    schema: Mapping[str, object]
    fits: Callable[[object], str | None]
    takes: frozenset[str]
    unit: Unit | None = None
    optional: bool = False
    takes_unknown: bool = False


def text(description: str, *, empty: bool = False, optional: bool = False) -> Parameter:
    """Text, not empty unless that is allowed; ids are text."""
    wanted = "text" if empty else "text that is not empty"

    def fits(value: object) -> str | None:
        return None if isinstance(value, str) and (empty or value) else wanted

    schema = {"type": "string", **({} if empty else {"minLength": 1})}
    return Parameter(description, schema, fits, frozenset({"text", "any"}), None, optional)


def choice(description: str, *options: str, optional: bool = False) -> Parameter:
    """One of a few words."""

    def fits(value: object) -> str | None:
        return None if isinstance(value, str) and value in options else "one of " + ", ".join(options)

    schema = {"type": "string", "enum": list(options)}
    return Parameter(description, schema, fits, frozenset({"text", "any"}), None, optional)


def flag(description: str, *, optional: bool = False) -> Parameter:
    """True or false."""

    def fits(value: object) -> str | None:
        return None if isinstance(value, bool) else "true or false"

    return Parameter(description, {"type": "boolean"}, fits, frozenset({"boolean", "any"}), None, optional)


def integer(
    description: str, *, minimum: int, maximum: int | None = None, unit: Unit | None = None, optional: bool = False
) -> Parameter:
    """A whole number from `minimum` up to `maximum`; money is one, in minor units."""
    wanted = f"a whole number of at least {minimum}" + ("" if maximum is None else f" and at most {maximum}")

    def fits(value: object) -> str | None:
        whole = isinstance(value, int) and is_number(value)
        return None if whole and minimum <= value and (maximum is None or value <= maximum) else wanted  # type: ignore[operator]

    schema = {"type": "integer", "minimum": minimum, **({} if maximum is None else {"maximum": maximum})}
    return Parameter(description, schema, fits, frozenset({"number", "any"}), unit, optional)


def number(description: str, *, above: int | None = None, unit: Unit | None = None) -> Parameter:
    """A finite number, of more than `above` where that is given."""
    wanted = "a number" + ("" if above is None else f" above {above}")

    def fits(value: object) -> str | None:
        return None if is_number(value) and (above is None or value > above) else wanted  # type: ignore[operator]

    schema = {"type": "number", **({} if above is None else {"exclusiveMinimum": above})}
    return Parameter(description, schema, fits, frozenset({"number", "any"}), unit)


def percent(description: str, *, optional: bool = False) -> Parameter:
    """More than 0, at most 100, with at most two decimals."""

    def fits(value: object) -> str | None:
        hundredths = exact(value) * _HUNDREDTHS if is_number(value) else None  # type: ignore[arg-type]
        ok = hundredths is not None and 0 < hundredths <= _HUNDREDTHS**2 and hundredths.denominator == 1
        return None if ok else "a percentage above 0 and at most 100, with at most two decimals"

    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 100}
    return Parameter(description, schema, fits, frozenset({"number", "any"}), None, optional)


def scalar(description: str) -> Parameter:
    """Text, a number, or true or false."""

    def fits(value: object) -> str | None:
        return None if is_scalar(value) or isinstance(value, datetime) else "text, a number, or true or false"

    takes = frozenset({"text", "number", "boolean", "time", "any"})
    return Parameter(description, {"type": ["string", "number", "boolean"]}, fits, takes)


def scalars(description: str) -> Parameter:
    """A list, not empty, of texts, numbers or booleans."""

    def fits(value: object) -> str | None:
        ok = isinstance(value, (list, tuple)) and len(value) > 0 and are_scalars(value)
        return None if ok else "a list, not empty, of texts, numbers or booleans"

    schema = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}
    return Parameter(description, schema, fits, frozenset({"list", "any"}))


def members(description: str) -> Parameter:
    """A list to look into; it may be empty, and what cannot be compared in it is never equal."""

    def fits(value: object) -> str | None:
        return None if isinstance(value, (list, tuple)) else "a list"

    schema = {"type": "array", "items": {"type": ["string", "number", "boolean"]}}
    return Parameter(description, schema, fits, frozenset({"list", "any"}))


def point(description: str, *, optional: bool = False) -> Parameter:
    """A number, or a point in time: ISO 8601 text with an offset."""

    def fits(value: object) -> str | None:
        ok = is_number(value) or moment(value) is not None
        return None if ok else "a number, or a time as ISO 8601 with an offset"

    takes = frozenset({"number", "time", "text", "any"})
    return Parameter(description, {"type": ["number", "string"]}, fits, takes, None, optional)


def anything(description: str) -> Parameter:
    """Any value, also one that cannot be known."""
    schema = {"type": ["string", "number", "boolean", "array"]}
    takes = frozenset({"text", "number", "boolean", "time", "list", "any"})
    return Parameter(description, schema, lambda _: None, takes, takes_unknown=True)


def describe(parameter: Parameter, value: object) -> str:
    """What is wrong with a value that does not fit, as a sentence."""
    return f"{parameter.fits(value) or 'a constant, a resource or an alias'} belongs here, not {show(value)}"
