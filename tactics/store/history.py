"""What happened to a user, for people who ask why: rows as mappings, newest first, without what the user sent."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, exists, or_, select

from tactics.store.tables import asset, behaviour_rule, event, execution, grant_record, instance, user_profile

Entry = dict[str, Any]

_EXECUTION = [column for column in execution.c if column.name != "context"]
# `data` stays out: it is what the user or the producer said, and no part of what became of it.
_EVENT = [column for column in event.c if column.name not in {"data", "body_hash"}]


def _entries(conn: Connection, query: Select[Any]) -> list[Entry]:
    return [dict(row) for row in conn.execute(query).mappings()]


def user_known(conn: Connection, user_id: str) -> bool:
    """Tell whether anything at all is known of a user: a profile, an event or an execution."""
    tables = (user_profile, event, execution, grant_record)
    found = or_(*[exists().where(table.c.user_id == user_id) for table in tables])
    return bool(conn.execute(select(found)).scalar_one())


def execution_of(conn: Connection, execution_id: UUID) -> Entry | None:
    """Give an execution by its id alone."""
    return next(iter(_entries(conn, select(*_EXECUTION).where(execution.c.id == execution_id))), None)


def executions_of(conn: Connection, user_id: str, activity_code: str, *, until: datetime, limit: int) -> list[Entry]:
    """Give the executions of an instance up to a business time."""
    mine = (execution.c.user_id == user_id, execution.c.activity_code == activity_code)
    query = select(*_EXECUTION).where(*mine, execution.c.business_at <= until)
    return _entries(conn, query.order_by(execution.c.business_at.desc(), execution.c.created_at.desc()).limit(limit))


def execution_for(conn: Connection, user_id: str, activity_code: str, source: str, event_id: str) -> Entry | None:
    """Give the execution that an event started for an instance."""
    mine = (execution.c.user_id == user_id, execution.c.activity_code == activity_code)
    query = select(*_EXECUTION).where(*mine, execution.c.event_source == source, execution.c.event_id == event_id)
    return next(iter(_entries(conn, query)), None)


def preparation_of(conn: Connection, user_id: str, activity_code: str, *, until: datetime) -> Entry | None:
    """Give the last execution up to a business time that prepared an instance."""
    mine = (execution.c.user_id == user_id, execution.c.activity_code == activity_code)
    query = select(*_EXECUTION).where(*mine, execution.c.outcome == "prepared", execution.c.business_at <= until)
    return next(iter(_entries(conn, query.order_by(execution.c.business_at.desc()).limit(1))), None)


def rule_of(conn: Connection, rule_key: str) -> Entry | None:
    """Give a behaviour rule, enabled or not."""
    return next(iter(_entries(conn, select(behaviour_rule).where(behaviour_rule.c.rule_key == rule_key))), None)


def instance_of(conn: Connection, user_id: str, activity_code: str) -> Entry | None:
    """Give an instance's row."""
    mine = (instance.c.user_id == user_id, instance.c.activity_code == activity_code)
    return next(iter(_entries(conn, select(instance).where(*mine))), None)


def grants_of(conn: Connection, user_id: str, activity_code: str) -> list[Entry]:
    """Give the grants of an instance, each with its `assets`."""
    mine = (grant_record.c.user_id == user_id, grant_record.c.activity_code == activity_code)
    return _with_assets(conn, select(grant_record).where(*mine).order_by(grant_record.c.will_send_count.desc()))


def grant_of(conn: Connection, grant_id: UUID) -> Entry | None:
    """Give a grant by its id alone, with its `assets`."""
    return next(iter(_with_assets(conn, select(grant_record).where(grant_record.c.id == grant_id))), None)


def _with_assets(conn: Connection, query: Select[Any]) -> list[Entry]:
    found = _entries(conn, query)
    for one in found:
        mine = (asset.c.user_id == one["user_id"], asset.c.grant_id == one["id"])
        one["assets"] = _entries(conn, select(asset).where(*mine).order_by(asset.c.line))
    return found


def event_of(conn: Connection, source: str, event_id: str) -> Entry | None:
    """Give what became of an event."""
    query = select(*_EVENT).where(event.c.source == source, event.c.id == event_id)
    return next(iter(_entries(conn, query)), None)


def events_on(
    conn: Connection, user_id: str, kind: str, channels: Collection[str], *, until: datetime, limit: int
) -> list[Entry]:
    """Give a user's behaviour or placement events on some channels, up to a time."""
    return _events(conn, user_id, event.c.type == kind, event.c.channel.in_(channels), event.c.at <= until, limit=limit)


def events_not_done(conn: Connection, user_id: str, *, limit: int) -> list[Entry]:
    """Give a user's events that wait to be routed, or were given up."""
    return _events(conn, user_id, or_(event.c.routed_at.is_(None), event.c.parked_reason.is_not(None)), limit=limit)


def _events(conn: Connection, user_id: str, *conditions: ColumnElement[bool], limit: int) -> list[Entry]:
    query = select(*_EVENT).where(event.c.user_id == user_id, *conditions)
    return _entries(conn, query.order_by(event.c.at.desc(), event.c.received_at.desc()).limit(limit))
