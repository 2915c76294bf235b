"""Plain data: what can be stored as JSON in Postgres and read back the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MAX_DEPTH = 64
NO_NUL = r"^[^\u0000]*$"
"""What JSON Schema can say of text that can be stored."""


def as_whole(value: object) -> object:
    """Give a number without a fraction as an integer: to JSON, 2.0 and 2 are the same number. Anything else stays."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plain_problem(value: object, path: str = "") -> dict[str, str] | None:
    """Find the first part of a value that cannot be stored as JSON.

    Postgres keeps neither the character NUL nor half a surrogate pair, and no number that is not finite; a mapping that
    contains itself shows as too deep.

    Args:
        value: what was read from a file or handed over.
        path: the JSON Pointer of `value` in what surrounds it.

    Returns:
        The `path` and a `message`; None when all is plain.
    """
    return None if _is_plain(value, MAX_DEPTH) else _problem(value, path, MAX_DEPTH)


def _is_plain(value: Any, depth: int) -> bool:
    """Tell at once of nearly everything that is plain: a fifth of the time that finding out where it is not takes."""
    kind = type(value)
    if kind is str:
        return value.isascii() and "\x00" not in value
    if kind is int or kind is bool or value is None:
        return True
    if depth == 0:
        return False
    if kind is dict:
        return all(
            type(key) is str and key.isascii() and "\x00" not in key and _is_plain(part, depth - 1)
            for key, part in value.items()
        )
    return kind is list and all(_is_plain(part, depth - 1) for part in value)


def _problem(value: object, path: str, depth: int) -> dict[str, str] | None:
    if value is None or isinstance(value, bool | int):
        return None
    if isinstance(value, str):
        return _text_problem(value, path)
    if isinstance(value, float):
        return None if math.isfinite(value) else {"path": path, "message": f"{value} is not a number of JSON"}
    if depth == 0:
        return {"path": path, "message": f"nested deeper than {MAX_DEPTH}"}
    return _nested_problem(value, path, depth)


def _nested_problem(value: object, path: str, depth: int) -> dict[str, str] | None:
    if isinstance(value, Mapping):
        return _mapping_problem(value, path, depth)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        found = (_problem(part, f"{path}/{index}", depth - 1) for index, part in enumerate(value))
        return next(filter(None, found), None)
    return {"path": path, "message": f"a {type(value).__name__} has no place in JSON"}


def _text_problem(value: str, path: str) -> dict[str, str] | None:
    if "\x00" in value:
        return {"path": path, "message": "text with the character NUL cannot be stored"}
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return {"path": path, "message": "text with half a surrogate pair cannot be stored"}
    return None


def _mapping_problem(value: Mapping[object, object], path: str, depth: int) -> dict[str, str] | None:
    for key, part in value.items():
        if not isinstance(key, str):
            return {"path": path, "message": f"the key {key!r} is not text: quote it"}
        found = _text_problem(key, path) or _problem(part, f"{path}/{_escaped(key)}", depth - 1)
        if found:
            return found
    return None


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
