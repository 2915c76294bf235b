"""What changed between two documents: one line a change, each with its JSON Pointer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tactics.domain.activity import pointer

_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """A part that differs. `before` or `after` is None where `added` or `removed` says that there is nothing.

    `path` is a JSON Pointer into the later document, of what is `removed` into the earlier one.
    """

    path: str
    before: Any
    after: Any
    added: bool = False
    removed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"path": self.path, "before": self.before, "after": self.after}

    def line(self) -> str:
        """Give it for people: `+` is new, `-` is gone, `~` is another value."""
        if self.added:
            return f"+ {self.path}: {_shown(self.after)}"
        if self.removed:
            return f"- {self.path}: {_shown(self.before)}"
        return f"~ {self.path}: {_shown(self.before)} → {_shown(self.after)}"


def differences(before: object, after: object) -> list[Change]:
    """Compare two documents of JSON data, as small as possible: only the parts that differ are named.

    Of lists, what is alike at both ends is left out, and what remains is compared in order.
    """
    return list(_compared(before, after, ()))


def _compared(before: object, after: object, path: tuple[str | int, ...]) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _part(before.get(key, _NOTHING), after.get(key, _NOTHING), (*path, key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    elif not _alike(before, after):
        yield Change(pointer(path), before, after)


def _part(before: object, after: object, path: tuple[str | int, ...]) -> Iterator[Change]:
    if before is _NOTHING:
        yield Change(pointer(path), None, after, added=True)
    elif after is _NOTHING:
        yield Change(pointer(path), before, None, removed=True)
    else:
        yield from _compared(before, after, path)


def _lists(before: list[Any], after: list[Any], path: tuple[str | int, ...]) -> Iterator[Change]:
    shorter, start, end = min(len(before), len(after)), 0, 0
    while start < shorter and _alike(before[start], after[start]):
        start += 1
    while end < shorter - start and _alike(before[-1 - end], after[-1 - end]):
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    for index in range(max(len(old), len(new))):
        one = old[index] if index < len(old) else _NOTHING
        other = new[index] if index < len(new) else _NOTHING
        yield from _part(one, other, (*path, start + index))


def _alike(one: object, other: object) -> bool:
    # As text: to Python 1, 1.0 and true are equal, to a rule they are not.
    return one is other or json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
