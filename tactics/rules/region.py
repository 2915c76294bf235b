"""The values that one resource may have, as sets that can be met, joined and taken away from each other.

A set of points on a line is the list of cuts at which one enters and leaves it. `(5, 0)` cuts just before 5, `(5, 1)`
just after it; so `((5, 0), (7, 1))` is from 5 to 7 with both ends, and no set needs more than comparing.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from tactics.rules.value import Number, moment

Cut: TypeAlias = tuple[Number, int]
Cuts: TypeAlias = tuple[Cut, ...]
# Whether what is in the one set, and in the other, is kept.
Keep: TypeAlias = Callable[[bool, bool], bool]

# What is no number, text or time: absent; not usable; a list or an object; and the two booleans.
MISSING, BAD, OTHER, TRUE, FALSE = "missing", "bad", "other", "true", "false"
WHOLE_LINE: Cuts = ((-math.inf, 0), (math.inf, 0))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Region:
    """Some of the values that a resource may have.

    `numbers` are cuts; `moments` are those of times, in microseconds, which are whole. Text that names a time can be
    compared as text and as a time: `timed` has the moments whose texts are in, `plain` says whether all other text is,
    and `odd` lists the texts, each with its moment if it names one, for which the opposite is true.
    """

    marks: frozenset[str] = frozenset()
    numbers: Cuts = ()
    moments: Cuts = ()
    plain: bool = False
    timed: Cuts = ()
    odd: frozenset[tuple[str, int | None]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.marks or self.numbers or self.moments or self.plain or self.timed or self.odd)

    def __and__(self, other: Region) -> Region:
        return _combined(self, other, lambda one, two: one and two)

    def __or__(self, other: Region) -> Region:
        return _combined(self, other, lambda one, two: one or two)

    def __sub__(self, other: Region) -> Region:
        return _combined(self, other, lambda one, two: one and not two)

    @property
    def size(self) -> int:
        """How much there is to go through when it is combined."""
        return 1 + len(self.numbers) + len(self.moments) + len(self.timed) + len(self.odd)

    def has_text(self, text: tuple[str, int | None]) -> bool:
        """Whether this text, given with the moment it names, is in."""
        return self._usually_has(text) != (text in self.odd)

    def _usually_has(self, text: tuple[str, int | None]) -> bool:
        at = text[1]
        return self.plain if at is None else bisect_right(self.timed, (at, 0)) % 2 == 1


# The numbers there are.
FINITE: Cuts = ((-sys.float_info.max, 0), (sys.float_info.max, 1))
SCALARS = Region(frozenset({TRUE, FALSE}), FINITE, WHOLE_LINE, plain=True, timed=WHOLE_LINE)
ANYTHING = Region(frozenset({MISSING, BAD, OTHER, TRUE, FALSE}), FINITE, WHOLE_LINE, plain=True, timed=WHOLE_LINE)


def span(start: Cut | None, end: Cut | None, line: Cuts = WHOLE_LINE) -> Cuts:
    """From one cut to another; None is the end of the line."""
    start, end = start or line[0], end or line[1]
    return (start, end) if start < end else ()


def rest_of(cuts: Cuts, line: Cuts = WHOLE_LINE) -> Cuts:
    """Everything on the line that is not in `cuts`."""
    return _swept(line, cuts, lambda one, two: one and not two)


def before(value: Number, *, whole: bool = False) -> Cut:
    """The cut below the first that is at least `value`; `whole` where there are only whole numbers."""
    return (math.ceil(value) if whole else value, 0)


def after(value: Number, *, whole: bool = False) -> Cut:
    """The cut below the first that is more than `value`."""
    return (math.floor(value) + 1, 0) if whole else (value, 1)


def points(values: Iterable[Number], *, whole: bool = False) -> Cuts:
    """These values and no others."""
    cuts: list[Cut] = []
    for value in sorted(set(values)):
        start, end = before(value, whole=whole), after(value, whole=whole)
        if start >= end:
            continue
        if cuts and cuts[-1] == start:
            cuts.pop()
        else:
            cuts.append(start)
        cuts.append(end)
    return tuple(cuts)


def instant(value: object) -> int | None:
    """The moment that a time names, in microseconds; None for what names none."""
    at = moment(value)
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def _combined(one: Region, other: Region, keep: Keep) -> Region:
    usual = Region(
        frozenset(mark for mark in one.marks | other.marks if keep(mark in one.marks, mark in other.marks)),
        _swept(one.numbers, other.numbers, keep),
        _swept(one.moments, other.moments, keep),
        keep(one.plain, other.plain),
        _swept(one.timed, other.timed, keep),
    )
    texts = one.odd | other.odd
    if not texts:
        return usual
    odd = (text for text in texts if keep(one.has_text(text), other.has_text(text)) != usual._usually_has(text))  # noqa: SLF001 -- its own class
    return Region(usual.marks, usual.numbers, usual.moments, usual.plain, usual.timed, frozenset(odd))


def _swept(one: Cuts, other: Cuts, keep: Keep) -> Cuts:
    if one == other or not other:
        return one if keep(True, one == other) else ()
    if not one:
        return other if keep(False, True) else ()
    kept: list[Cut] = []
    inside = False
    left = right = 0
    for cut in sorted({*one, *other}):
        # One is inside after an odd number of cuts.
        left += left < len(one) and one[left] == cut
        right += right < len(other) and other[right] == cut
        if keep(left % 2 == 1, right % 2 == 1) != inside:
            inside = not inside
            kept.append(cut)
    return tuple(kept)
