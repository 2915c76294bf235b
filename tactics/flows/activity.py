"""Versions of activities: publish a draft, roll back, compare, and give documents that can be imported again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from tactics.domain.activity import activity_problems, refused
from tactics.domain.difference import Change, differences
from tactics.domain.filling import unfill
from tactics.domain.provider import LOCAL
from tactics.errors import Conflict
from tactics.flows.reading import Around, Read, agreed_rules, provider_notes, transaction
from tactics.runtime import Runtime
from tactics.store import activities, activity_versions, behaviour_rules, plays, versions
from tactics.store.activities import Saved
from tactics.store.versions import ACTIVITY


@dataclass(frozen=True, slots=True)
class State:
    """What an edit of an activity changes: which version is current, whether it runs, and the newest draft, if any."""

    version: int
    status: activities.Status
    newest_draft: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What two versions of a document say differently."""

    before: int
    after: int
    changes: list[Change]


def state(conn: Connection, code: str) -> State:
    """Give an activity's state.

    Raises:
        NotFound: there is no such activity.
    """
    row = activities.current(conn, code)
    return State(row.version, row.status, versions.newest_draft(conn, ACTIVITY, code, row.version))


def publish(runtime: Runtime, code: str, version: int | None = None, *, around: Around = nullcontext) -> Saved:
    """Make an activity live, in its newest draft or else its current version; its behaviour rules are defined with it.

    Args:
        runtime: the process's runtime.
        code: the activity's.
        version: the draft, or the current version, where it is not clear or is to be another.
        around: surrounds it within its transaction.

    Raises:
        NotFound: there is no such activity, or no such version.
        BadInput: a block of the version, or a provider, has gone since it was saved.
        Conflict: the version is older than the current one; it is not said which; a rule key is defined in two ways; or
            the stock cannot become what it says.
    """
    with transaction(runtime, around) as conn:
        before = activities.current(conn, code).version
        saved = activity_versions.publish(conn, code, version)
        if saved.version != before:
            _check_and_define(conn, code, saved.version)
        return _with_provider_notes(conn, code, saved)


def pause(runtime: Runtime, code: str, *, around: Around = nullcontext) -> Saved:
    """Pause a live activity: nothing new starts until it is published again. `around` surrounds it in its transaction.

    Raises:
        NotFound: there is no such activity.
        Conflict: it is a draft.
    """
    with transaction(runtime, around) as conn:
        changed = activities.set_status(conn, code, "paused")
        version = activities.current(conn, code).version
        return Saved(version, "updated" if changed else "unchanged", "paused")


def roll_back(runtime: Runtime, code: str, to: int | None = None, *, around: Around = nullcontext) -> Saved:
    """Bring an earlier version back as a new one, which is current at once; the status stays.

    Args:
        runtime: the process's runtime.
        code: the activity's.
        to: the version to bring back; the one that was current before when left out.
        around: surrounds it within its transaction.

    Raises:
        NotFound: there is no such activity, or no such version.
        BadInput: a block of the version, or a provider, has gone since it was saved.
        Conflict: there is no earlier version; `to` is a draft; a rule key is defined in two ways; or a benefit was
            unlimited then and is not now.
    """
    with transaction(runtime, around) as conn:
        saved = activity_versions.roll_back(conn, code, to)
        if saved.change != "unchanged":
            _check_and_define(conn, code, saved.version)
        return _with_provider_notes(conn, code, saved)


def compare(runtime: Runtime, code: str, before: int | None = None, after: int | None = None) -> Difference:
    """Say what two versions say differently.

    Args:
        runtime: the process's runtime.
        code: the activity's.
        before: a version; the current one when left out, or the one before it where there is no draft.
        after: a version; the newest draft when left out, or else the current one.

    Raises:
        NotFound: there is no such activity, or no such version.
        Conflict: there is nothing to compare with.
    """
    with runtime.engine.connect() as conn:
        current = activities.current(conn, code).version
        return compared(conn, ACTIVITY, code, current, before, after)


def compared(
    conn: Connection, kind: versions.Kind, code: str, current: int | None, before: int | None, after: int | None
) -> Difference:
    """Say what two versions of a document say differently; arguments and errors are those of `compare`."""
    later = after or versions.newest_draft(conn, kind, code, current) or current or 1
    earlier = before or (current if current and later > current else versions.before(conn, kind, code, later))
    if earlier is None and later > 1:
        earlier = later - 1  # what brings the first version back has none before it: then the one that it replaced
    if earlier is None:
        raise Conflict(f"{kind.name} {code!r} has one version: there is nothing to compare it with")
    said = [versions.definition(conn, kind, code, number) for number in (earlier, later)]
    return Difference(earlier, later, differences(*said))


def document(conn: Connection, code: str, version: int) -> dict[str, Any]:
    """Give a version as it could be imported again; of an activity from a play, what the play gives is left out.

    Raises:
        NotFound: there is no such version.
    """
    definition = activities.definition(conn, code, version)
    origin = definition.get("play")
    if origin is None:
        return {"code": code, **definition}
    return {"code": code, **unfill(definition, plays.find(conn, origin["code"], origin["version"]))}


def export(runtime: Runtime, codes: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Give the current versions of activities as documents that change nothing when they are imported.

    Args:
        runtime: the process's runtime.
        codes: which; all when there are none.

    Raises:
        NotFound: there is no such activity.
    """
    with runtime.engine.connect() as conn:
        wanted = codes or [row.code for row in activities.listing(conn)]
        return [document(conn, code, activities.current(conn, code).version) for code in wanted]


def _with_provider_notes(conn: Connection, code: str, saved: Saved) -> Saved:
    """Check the providers also of what was saved long ago: one may have been removed while the activity was paused."""
    benefits = activities.definition(conn, code, saved.version).get("benefits", {})
    # What was stored before there were providers names none.
    notes = provider_notes(conn, code, {name: one.get("provider", LOCAL) for name, one in benefits.items()})
    return replace(saved, notes=(*saved.notes, *notes))


def _check_and_define(conn: Connection, code: str, version: int) -> None:
    """Check what was saved once more, for blocks come and go with plugins; and define its behaviour rules."""
    activity = activities.load(conn, code, version)
    problems = activity_problems(activity)
    if problems:
        raise refused("activity", code, problems)
    rules = agreed_rules(conn, [Read(f"version {version}", activity, activity.behaviour_rules)])
    for key, rule in sorted(rules.items()):
        behaviour_rules.save(conn, key, rule)
