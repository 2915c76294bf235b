"""Grant records; and the one call that writes a grant with its assets, outbox row, limits' counters and stock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import Connection, and_, select, update

from tactics.domain.asset import Asset
from tactics.store.statement import Statement
from tactics.store.tables import OPEN_STATES, grant_record


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant as stored."""

    id: UUID
    user_id: str
    activity_code: str
    activity_version: int
    will_send_count: int
    idempotency_id: str
    execution_id: UUID
    event_source: str
    event_id: str
    best_only: bool
    state: str
    usable: bool
    lines: list[dict[str, Any]]
    value_minor: int
    day: date
    reason: str | None
    assets_unknown: bool
    business_at: datetime


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A grant that is to be given; the database counts which one of the instance it is."""

    id: UUID
    user_id: str
    activity_code: str
    activity_version: int
    execution_id: UUID
    event_source: str
    event_id: str
    best_only: bool
    lines: list[dict[str, Any]]
    value_minor: int
    day: date
    assets_unknown: bool
    business_at: datetime


@dataclass(frozen=True, slots=True)
class Terms:
    """What a grant takes, and what stands against it.

    `stock`: how many of each benefit, in the order in which rows are locked. `pools`: the benefits whose assets each need
    a code. Limits: None is no limit. `provider`: the outside system that gives it, so that it is only reserved here.
    """

    stock: dict[str, int]
    pools: list[str]
    per_user: int | None
    per_day: int | None
    budget_minor: int | None
    held_out: bool
    per_minute: int | None = None
    cost_per_minute_minor: int | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a grant; `outcome`, `will_send_count`, `detail` and `codes` as the database's function says."""

    outcome: str
    will_send_count: int | None
    detail: str
    codes: dict[str, str]


_COLUMNS = [grant_record.c[name] for name in GrantRow.__slots__]
_GIVE = Statement(
    "SELECT outcome, will_send_count, detail, codes FROM tactics_grant_benefit("
    "$1::text, $2::text, $3::int, $4::uuid, $5::uuid, $6::text, $7::text, $8::boolean, $9::jsonb, $10::bigint,"
    " $11::jsonb, $12::jsonb, $13::text[], $14::bigint[], $15::text[], $16::timestamptz, $17::date, $18::boolean,"
    " $19::boolean, $20::bigint, $21::bigint, $22::bigint, $23::text, $24::bigint, $25::bigint)"
)


def give(conn: Connection, row: NewGrant, assets: Sequence[Asset], terms: Terms) -> Verdict:
    """Write a grant with everything that belongs to it, or nothing at all, and say which.

    Args:
        conn: a transaction that holds the instance row's lock.
        row: the grant; which one it is, is counted here.
        assets: one a line; those of pools get their codes here.
        terms: what it takes, and what stands against it.
    """
    outcome, count, detail, codes = _GIVE.one(
        conn,
        row.user_id,
        row.activity_code,
        row.activity_version,
        row.id,
        row.execution_id,
        row.event_source,
        row.event_id,
        row.best_only,
        Jsonb(row.lines),
        row.value_minor,
        Jsonb([_asset(one) for one in assets]),
        Jsonb(notice_of(row.activity_code, row.user_id, row.id, assets)),
        list(terms.stock),
        list(terms.stock.values()),
        terms.pools,
        row.business_at,
        row.day,
        row.assets_unknown,
        terms.held_out,
        terms.per_user,
        terms.per_day,
        terms.budget_minor,
        terms.provider,
        terms.per_minute,
        terms.cost_per_minute_minor,
    )
    return Verdict(outcome, count, detail or "", codes or {})


def _asset(one: Asset) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "line": one.line,
        "benefit_code": one.benefit_code,
        "kind": one.kind,
        "value_minor": one.value_minor,
        "currency": one.currency,
        "details": one.details,
        "valid_until": one.valid_until.isoformat(),
    }


def notice_of(activity_code: str, user_id: str, grant_id: UUID, assets: Sequence[Asset]) -> dict[str, Any]:
    """Say what other systems hear of a grant; which one it is, and codes of pools, are added where they are known."""
    return {
        "activity": activity_code,
        "user_id": user_id,
        "grant_id": str(grant_id),
        "assets": [one.to_json() for one in assets],
    }


def find_rival(conn: Connection, wanted: NewGrant, will_send_count: int) -> GrantRow | None:
    """Find the grant that kept `wanted` out, in this order: same execution, count, best-only event, open, usable."""
    mine = grant_record.c
    same = and_(mine.user_id == wanted.user_id, mine.activity_code == wanted.activity_code)
    reasons = [
        and_(mine.user_id == wanted.user_id, mine.execution_id == wanted.execution_id),
        and_(same, mine.will_send_count == will_send_count),
    ]
    if wanted.best_only:
        event = and_(mine.event_source == wanted.event_source, mine.event_id == wanted.event_id)
        reasons.append(and_(mine.user_id == wanted.user_id, event, mine.best_only, mine.state != "refused"))
    reasons += [and_(same, mine.state.in_(OPEN_STATES)), and_(same, mine.usable, ~mine.released)]
    for reason in reasons:
        row = conn.execute(select(*_COLUMNS).where(reason).limit(1)).one_or_none()
        if row is not None:
            return GrantRow(*row)
    return None


def find(conn: Connection, grant_id: UUID) -> GrantRow | None:
    """Find a grant by its id alone."""
    row = conn.execute(select(*_COLUMNS).where(grant_record.c.id == grant_id)).one_or_none()
    return GrantRow(*row) if row else None


def set_usable(conn: Connection, user_id: str, grant_id: UUID, *, usable: bool, released: bool = False) -> None:
    """Record whether any asset of a grant is usable; `released` exempts it from one-usable-grant-an-instance."""
    values: dict[str, Any] = {"usable": usable}
    if released:
        values["released"] = True
    conn.execute(
        update(grant_record).where(grant_record.c.user_id == user_id, grant_record.c.id == grant_id).values(values)
    )
