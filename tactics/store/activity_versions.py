"""Drafts of activities, and which version is current: saved apart, published, rolled back.

Whatever becomes current goes the way of an import: channels, codes, counters and stock in one transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection, Row

from tactics.domain.activity import TacticsActivity
from tactics.errors import Conflict, NotFound
from tactics.store import versions
from tactics.store.activities import (
    Saved,
    load,
    locked,
    point_at,
    save,
    says_same,
    set_status,
    stored_form,
    take_effect,
)
from tactics.store.versions import ACTIVITY


def save_draft(conn: Connection, new: TacticsActivity) -> Saved:
    """Save a version that does not become current; of an activity that is new it does, and the activity is a draft.

    Args:
        conn: an open transaction, after `activities.serialize`.
        new: the activity as parsed. What the newest version says already makes no new one.
    """
    try:
        row = locked(conn, new.code)
    except NotFound:
        return save(conn, new)
    newest = versions.following(conn, ACTIVITY, new.code) - 1
    if says_same(conn, new, newest):
        return Saved(newest, "unchanged", row.status, draft=newest > row.version)
    number = versions.add(conn, ACTIVITY, new.code, stored_form(new), current=False)
    return Saved(number, "updated", row.status, draft=True)


def publish(conn: Connection, code: str, version: int | None = None) -> Saved:
    """Make an activity live, in its newest draft or else its current version.

    Args:
        conn: an open transaction, after `activities.serialize`.
        code: the activity's.
        version: the draft that becomes current, or the current version. Needed where `publish` alone may mean either:
            a paused activity with a draft.

    Returns:
        The version that is current now; `unchanged` when it was, and the activity live.

    Raises:
        NotFound: there is no such activity, or no such version.
        Conflict: the version is older than the current one, it is not said which, or the stock cannot become what it says.
    """
    row = locked(conn, code)
    chosen = _chosen(conn, row, version)
    notes: tuple[str, ...] = ()
    if chosen != row.version:
        new = load(conn, code, chosen)
        point_at(conn, new, chosen)
        versions.mark_current(conn, ACTIVITY, code, chosen)
        notes = take_effect(conn, new, row.status)
    changed = set_status(conn, code, "live") or chosen != row.version
    return Saved(chosen, "updated" if changed else "unchanged", "live", notes)


def roll_back(conn: Connection, code: str, to: int | None = None) -> Saved:
    """Bring an earlier version back: a new version that says what it said becomes current. The status stays.

    Where less stock was declared then than is given by now, what is given is the stock.

    Args:
        conn: an open transaction, after `activities.serialize`.
        code: the activity's.
        to: the version to bring back; the one that was current before when left out.

    Returns:
        The new version; `unchanged` when the current one says the same already.

    Raises:
        NotFound: there is no such activity, or no such version.
        Conflict: there is no earlier version, `to` is a draft, or a benefit was unlimited then and is not now.
    """
    row = locked(conn, code)
    earlier = to or versions.before(conn, ACTIVITY, code, row.version)
    if earlier is None:
        raise Conflict(f"activity {code!r}: there is no version before version {row.version}", activity=code)
    old = load(conn, code, earlier)
    if earlier > row.version:
        raise Conflict(f"activity {code!r}: version {earlier} is a draft: publish it instead", activity=code)
    if says_same(conn, old, row.version):
        return Saved(row.version, "unchanged", row.status)
    notes = versions.passed_over(conn, ACTIVITY, code, row.version)
    number = versions.following(conn, ACTIVITY, code)
    point_at(conn, old, number)
    versions.add(conn, ACTIVITY, code, stored_form(old), number=number, restores=earlier)
    return Saved(number, "updated", row.status, (*notes, *take_effect(conn, old, row.status, least="keep")))


def _chosen(conn: Connection, row: Row[object], version: int | None) -> int:
    current: int = row.version
    draft = versions.newest_draft(conn, ACTIVITY, row.code, current)
    if version is None:
        if draft and row.status == "paused":
            raise Conflict(
                f"activity {row.code!r} is paused in version {current} and has a draft, version {draft}: "
                f"say which is to run, `--version {current}` or `--version {draft}`",
                activity=row.code,
                version=current,
                draft=draft,
            )
        return draft or current
    versions.definition(conn, ACTIVITY, row.code, version)
    if version < current:
        raise Conflict(
            f"activity {row.code!r}: version {version} is older than version {current}, which is current; "
            f"`tactics activity rollback {row.code} --to {version}` brings back what it said",
            activity=row.code,
            version=current,
        )
    return version
