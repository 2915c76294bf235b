"""What settling an outside grant writes, in the transaction that holds its instance and the grant itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, insert, literal, update
from sqlalchemy.dialects.postgresql import JSONB

from tactics.domain.asset import Asset
from tactics.store import limits
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
    kept, code = one.reserved, one.activity_code
    periods: tuple[tuple[limits.Scope, str], ...] = (("day", kept["on_day"]), ("budget", ""))
    for scope, period in periods:
        used, mine = kept[scope], limit_counter.c
        if used is None:  # no limit then; a version with one that came since has counted it
            limits.count_again(conn, code, scope, period)
            continue
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
    _change_answer(conn, one, one.event_source, one.event_id, part)


def close_others(conn: Connection, one: OutsideGrant, outcome: str, part: Mapping[str, object]) -> None:
    """Give the instance's other executions, which answered `pending` because of this grant, what became of it."""
    mine = execution.c
    closed = conn.execute(
        update(execution)
        .where(mine.user_id == one.user_id, mine.activity_code == one.activity_code, mine.outcome == "pending")
        .values(outcome=outcome)
        .returning(mine.event_source, mine.event_id)
    )
    for source, event_id in closed:
        _change_answer(conn, one, source, event_id, part)


def _change_answer(conn: Connection, one: OutsideGrant, source: str, event_id: str, part: Mapping[str, object]) -> None:
    shown = event.c.answer[one.activity_code]
    changed = literal(dict(part), JSONB)
    merged = shown.op("||")(changed) if "outcome" in part else changed
    conn.execute(
        update(event)
        .where(event.c.source == source, event.c.id == event_id, shown["outcome"].astext == "pending")
        .values(answer=event.c.answer.op("||")(func.jsonb_build_object(one.activity_code, merged)))
    )
