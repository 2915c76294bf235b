"""Pages of lists: a cursor says where the next page begins, whatever is added meanwhile."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query

from tactics.domain.plain import plain_problem
from tactics.errors import BadInput

Row = TypeVar("Row")

MOST = 200
Limit = Annotated[int, Query(ge=1, le=MOST, description="at most so many")]
CURSOR: dict[str, Any] = {
    "pattern": r"^[A-Za-z0-9_-]+$",
    "max_length": 2_000,
    "description": "`next_cursor` of the page before",
}
Cursor = Annotated[str | None, Query(**CURSOR)]


def read_cursor(cursor: str | None, parts: int) -> list[Any] | None:
    """Give the place that a cursor names, as `page` wrote it; None is the beginning.

    Raises:
        BadInput: it is no cursor of this list.
    """
    if cursor is None:
        return None
    try:
        found = json.loads(urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
    except ValueError:
        found = None
    if not isinstance(found, list) or len(found) != parts or not all(isinstance(one, str) for one in found):
        raise _not_ours()
    if plain_problem(found):
        raise _not_ours()
    return found


def read_moment(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Give the place in a list that is ordered by time and id. Raises as `read_cursor` does."""
    found = read_cursor(cursor, 2)
    if found is None:
        return None
    try:
        return read_time(found[0]), UUID(found[1])
    except ValueError:
        raise _not_ours() from None


def read_number(cursor: str | None) -> int | None:
    """Give the place in a list that is ordered by numbers of ours. Raises as `read_cursor` does."""
    found = read_cursor(cursor, 1)
    if found is None:
        return None
    if not found[0].isascii() or not found[0].isdecimal() or int(found[0][:20]) >= 2**63:
        raise _not_ours()
    return int(found[0])


def read_time(text: str) -> datetime:
    """Read the time in a cursor. Raises as `read_cursor` does."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _not_ours() from None
    if found.tzinfo is None:
        raise _not_ours()
    return found


def _not_ours() -> BadInput:
    return BadInput("the cursor is none that this list gave", problems=[])


def page(rows: Sequence[Row], limit: int, place: Callable[[Row], Sequence[str]]) -> tuple[Sequence[Row], str | None]:
    """Cut a page off rows that were read one more than `limit`.

    Args:
        rows: at most `limit` + 1.
        limit: of the page.
        place: gives what the list is ordered by, of a row, as texts.

    Returns:
        The page's rows, and the cursor of the next one; None is the end.
    """
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], _cursor(place(rows[limit - 1]))


def place_after(place: tuple[datetime, UUID] | None) -> str | None:
    """Give the cursor of a place in a list that is ordered by time and id; `read_moment` reads it."""
    return None if place is None else _cursor([place[0].isoformat(), str(place[1])])


def _cursor(place: Sequence[str]) -> str:
    text = json.dumps(list(place), separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")
