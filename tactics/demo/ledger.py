"""The replay's own record of what was acknowledged to it: what the engine is held to at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, text

_CHUNK = 5_000
# Ended: routed or answered, parked with a reason, or given up at the deadline.
_WITHOUT_END = text("""
    SELECT count(*) FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) AS told (source, id)
    WHERE NOT EXISTS (
        SELECT FROM event
        WHERE event.source = told.source AND event.id = told.id
          AND (routed_at IS NOT NULL OR parked_reason IS NOT NULL OR abandoned_at IS NOT NULL))
""")


class Ledger:
    """A file of acknowledged events, one a line, written as they are acknowledged."""

    def __init__(self, path: Path) -> None:
        """Begin an empty file at `path`."""
        self.path = path
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        """Nothing more: the file is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; it stays where it is."""
        self._file.close()

    def note(self, keys: Iterable[tuple[str, str]]) -> None:
        """Write down the (source, id) of events that were just acknowledged."""
        self._file.writelines(f"{source}\t{event_id}\n" for source, event_id in keys)
        self._file.flush()


def lost(conn: Connection, path: Path) -> int:
    """Count the acknowledged events of a ledger that have no ended event in the database."""
    with path.open(encoding="utf-8") as file:
        keys = (line.rstrip("\n").partition("\t") for line in file)
        return sum(_without_end(conn, chunk) for chunk in _chunks((source, event_id) for source, _, event_id in keys))


def _without_end(conn: Connection, keys: list[tuple[str, str]]) -> int:
    names = {"sources": [source for source, _ in keys], "ids": [event_id for _, event_id in keys]}
    found: int = conn.execute(_WITHOUT_END, names).scalar_one()
    return found


def _chunks(keys: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    while chunk := list(islice(keys, _CHUNK)):
        yield chunk
