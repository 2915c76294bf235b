"""Grants that outside benefit systems give: what it takes to settle one, and what was asked and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Row, and_, case, func, insert, null, select, true, update
from sqlalchemy.dialects.postgresql import array

from tactics.domain.provider import ProviderAnswer
from tactics.domain.settlement import Standing
from tactics.store.horizon import next_claim_at
from tactics.store.tables import OPEN_STATES, grant_record, outside_grant, provider_attempt

AttemptKind = Literal["call", "look_up"]


@dataclass(frozen=True, slots=True)
class NewOutsideGrant:
    """What is kept of a reserved grant until it is settled.

    `body` is what the provider is sent, `drafts` the assets that it gives then, `reserved` what a refusal gives back.
    """

    user_id: str
    grant_id: UUID
    provider: str
    body: str
    drafts: Sequence[Mapping[str, Any]]
    asset_ids: Sequence[UUID]
    reserved: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OutsideGrant:
    """A grant with what it takes to settle it.

    `attempts` is the only attempt that may ask. `read_at` is the database's clock, as all times here are: those of the
    processes that ask may be wrong.
    """

    user_id: str
    grant_id: UUID
    activity_code: str
    execution_id: UUID
    event_source: str
    event_id: str
    will_send_count: int
    idempotency_id: str
    state: str
    business_at: datetime
    provider: str
    body: str
    drafts: list[dict[str, Any]]
    reserved: dict[str, Any]
    attempts: int
    waits: int
    calls: int
    first_called_at: datetime | None
    next_attempt_at: datetime | None
    created_at: datetime
    read_at: datetime

    @property
    def open(self) -> bool:
        """Whether it is not settled yet."""
        return self.state in OPEN_STATES

    @property
    def tries(self) -> int:
        """How many attempts asked the provider."""
        return self.attempts - self.waits

    @property
    def standing(self) -> Standing:
        """How far it is."""
        return Standing(self.calls, self.first_called_at)


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt that nobody else has."""

    grant_id: UUID
    attempt: int


_OF_GRANT = (
    "user_id",
    "activity_code",
    "execution_id",
    "event_source",
    "event_id",
    "will_send_count",
    "idempotency_id",
    "state",
    "business_at",
)
_OWN = (
    "grant_id",
    "provider",
    "body",
    "drafts",
    "reserved",
    "attempts",
    "waits",
    "calls",
    "first_called_at",
    "next_attempt_at",
    "created_at",
)
_CLOCK = func.clock_timestamp()
_SAME = and_(outside_grant.c.user_id == grant_record.c.user_id, outside_grant.c.grant_id == grant_record.c.id)
_READ = select(
    *[grant_record.c[name] for name in _OF_GRANT], *[outside_grant.c[name] for name in _OWN], _CLOCK.label("read_at")
).join_from(grant_record, outside_grant, _SAME)


def _grant(row: Row[*tuple[Any, ...]] | None) -> OutsideGrant | None:
    return None if row is None else OutsideGrant(**row._mapping)  # noqa: SLF001  # SQLAlchemy's documented name


def _this(one: OutsideGrant) -> Any:
    return and_(outside_grant.c.user_id == one.user_id, outside_grant.c.grant_id == one.grant_id)


def add(conn: Connection, one: NewOutsideGrant, claim_s: float) -> None:
    """Keep what the grant that was reserved in this transaction needs; its first attempt is claimed with it."""
    conn.execute(
        insert(outside_grant).values(
            user_id=one.user_id,
            grant_id=one.grant_id,
            provider=one.provider,
            body=one.body,
            drafts=[dict(each) for each in one.drafts],
            asset_ids=list(one.asset_ids),
            reserved=dict(one.reserved),
            next_attempt_at=_CLOCK + timedelta(seconds=claim_s),
        )
    )


def find(conn: Connection, grant_id: UUID) -> OutsideGrant | None:
    """Find a grant by its id; None where it is none of an outside system."""
    return _grant(conn.execute(_READ.where(grant_record.c.id == grant_id)).one_or_none())


def of_execution(conn: Connection, user_id: str, execution_id: UUID) -> OutsideGrant | None:
    """Find the grant that an execution reserved."""
    mine = grant_record.c
    return _grant(conn.execute(_READ.where(mine.user_id == user_id, mine.execution_id == execution_id)).one_or_none())


def lock(conn: Connection, user_id: str, grant_id: UUID) -> OutsideGrant | None:
    """Read a grant and hold it. Whoever settles has locked its instance before."""
    held = _READ.where(grant_record.c.user_id == user_id, grant_record.c.id == grant_id).with_for_update()
    return _grant(conn.execute(held).one_or_none())


def claim_due(conn: Connection, *, limit: int, claim_s: float) -> list[Claim]:
    """Take grants whose time has come for another attempt. The caller commits, then publishes."""
    mine = outside_grant.c
    due = (
        select(mine.user_id, mine.grant_id)
        .where(mine.next_attempt_at <= func.now())  # the index knows it, as it does not know a clock that goes on
        .order_by(mine.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    claimed = (
        update(outside_grant)
        .where(mine.user_id == due.c.user_id, mine.grant_id == due.c.grant_id)
        .values(attempts=mine.attempts + 1, next_attempt_at=next_claim_at(mine.attempts - mine.waits, claim_s))
        .returning(mine.grant_id, mine.attempts)
    )
    return [Claim(*row) for row in conn.execute(claimed)]


def claim_now(conn: Connection, one: OutsideGrant, claim_s: float) -> Claim:
    """Take a grant that is held for another attempt at once; one that was parked is asked about again."""
    attempts = conn.execute(
        update(outside_grant)
        .where(_this(one))
        .values(attempts=outside_grant.c.attempts + 1, next_attempt_at=_CLOCK + timedelta(seconds=claim_s))
        .returning(outside_grant.c.attempts)
    ).scalar_one()
    if one.state == "parked":
        set_state(conn, one, "unknown" if one.calls else "pending", None)
    return Claim(one.grant_id, attempts)


def postpone(conn: Connection, one: OutsideGrant, *, attempt: int, wait_s: float, asked: bool) -> None:
    """Let the sweeper take it again after `wait_s` seconds, unless a newer attempt has begun.

    An attempt that asked nobody does not count.
    """
    conn.execute(
        update(outside_grant)
        .where(_this(one), outside_grant.c.attempts == attempt, outside_grant.c.next_attempt_at.is_not(None))
        .values(next_attempt_at=_CLOCK + timedelta(seconds=wait_s), waits=outside_grant.c.waits + (0 if asked else 1))
    )


def begin_attempt(
    conn: Connection,
    one: OutsideGrant,
    kind: AttemptKind,
    *,
    attempt: int,
    horizon_s: float,
    until: datetime | None = None,
) -> int | None:
    """Write down that the provider is about to be asked; committed before it is.

    Args:
        conn: a transaction of its own.
        one: the grant as it was read: another's call since then keeps this one from calling.
        kind: what is asked.
        attempt: the current one, or this does nothing.
        horizon_s: in seconds, how long asking may take before somebody else may try.
        until: from then on it must not be asked; None: at any time.

    Returns:
        Its number; None where it must not be asked.
    """
    mine = outside_grant.c
    values: dict[str, Any] = {
        "next_attempt_at": func.greatest(mine.next_attempt_at, _CLOCK + timedelta(seconds=horizon_s))
    }
    if kind == "call":
        values |= {"calls": mine.calls + 1, "first_called_at": func.coalesce(mine.first_called_at, _CLOCK)}
    still_open = select(grant_record.c.id).where(_SAME, grant_record.c.state.in_(OPEN_STATES)).exists()
    begun = conn.execute(
        update(outside_grant)
        .where(_this(one), mine.attempts == attempt, mine.calls == one.calls, still_open)
        .where(true() if until is None else until > _CLOCK)
        .values(values)
        .returning(mine.grant_id)
    ).one_or_none()
    if begun is None:
        return None
    theirs = provider_attempt.c
    number = select(func.coalesce(func.max(theirs.number), 0) + 1).where(
        theirs.user_id == one.user_id, theirs.grant_id == one.grant_id
    )
    row = {"user_id": one.user_id, "grant_id": one.grant_id, "number": number.scalar_subquery(), "kind": kind}
    added: int = conn.execute(insert(provider_attempt).values(row).returning(theirs.number)).scalar_one()
    return added


def end_attempt(conn: Connection, one: OutsideGrant, number: int, answer: ProviderAnswer) -> None:
    """Write down what was answered; a call of which nothing was sent is as if it had not been."""
    theirs = provider_attempt.c
    ended = conn.execute(
        update(provider_attempt)
        .where(
            theirs.user_id == one.user_id,
            theirs.grant_id == one.grant_id,
            theirs.number == number,
            theirs.finished_at.is_(None),
        )
        .values(finished_at=_CLOCK, answer=answer.kind, text=answer.text, status_code=answer.status_code)
        .returning(theirs.kind)
    ).scalar_one_or_none()
    if ended == "call" and answer.kind == "not_sent":
        conn.execute(
            update(outside_grant)
            .where(_this(one))
            .values(
                calls=outside_grant.c.calls - 1,
                first_called_at=case((outside_grant.c.calls == 1, null()), else_=outside_grant.c.first_called_at),
            )
        )


def set_state(conn: Connection, one: OutsideGrant, state: str, reason: str | None) -> None:
    """Write a grant's state with its reason."""
    values: dict[str, Any] = {"state": state, "reason": reason}
    if state not in OPEN_STATES:
        values["settled_at"] = _CLOCK
    mine = grant_record.c
    conn.execute(update(grant_record).where(mine.user_id == one.user_id, mine.id == one.grant_id).values(values))


def rest(conn: Connection, one: OutsideGrant, reference: str | None = None) -> None:
    """Let nobody try it again by itself."""
    values: dict[str, Any] = {"next_attempt_at": None}
    if reference is not None:
        values["reference"] = reference
    conn.execute(update(outside_grant).where(_this(one)).values(values))


def attempts_of(conn: Connection, user_id: str, grant_id: UUID) -> list[dict[str, Any]]:
    """Give what the provider was asked, and what it answered, the first one first."""
    theirs = provider_attempt.c
    query = select(
        theirs.number,
        theirs.kind,
        theirs.started_at,
        theirs.finished_at,
        theirs.answer,
        theirs.text,
        theirs.status_code,
    )
    found = query.where(theirs.user_id == user_id, theirs.grant_id == grant_id).order_by(theirs.number)
    return [dict(row) for row in conn.execute(found).mappings()]


def is_asked(conn: Connection, one: OutsideGrant, since_s: float) -> bool:
    """Tell whether somebody may be asking the provider at this moment: begun less than `since_s` ago, and not ended."""
    theirs = provider_attempt.c
    query = select(theirs.number).where(
        theirs.user_id == one.user_id,
        theirs.grant_id == one.grant_id,
        theirs.finished_at.is_(None),
        theirs.started_at > _CLOCK - timedelta(seconds=since_s),
    )
    return conn.execute(query.limit(1)).one_or_none() is not None


def expects(conn: Connection, asset_id: UUID) -> bool:
    """Tell whether a grant is to give this asset, or has given it by now."""
    query = (
        select(outside_grant.c.grant_id)
        .join(grant_record, _SAME)
        .where(outside_grant.c.asset_ids.op("@>")(array([asset_id])), grant_record.c.state != "refused")
    )
    return conn.execute(query.limit(1)).one_or_none() is not None
