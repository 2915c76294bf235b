"""Rows that a body has many of: what is wrong with one is told by its place in the body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tactics.errors import BadInput
from tactics.flows.reading import Where


@contextmanager
def naming(key: str) -> Iterator[Where]:
    """Give the `where` of an import whose rows stand under a key of the body.

    Raises:
        BadInput: the import's own, with the JSON Pointer of each problem as its `path`.
    """
    try:
        yield lambda index, path: f"/{key}/{index}{path}"
    except BadInput as error:
        problems = [
            {"path": one.get("where", ""), "code": error.code, "message": one.get("message", "")}
            for one in error.fields["problems"]
        ]
        first = "; ".join(f"{one['path']}: {one['message']}" for one in problems[:3])
        raise BadInput(f"nothing was saved: {first}", problems=problems) from None
