"""What settling an outside grant writes, in the transaction that holds its instance and the grant itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, insert, literal, update
from sqlalchemy.dialects.postgresql import JSONB

from tactics.domain.asset import Asset
from tactics.store.outside_grants import OutsideGrant
from tactics.store.tables import asset, benefit, benefit_code, event, execution, grant_record, limit_counter


def hand_over(conn: Connection, one: OutsideGrant, assets: Sequence[Asset], now: datetime) -> None:
    """Write a grant that its provider has given: its assets, which its user has from now on, and the record."""
    rows = [{**{name: getattr(each, name) for name in Asset.__slots__}, "status_at": now} for each in assets]
    conn.execute(insert(asset), rows)
    mine = grant_record.c
    conn.execute(
        update(grant_record)
        .where(mine.user_id == one.user_id, mine.id == one.grant_id)
        .values(state="granted", usable=True, reason=None, settled_at=func.clock_timestamp())
    )


def take_back(conn: Connection, one: OutsideGrant) -> None:
    """Give back what a refused grant reserved: counters, then codes, then stock, as grants lock them."""
    kept = one.reserved
    code = one.activity_code
    counters = [("day", kept["day"], 1)] if kept.get("day") else []
    counters += [("budget", "", kept["budget"])] if kept.get("budget") else []
    for scope, period, used in counters:
        mine = limit_counter.c
        conn.execute(
            update(limit_counter)
            .where(mine.activity_code == code, mine.scope == scope, mine.period == period)
            .values(used=mine.used - used)
        )
    ids = [UUID(draft["id"]) for draft in one.drafts]
    conn.execute(
        update(benefit_code)
        .where(benefit_code.c.activity_code == code, benefit_code.c.asset_id.in_(ids))
        .values(asset_id=None)
    )
    for name, taken in sorted(kept["stock"].items()):
        conn.execute(
            update(benefit)
            .where(benefit.c.activity_code == code, benefit.c.code == name, benefit.c.remaining.is_not(None))
            .values(remaining=benefit.c.remaining + taken)
        )


def close_execution(
    conn: Connection, one: OutsideGrant, outcome: str, reason: str | None, part: Mapping[str, object]
) -> None:
    """Give the execution that answered `pending` its outcome, and the placement its part of the answer."""
    mine = execution.c
    conn.execute(
        update(execution)
        .where(mine.user_id == one.user_id, mine.id == one.execution_id, mine.outcome == "pending")
        .values(outcome=outcome, reason=reason)
    )
    shown = event.c.answer[one.activity_code]
    merged = shown.op("||")(literal(dict(part), JSONB)) if outcome == "granted" else literal(dict(part), JSONB)
    conn.execute(
        update(event)
        .where(
            event.c.source == one.event_source,
            event.c.id == one.event_id,
            shown["outcome"].astext == "pending",
        )
        .values(answer=event.c.answer.op("||")(func.jsonb_build_object(one.activity_code, merged)))
    )
