"""Plays: imported whole or not at all; drafts published, versions rolled back, compared and given as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from tactics.domain.plain import plain_problem
from tactics.domain.play import Play, parse_play, warnings_of
from tactics.errors import BadInput
from tactics.flows.activity import Difference, compared
from tactics.flows.reading import Around, transaction
from tactics.runtime import Runtime
from tactics.store import activities, plays, versions
from tactics.store.plays import SavedPlay
from tactics.store.versions import PLAY


@dataclass(frozen=True, slots=True)
class State:
    """What an edit of a play changes. `version` is what is shown: the current one, or the newest draft without one."""

    version: int
    current: int | None
    newest_draft: int | None


Where = Callable[[int], str]
"""Says in people's terms which document it is, from its index."""


@dataclass(frozen=True, slots=True)
class ImportedPlay:
    """What became of a play's document: its version, and which one is current (None: there are only drafts)."""

    play: str
    version: int
    change: activities.Change
    current: int | None
    notes: tuple[str, ...] = ()

    @property
    def draft(self) -> bool:
        """Whether the version waits to be published."""
        return self.version > (self.current or 0)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {**asdict(self), "draft": self.draft}


def import_plays(
    runtime: Runtime,
    documents: Iterable[object],
    *,
    draft: bool = False,
    where: Where | None = None,
    around: Around = nullcontext,
) -> list[ImportedPlay]:
    """Save plays; a document that says nothing new changes nothing, and activities that there are stay as they are.

    Args:
        runtime: the process's runtime.
        documents: plays as mappings; several of one play each name their `version`.
        draft: save new versions without making them current.
        where: names a document in errors, for example by its file; its number when left out.
        around: surrounds the import within its transaction.

    Returns:
        One for each document, in the order given.

    Raises:
        BadInput: with all `problems` of all documents, each with `where` it is, its `path` and a `message`.
        Conflict: a version that a document names says something else already.
    """
    read = _read(documents, where or (lambda index: f"document {index + 1}"))
    with transaction(runtime, around) as conn:
        saved = {
            (one.code, one.version): plays.save(conn, one, draft=draft)
            for one in sorted(read, key=lambda one: (one.code, one.version))
        }
    return [_imported(one, saved[one.code, one.version]) for one in read]


def state(conn: Connection, code: str) -> State:
    """Give a play's state.

    Raises:
        NotFound: there is no such play.
    """
    current = plays.current(conn, code)
    draft = versions.newest_draft(conn, PLAY, code, current)
    return State(current or draft or 1, current, draft)


def publish_play(runtime: Runtime, code: str, version: int | None = None, *, around: Around = nullcontext) -> SavedPlay:
    """Make a draft current, the newest when none is named; arguments and errors are those of `plays.publish`."""
    with transaction(runtime, around) as conn:
        return plays.publish(conn, code, version)


def roll_back_play(runtime: Runtime, code: str, to: int | None = None, *, around: Around = nullcontext) -> SavedPlay:
    """Bring an earlier version back as a new one; arguments and errors are those of `plays.roll_back`."""
    with transaction(runtime, around) as conn:
        return plays.roll_back(conn, code, to)


def compare_plays(runtime: Runtime, code: str, before: int | None = None, after: int | None = None) -> Difference:
    """Say what two versions of a play say differently; arguments and errors are those of `activity.compare`."""
    with runtime.engine.connect() as conn:
        return compared(conn, PLAY, code, plays.current(conn, code), before, after)


def play_document(play: Play) -> dict[str, Any]:
    """Give a version of a play as it could be imported again."""
    return {"code": play.code, "version": play.version, **play.to_json()}


def export_plays(runtime: Runtime, codes: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Give plays as documents: the current version, and before it every other that an activity was made from.

    Args:
        runtime: the process's runtime.
        codes: which; all when there are none. One that has only drafts is left out, unless it is named.

    Raises:
        NotFound: there is no such play.
    """
    with runtime.engine.connect() as conn:
        wanted = codes or [row.code for row in plays.listing(conn) if row.version]
        return [play_document(one) for code in wanted for one in _in_use(conn, code)]


def _in_use(conn: Connection, code: str) -> list[Play]:
    newest = plays.find(conn, code)
    used = {version for _, version, _ in plays.made_from(conn, code)}
    return [plays.find(conn, code, version) for version in sorted(used | {newest.version})]


def _imported(one: Play, saved: SavedPlay) -> ImportedPlay:
    notes = (*saved.notes, *warnings_of(one))
    return ImportedPlay(one.code, saved.version, saved.change, saved.current, notes)


def _read(documents: Iterable[object], where: Where) -> list[Play]:
    read: list[Play] = []
    problems: list[dict[str, str]] = []
    lines: list[str] = []
    first_at: dict[tuple[str, int], str] = {}
    for index, document in enumerate(documents):
        place = where(index)
        try:
            problem = plain_problem(document)
            if problem:
                raise BadInput(f"{problem['path'] or '/'}: {problem['message']}", problems=[problem])  # noqa: TRY301  # said with the others
            one = parse_play(document)
        except BadInput as error:
            problems += [{"where": place, **problem} for problem in error.fields["problems"]]
            lines.append(f"{place}: {error.message}")
            continue
        read.append(one)
        if (first := first_at.setdefault((one.code, one.version), place)) != place:
            message = f"play {one.code!r} is also in {first}" + (f" as version {one.version}" if one.version else "")
            problems.append({"where": place, "path": "/code", "message": message})
            lines.append(f"{place}: {message}")
    if lines:
        raise BadInput("\n".join(lines), problems=problems)
    return read
