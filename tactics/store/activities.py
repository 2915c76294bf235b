"""Activities: their versions, channels and status, and the revisions that tell processes what to read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from tactics.domain.activity import Link, TacticsActivity
from tactics.errors import Conflict, NotFound
from tactics.store import limits, outbox, stock, versions
from tactics.store.statement import Statement
from tactics.store.tables import activity, activity_channel, activity_version, revision

Change = Literal["new", "updated", "unchanged"]
Status = Literal["draft", "live", "paused"]
Revision = Literal["activities", "behaviour_rules", "chains", "item_sets"]

_BY_CHANNEL = (
    select(activity.c.code, activity.c.version, activity.c.priority, activity.c.tripped_reason)
    .join(activity_channel, activity_channel.c.activity_code == activity.c.code)
    .where(
        activity_channel.c.link == bindparam("link"),
        activity_channel.c.channel_code == bindparam("channel"),
        or_(activity.c.status == "live", activity.c.tripped_at.is_not(None)),
        activity.c.starts_at <= bindparam("now"),
        activity.c.ends_at > bindparam("now"),
    )
    .order_by(activity.c.priority.desc(), activity.c.code)
)
_LIVE_NOW = Statement("""
    SELECT clock.now, (SELECT jsonb_object_agg(name, value) FROM revision), live.code, live.version,
           live.tripped_reason
    FROM (SELECT coalesce($2::timestamptz, now()) AS now) AS clock
    LEFT JOIN LATERAL (
        SELECT activity.code, activity.version, activity.priority, activity.tripped_reason
        FROM activity_channel JOIN activity ON activity.code = activity_channel.activity_code
        WHERE activity_channel.link = 'grant' AND activity_channel.channel_code = $1
            AND (activity.status = 'live' OR activity.tripped_at IS NOT NULL)
            AND activity.starts_at <= clock.now AND activity.ends_at > clock.now
    ) AS live ON true
    ORDER BY live.priority DESC, live.code
""")
_CHANNEL_KNOWN = select(
    exists().where(
        activity_channel.c.link == bindparam("link"), activity_channel.c.channel_code == bindparam("channel")
    )
)
_DEFINITION = select(activity_version.c.definition).where(
    activity_version.c.activity_code == bindparam("code"), activity_version.c.version == bindparam("version")
)
_LOCKED = select(activity).where(activity.c.code == bindparam("code")).with_for_update(key_share=True)
_NOT_AGAIN = select(activity.c.grants_removed_at.is_not(None)).where(
    activity.c.code == bindparam("code"), bindparam("ends_at", type_=activity.c.ends_at.type) > func.now()
)
_REVISIONS = select(revision.c.name, revision.c.value)
_BUMP = (
    insert(revision)
    .values(name=bindparam("name"), value=1)
    .on_conflict_do_update(index_elements=[revision.c.name], set_={"value": revision.c.value + 1})
)
_SERIALIZE = text("SELECT pg_advisory_xact_lock(hashtextextended('tactics.setup', 0))")


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving came to. `notes` say what the operator may not expect; a `draft` is saved without becoming current."""

    version: int
    change: Change
    status: Status
    notes: tuple[str, ...] = ()
    draft: bool = False


def by_channel(conn: Connection, link: Link, channel_code: str, now: datetime) -> list[tuple[str, int, str | None]]:
    """Give the live activities in schedule on a channel, by priority, then code; those that paused themselves are there too.

    Returns:
        Code, version, and why it paused itself: None where it is live.
    """
    found = conn.execute(_BY_CHANNEL, {"link": link, "channel": channel_code, "now": now})
    return [(row.code, row.version, row.tripped_reason) for row in found]


def live_now(
    conn: Connection, channel_code: str, at: datetime | None
) -> tuple[datetime, dict[str, int], dict[str, int], dict[str, str]]:
    """Give all that a placement begins with, in one statement.

    Args:
        conn: any connection.
        channel_code: of the placement.
        at: its business time, in replay; None: the database's clock.

    Returns:
        The business time; the revisions, as `revisions` does; the version of each activity that is live then on the
        channel, by priority, then code; and of those among them that paused themselves, why.
    """
    rows = _LIVE_NOW.all(conn, channel_code, at)
    now, known = rows[0][:2]
    live = {code: version for _, _, code, version, _ in rows if code is not None}
    tripped = {code: why for _, _, code, _, why in rows if why is not None}
    return now.astimezone(UTC), known or {}, live, tripped


def channel_known(conn: Connection, link: Link, channel_code: str) -> bool:
    """Tell whether an activity is bound to a channel, whatever its status and schedule."""
    return bool(conn.execute(_CHANNEL_KNOWN, {"link": link, "channel": channel_code}).scalar_one())


def load(conn: Connection, code: str, version: int) -> TacticsActivity:
    """Give a version of an activity as it was saved.

    Raises:
        NotFound: there is no such version.
    """
    return TacticsActivity.model_validate({**definition(conn, code, version), "code": code, "version": version})


def definition(conn: Connection, code: str, version: int) -> dict[str, Any]:
    """Give a version's document as stored: plain data, without code and version.

    Raises:
        NotFound: there is no such version.
    """
    row = conn.execute(_DEFINITION, {"code": code, "version": version}).one_or_none()
    if row is None:
        raise NotFound(f"there is no version {version} of activity {code!r}", activity=code, version=version)
    found: dict[str, Any] = row.definition
    return found


def revisions(conn: Connection) -> dict[str, int]:
    """Give each kind of set-up's revision; read it before what it is about. A kind never changed is missing."""
    return {row.name: row.value for row in conn.execute(_REVISIONS)}


def bump(conn: Connection, name: Revision) -> None:
    """Say that a kind of set-up changes with this transaction."""
    conn.execute(_BUMP, {"name": name})


def serialize(conn: Connection) -> None:
    """Let one transaction at a time change what operators set up; held until it ends."""
    conn.execute(_SERIALIZE)


def listing(
    conn: Connection,
    *,
    status: Status | None = None,
    channel: str | None = None,
    after: str = "",
    limit: int | None = None,
) -> Sequence[Row[Any]]:
    """Give activities with the channels of each link, by code.

    Args:
        conn: any connection.
        status: only those of this status.
        channel: only those with this channel code, whatever the link.
        after: only those whose code comes after this one.
        limit: at most so many.
    """
    channels = (
        select(activity_channel.c.activity_code, activity_channel.c.link, activity_channel.c.channel_code)
        .order_by(activity_channel.c.channel_code)
        .subquery()
    )
    of_link = {
        link: func.coalesce(
            func.array_agg(channels.c.channel_code).filter(channels.c.link == link), text("'{}'::text[]")
        ).label(link)
        for link in ("prepare", "grant")
    }
    query = (
        select(activity, of_link["prepare"], of_link["grant"])
        .join(channels, channels.c.activity_code == activity.c.code, isouter=True)
        .where(activity.c.code > after)
        .group_by(activity.c.code)
        .order_by(activity.c.code)
        .limit(limit)
    )
    if status is not None:
        query = query.where(activity.c.status == status)
    if channel is not None:
        on_it = (activity_channel.c.activity_code == activity.c.code, activity_channel.c.channel_code == channel)
        query = query.where(exists().where(*on_it))
    return conn.execute(query).all()


def current(conn: Connection, code: str) -> Row[Any]:
    """Give an activity's row.

    Raises:
        NotFound: there is no such activity.
    """
    row = conn.execute(select(activity).where(activity.c.code == code)).one_or_none()
    if row is None:
        raise _unknown(code)
    return row


def locked(conn: Connection, code: str) -> Row[Any]:
    """Give an activity's row, which nobody else changes until the transaction ends.

    Raises:
        NotFound: there is no such activity.
    """
    row = conn.execute(_LOCKED, {"code": code}).one_or_none()
    if row is None:
        raise _unknown(code)
    return row


def set_status(conn: Connection, code: str, status: Literal["live", "paused"]) -> bool:
    """Let an activity run (`live`) or pause it. One that paused itself stays as it is when it is paused.

    Returns:
        Whether that changed anything.

    Raises:
        NotFound: there is no such activity.
        Conflict: a draft cannot be paused.
    """
    row = locked(conn, code)
    if row.status == status:
        return False
    if row.status == "draft" and status == "paused":
        raise Conflict(f"activity {code!r} is a draft: it does not run, so there is nothing to pause", activity=code)
    ended = {"tripped_at": None, "tripped_reason": None} if status == "live" else {}
    conn.execute(update(activity).where(activity.c.code == code).values(status=status, updated_at=func.now(), **ended))
    bump(conn, "activities")
    if row.tripped_at is not None:
        outbox.add(conn, "tactics.resumed", code, {"activity": code})
    return True


def save(conn: Connection, new: TacticsActivity, *, publish: bool = False) -> Saved:
    """Save an activity: where the document says anything new, a new version that is current at once.

    Args:
        conn: an open transaction, after `serialize`.
        new: the activity as parsed; its own version number plays no part.
        publish: make it live; else a new activity is a draft, and an existing one keeps its status.

    Raises:
        Conflict: the stock cannot become what the document says.
    """
    row = conn.execute(_LOCKED, {"code": new.code}).one_or_none()
    version: int = row.version if row else 0
    status: Status = row.status if row else "draft"
    change: Change = "updated" if row else "new"
    notes: tuple[str, ...] = ()
    if row and says_same(conn, new, version):
        change = "unchanged"
    else:
        notes = versions.passed_over(conn, versions.ACTIVITY, new.code, version)
        version = versions.following(conn, versions.ACTIVITY, new.code)
        point_at(conn, new, version)
        versions.add(conn, versions.ACTIVITY, new.code, stored_form(new), number=version)
        notes = (*notes, *take_effect(conn, new, status))
    if publish and set_status(conn, new.code, "live"):
        status = "live"
    return Saved(version, change, status, notes)


def point_at(conn: Connection, new: TacticsActivity, version: int) -> None:
    """Make a version the current one: the activity's row and its channels say what this version does.

    Raises:
        Conflict: it is to run again, and what it had given is not known any more.
    """
    if conn.execute(_NOT_AGAIN, {"code": new.code, "ends_at": new.schedule.ends_at}).scalar_one_or_none():
        raise Conflict(
            f"activity {new.code!r} was over for so long that its grants were removed: nobody knows any more who got what. "
            "Give what is to run now a code of its own",
            activity=new.code,
        )
    row = {
        "version": version,
        "template_type": new.template_type,
        "priority": new.priority,
        "starts_at": new.schedule.starts_at,
        "ends_at": new.schedule.ends_at,
    }
    conn.execute(
        insert(activity)
        .values(code=new.code, status="draft", **row)
        .on_conflict_do_update(index_elements=[activity.c.code], set_={**row, "updated_at": func.now()})
    )
    conn.execute(delete(activity_channel).where(activity_channel.c.activity_code == new.code))
    links: tuple[Link, ...] = ("prepare", "grant")
    channels = [
        {"link": link, "channel_code": channel, "activity_code": new.code}
        for link in links
        for channel in dict.fromkeys(new.channels.of(link))
    ]
    if channels:
        conn.execute(insert(activity_channel), channels)


def take_effect(
    conn: Connection, new: TacticsActivity, status: Status, *, least: stock.Least = "refuse"
) -> tuple[str, ...]:
    """Make codes, counters and stock what the version that became current declares, and say so to every process.

    Args:
        conn: an open transaction with the activity's row locked.
        new: the version that is current now.
        status: the activity's.
        least: what happens where less stock is declared than was granted.

    Returns:
        What the operator may not expect, in sentences.

    Raises:
        Conflict: the stock cannot become what the version says.
    """
    stock.add_codes(conn, new)
    if status != "draft":  # else nothing was given yet
        limits.recount(conn, new)
    notes = stock.declare(conn, new, never_ran=status == "draft", least=least)
    bump(conn, "activities")
    return tuple(notes)


def stored_form(new: TacticsActivity) -> dict[str, Any]:
    """Give an activity as a version stores it."""
    # Its behaviour rules are kept with it: they tell who defined a rule key, and the document can be shown whole.
    rules = {key: rule.model_dump(mode="json") for key, rule in new.behaviour_rules.items()}
    return {**new.to_json(), "behaviour_rules": rules}


def says_same(conn: Connection, new: TacticsActivity, version: int) -> bool:
    """Tell whether a stored version says what an activity does."""
    stored = conn.execute(_DEFINITION, {"code": new.code, "version": version}).scalar_one()
    # As text: to Python 1, 1.0 and true are equal, to a rule they are not.
    return json.dumps(stored, sort_keys=True) == json.dumps(stored_form(new), sort_keys=True)


def _unknown(code: str) -> NotFound:
    return NotFound(f"there is no activity {code!r}; `tactics activity list` shows those there are", activity=code)
