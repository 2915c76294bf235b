"""Plays and their versions; which activities were made from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, Row, and_, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from tactics.domain.play import Play
from tactics.errors import Conflict, NotFound
from tactics.store import versions
from tactics.store.activities import Change
from tactics.store.tables import activity, activity_version, play, play_version
from tactics.store.versions import PLAY

_ORIGIN = activity_version.c.definition["play"]
_IS_CURRENT = and_(
    activity_version.c.activity_code == activity.c.code, activity_version.c.version == activity.c.version
)


@dataclass(frozen=True, slots=True)
class SavedPlay:
    """What saving came to: the version with this content, and which one is current now (None: there are only drafts)."""

    version: int
    change: Change
    current: int | None
    notes: tuple[str, ...] = ()


def listing(conn: Connection, *, after: str = "", limit: int | None = None) -> Sequence[Row[Any]]:
    """Give code, version (None of a draft), title, is_tool, and how many activities were made from each play, by code.

    Args:
        conn: any connection.
        after: only those whose code comes after this one.
        limit: at most so many.
    """
    made = (
        select(_ORIGIN["code"].astext.label("code"), func.count().label("activities"))
        .join(activity, _IS_CURRENT)
        .group_by(text("1"))
        .subquery()
    )
    every = play_version.alias()
    newest = select(func.max(every.c.version)).where(every.c.play_code == play.c.code).correlate(play).scalar_subquery()
    shown = and_(
        play_version.c.play_code == play.c.code, play_version.c.version == func.coalesce(play.c.version, newest)
    )
    query = (
        select(
            play.c.code,
            play.c.version,
            play_version.c.definition["title"].astext.label("title"),
            play_version.c.definition["channels"].is_(None).label("is_tool"),
            func.coalesce(made.c.activities, 0).label("activities"),
        )
        .select_from(play)
        .join(play_version, shown)
        .join(made, made.c.code == play.c.code, isouter=True)
        .where(play.c.code > after)
        .order_by(play.c.code)
        .limit(limit)
    )
    return conn.execute(query).all()


def current(conn: Connection, code: str) -> int | None:
    """Give the number of a play's current version; None while there are only drafts.

    Raises:
        NotFound: there is no such play.
    """
    row = conn.execute(select(play.c.version).where(play.c.code == code)).one_or_none()
    if row is None:
        raise NotFound(f"there is no play {code!r}; `tactics play list` shows those there are", play=code)
    found: int | None = row.version
    return found


def find(conn: Connection, code: str, version: int | None = None) -> Play:
    """Give a version of a play; its current one when none is named, its newest draft where there is no current one.

    Raises:
        NotFound: there is no such play, or no such version.
    """
    number = version or current(conn, code) or versions.following(conn, PLAY, code) - 1
    if version is not None:
        current(conn, code)
    definition = versions.definition(conn, PLAY, code, number)
    # What was checked when it was saved is not checked again.
    return Play.model_validate({**definition, "code": code, "version": number})


def usable(conn: Connection, code: str, version: int | None = None) -> Play:
    """Give the version that an activity can be made from: the current one, or the one named unless it is a draft.

    Raises:
        NotFound: there is no such play, or no such version.
        Conflict: it is a draft.
    """
    now = current(conn, code)
    wanted = version or now
    if wanted is None or wanted > (now or 0):
        found = find(conn, code, wanted)
        raise Conflict(
            f"version {found.version} of play {code!r} is a draft: `tactics play publish {code}` first",
            play=code,
            version=found.version,
        )
    return find(conn, code, wanted)


def save(conn: Connection, new: Play, *, draft: bool = False) -> SavedPlay:
    """Save a play: where the document says anything new, a new version, which is current at once unless it is a draft.

    Args:
        conn: an open transaction, after `activities.serialize`.
        new: the play as parsed. Its version, where its document names one, is the number it gets; an older one than the
            current is kept beside it, for activities that were made from it elsewhere.
        draft: save it without making it current.

    Raises:
        Conflict: the version that the document names says something else already.
    """
    conn.execute(insert(play).values(code=new.code).on_conflict_do_nothing())
    now = current(conn, new.code)
    newest = versions.following(conn, PLAY, new.code) - 1
    same = new.version or (newest if draft else now) or 0
    known = versions.find(conn, PLAY, new.code, same)
    if known is not None and _text(known) == _text(new.to_json()):
        return SavedPlay(same, "unchanged", now) if draft or same <= (now or 0) else publish(conn, new.code, same)
    if new.version and known is not None:
        raise Conflict(
            f"version {same} of play {new.code!r} says something else here: "
            "leave `version` out, and it is saved as a new one",
            play=new.code,
            version=same,
        )
    number = new.version or newest + 1
    becomes = not draft and number > (now or 0)
    notes = versions.passed_over(conn, PLAY, new.code, now) if becomes and newest < number else ()
    versions.add(conn, PLAY, new.code, new.to_json(), number=number, current=becomes)
    if becomes:
        _point_at(conn, new.code, number)
    return SavedPlay(number, "updated" if newest else "new", number if becomes else now, notes)


def publish(conn: Connection, code: str, version: int | None = None) -> SavedPlay:
    """Make a draft current: the newest, or the one named. Activities stay with the version that they were made from.

    Raises:
        NotFound: there is no such play, or no such version.
        Conflict: the version is older than the current one.
    """
    now = current(conn, code)
    chosen = version or versions.newest_draft(conn, PLAY, code, now) or now or 0
    versions.definition(conn, PLAY, code, chosen)
    if chosen == now:
        return SavedPlay(chosen, "unchanged", now)
    if chosen < (now or 0):
        raise Conflict(
            f"play {code!r}: version {chosen} is older than version {now}, which is current; "
            f"`tactics play rollback {code} --to {chosen}` brings back what it said",
            play=code,
            version=now,
        )
    versions.mark_current(conn, PLAY, code, chosen)
    _point_at(conn, code, chosen)
    return SavedPlay(chosen, "updated", chosen)


def roll_back(conn: Connection, code: str, to: int | None = None) -> SavedPlay:
    """Bring an earlier version back: a new version that says what it said becomes current.

    Args:
        conn: an open transaction, after `activities.serialize`.
        code: the play's.
        to: the version to bring back; the one that was current before when left out.

    Raises:
        NotFound: there is no such play, or no such version.
        Conflict: there is no earlier version, or `to` is a draft.
    """
    now = current(conn, code)
    earlier = to or (versions.before(conn, PLAY, code, now) if now else None)
    if earlier is None:
        raise Conflict(f"play {code!r}: there is no version before version {now or 1}", play=code)
    definition = versions.definition(conn, PLAY, code, earlier)
    if now is None or earlier > now:
        raise Conflict(f"play {code!r}: version {earlier} is a draft: publish it instead", play=code)
    if _text(definition) == _text(versions.definition(conn, PLAY, code, now)):
        return SavedPlay(now, "unchanged", now)
    notes = versions.passed_over(conn, PLAY, code, now)
    number = versions.add(conn, PLAY, code, definition, restores=earlier)
    _point_at(conn, code, number)
    return SavedPlay(number, "updated", number, notes)


def made_from(conn: Connection, code: str) -> list[tuple[str, int, str]]:
    """Give (activity, version of the play, status) for the activities whose current version is from a play, by code."""
    query = (
        select(activity.c.code, _ORIGIN["version"].astext.cast(Integer).label("version"), activity.c.status)
        .join(activity_version, _IS_CURRENT)
        .where(_ORIGIN["code"].astext == code)
        .order_by(activity.c.code)
    )
    return [(row.code, row.version, row.status) for row in conn.execute(query)]


def _point_at(conn: Connection, code: str, version: int) -> None:
    conn.execute(update(play).where(play.c.code == code).values(version=version, updated_at=func.now()))


def _text(definition: object) -> str:
    # As text: to Python 1, 1.0 and true are equal, to a rule they are not.
    return json.dumps(definition, sort_keys=True)
