"""Versions of documents: numbered from 1, never changed, never deleted.

The current version is what new things are made from. Numbers only rise: a version becomes current only if it is newer
than the current one, so that versions became current in the order of their numbers. A newer one is a draft; an older
one that never was current was passed over (docs/adr/0017-a-rollback-is-a-new-version.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Table, func, insert, select, update

from tactics.errors import NotFound
from tactics.store.tables import activity_version, play_version

State = Literal["current", "draft", "earlier", "passed over"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document that has versions: what one is called, and the table of its versions."""

    name: str
    table: Table

    @property
    def owner(self) -> Any:
        """The column with the document's code."""
        return self.table.c[f"{self.name}_code"]


ACTIVITY = Kind("activity", activity_version)
PLAY = Kind("play", play_version)


@dataclass(frozen=True, slots=True)
class Version:
    """A version, without what it says. `current_at` is when it became current; `restores` what a rollback copied."""

    version: int
    created_at: datetime
    current_at: datetime | None
    restores: int | None

    def state(self, current: int | None) -> State:
        """Tell what it is, from the number of the current version."""
        if self.version == current:
            return "current"
        if current is None or self.version > current:
            return "draft"
        return "earlier" if self.current_at else "passed over"


def listing(conn: Connection, kind: Kind, code: str) -> list[Version]:
    """Give a document's versions, newest first; none of one that there is not."""
    names = ("version", "created_at", "current_at", "restores")
    query = select(*(kind.table.c[name] for name in names)).where(kind.owner == code)
    return [Version(*row) for row in conn.execute(query.order_by(kind.table.c.version.desc()))]


def definition(conn: Connection, kind: Kind, code: str, version: int) -> dict[str, Any]:
    """Give what a version says, as stored.

    Raises:
        NotFound: there is no such version.
    """
    found = find(conn, kind, code, version)
    if found is None:
        raise NotFound(
            f"there is no version {version} of {kind.name} {code!r}", **{kind.name: code, "version": version}
        )
    return found


def find(conn: Connection, kind: Kind, code: str, version: int) -> dict[str, Any] | None:
    """Give what a version says, as stored; None when there is no such version."""
    query = select(kind.table.c.definition).where(kind.owner == code, kind.table.c.version == version)
    found: dict[str, Any] | None = conn.execute(query).scalar_one_or_none()
    return found


def add(
    conn: Connection,
    kind: Kind,
    code: str,
    said: dict[str, Any],
    *,
    number: int | None = None,
    current: bool = True,
    restores: int | None = None,
) -> int:
    """Write a version.

    Args:
        conn: an open transaction that keeps others from adding one.
        kind: what it is.
        code: whose version.
        said: what it says.
        number: its number; one more than the newest when left out.
        current: whether it becomes current; the caller points at it.
        restores: the earlier version whose content this is.

    Returns:
        Its number.
    """
    chosen = number or following(conn, kind, code)
    row = {kind.owner.name: code, "version": chosen, "definition": said, "restores": restores}
    conn.execute(insert(kind.table).values(**row, current_at=func.now() if current else None))
    return chosen


def following(conn: Connection, kind: Kind, code: str) -> int:
    """Give the number that the next version gets."""
    newest = select(func.coalesce(func.max(kind.table.c.version), 0)).where(kind.owner == code)
    return int(conn.execute(newest).scalar_one()) + 1


def mark_current(conn: Connection, kind: Kind, code: str, version: int) -> None:
    """Write that a draft becomes current now."""
    mine = (kind.owner == code, kind.table.c.version == version)
    conn.execute(update(kind.table).where(*mine).values(current_at=func.now()))


def newest_draft(conn: Connection, kind: Kind, code: str, current: int | None) -> int | None:
    """Give the newest version that is newer than the current one; None when there is none."""
    newest = following(conn, kind, code) - 1
    return newest if newest > (current or 0) else None


def before(conn: Connection, kind: Kind, code: str, current: int) -> int | None:
    """Give the version that was current before the current one came to be; None for the first.

    What a rollback restored stands for itself: rolling back twice goes two versions back, never to and fro.
    """
    known = {one.version: one for one in listing(conn, kind, code)}
    origin = known[current]
    while origin.restores is not None:
        origin = known[origin.restores]
    return max((one.version for one in known.values() if one.current_at and one.version < origin.version), default=None)


def passed_over(conn: Connection, kind: Kind, code: str, current: int | None) -> tuple[str, ...]:
    """Say that a draft is passed over by a version that is about to become current; nothing where there is none."""
    draft = newest_draft(conn, kind, code, current)
    return (f"draft version {draft} is passed over: import its document again to go on with it",) if draft else ()
