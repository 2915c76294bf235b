"""Edits on a condition: what a caller believes to be there is compared within the transaction that changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from fastapi import Response
from sqlalchemy import Connection

from tactics.api.etag import check_match
from tactics.flows.reading import Around


class Edit:
    """An edit of one thing, for a flow's `around`; afterwards it knows the thing's new ETag."""

    def __init__(
        self,
        tag_of: Callable[[Connection], str | None],
        if_match: str = "",
        if_none_match: str = "",
        refuse: Callable[[Connection], None] = lambda _: None,
        within: Around = nullcontext,
    ) -> None:
        """Keep the conditions.

        Args:
            tag_of: reads the thing's ETag; None where there is none.
            if_match: the header; empty is no condition.
            if_none_match: the header; empty is no condition.
            refuse: raises where the caller may not make this edit of the thing as it is.
            within: surrounds the change, and raises where the caller may not make what came of it.
        """
        self._tag_of, self._if_match, self._if_none_match = tag_of, if_match, if_none_match
        self._refuse, self._within = refuse, within
        self.tag: str | None = None

    @contextmanager
    def __call__(self, conn: Connection) -> Iterator[None]:
        """Check before the change, look after it: nobody else changes anything between."""
        check_match(self._tag_of(conn), self._if_match, self._if_none_match)
        self._refuse(conn)
        with self._within(conn):
            yield
        self.tag = self._tag_of(conn)

    def tell(self, response: Response, new_at: str | None = None) -> None:
        """Put the new ETag into an answer, and for something new its status and place."""
        if self.tag is not None:
            response.headers["ETag"] = self.tag
        if new_at is not None:
            response.status_code = 201
            response.headers["Location"] = new_at
