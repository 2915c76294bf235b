"""Which language an answer is in: the one that is asked for by name, else what the caller's browser prefers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_RANGE = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")
_LONGEST = 500
_SUBTAGS = "(-[A-Za-z0-9]{1,8})*"
WELL_FORMED = rf"^(\*|[A-Za-z]{{1,8}}{_SUBTAGS})$"
"""A language range of RFC 4647, section 2.1."""


def preferred(header: str, known: Sequence[str]) -> str:
    """The known language that an Accept-Language header (RFC 9110) likes best; the first known one when it names none."""
    ranked = sorted(_ranges(header), key=lambda one: -one[1])
    return next((found for tag, weight in ranked if weight > 0 and (found := match(tag, known))), known[0])


def match(tag: str, known: Sequence[str]) -> str | None:
    """The known language of a tag such as `zh`, `zh-CN` or `*`; None for one that is not known."""
    if tag == "*":
        return known[0]
    parts = tag.lower().split("-")
    tags = ("-".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((one for one in tags if one in known), None)


def ranges_of(known: Sequence[str]) -> str:
    """Give the pattern of what `match` finds something for, in any case of letters, as JSON Schema has patterns."""
    tags = ("".join(f"[{one.lower()}{one.upper()}]" if one.isalpha() else one for one in tag) for tag in known)
    return rf"^(\*|({'|'.join(tags)}){_SUBTAGS})$"


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    for part in header[:_LONGEST].split(","):
        found = _RANGE.fullmatch(part)
        if found:
            yield found[1], float(found[2] or 1)
