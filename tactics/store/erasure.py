"""Erasing a user in Postgres: what is theirs alone is deleted, what others' sums need is moved under a pseudonym.

Rows that are moved are deleted and inserted again: their partition hangs on the user's id, and whoever waits for a row
that moved to another partition would get an error, where a deleted one is simply gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Table, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from tactics.store.tables import (
    asset,
    event,
    execution,
    grant_record,
    instance,
    outside_grant,
    provider_attempt,
)

_HOLD_USERS = ("user_profile", "user_action", "user_item", "event", "instance", "execution", "grant_record")
_ANYTHING = " OR ".join(f"EXISTS (SELECT FROM {table} WHERE user_id = :user)" for table in _HOLD_USERS)
_KNOWN = text(f"SELECT {_ANYTHING}")
# What was given up on is closed as well: nobody is to try it again.
_CLOSE = text(
    "UPDATE event SET routed_at = clock_timestamp(), next_attempt_at = NULL, parked_reason = NULL, outcome = 'erased',"
    " data = '{}', body_hash = 'erased', candidates = NULL, answer = NULL"
    " WHERE user_id = :user AND (routed_at IS NULL OR parked_reason IS NOT NULL)"
)
_ERASING = text("SELECT set_config('tactics.erasing', 'yes', true)")
# One that is not there yet is inserted, so that nobody else can: what begins for the user now waits until this ends.
_RESERVE_INSTANCES = text(
    "INSERT INTO instance (user_id, activity_code, epoch) SELECT :user, code, 0 FROM activity ORDER BY code"
    " ON CONFLICT DO NOTHING"
)
_LOCK_INSTANCES = text("SELECT activity_code FROM instance WHERE user_id = :user ORDER BY activity_code FOR UPDATE")
_OPEN_GRANTS = text(
    "SELECT id FROM grant_record WHERE user_id = :user AND state IN ('pending', 'unknown', 'parked') ORDER BY created_at"
)
# A rebuild of recall goes on after the user that it has reached: now after the one before.
_LEAVE_REBUILD = text(
    "UPDATE recall_rebuild SET reached_user_id = coalesce("
    "(SELECT max(user_id) FROM user_item WHERE user_id < reached_user_id), '') WHERE reached_user_id = :user"
)
_NAME = "CAST(:pseudonym AS text)"
# An event keeps its id, so that it is known when it comes again; its body's hash is none, so that it says nothing the same.
_EVENT = {
    "user_id": _NAME,
    "id": "{id}",
    "data": "'{{}}'::jsonb",
    "body_hash": "'erased'",
    "parked_reason": "NULL",
    "candidates": "NULL",
    "answer": "NULL",
}
_INSTANCE = {"user_id": _NAME, "prepared_event_id": "{prepared_event_id}"}
_EXECUTION = {
    "user_id": _NAME,
    "event_id": "{event_id}",
    "context": "NULL",
    "trace": "NULL",
    "reason": "NULL",
    "next_attempt_at": "NULL",
    "outcome": "coalesce(nullif(outcome, 'parked'), 'erased')",
    "finished_at": "coalesce(finished_at, clock_timestamp())",
}
_GRANT = {
    "user_id": _NAME,
    "event_id": "{event_id}",
    "idempotency_id": f"activity_code || ':' || {_NAME} || ':' || will_send_count",
    "reason": "NULL",
}
_ASSET = {"user_id": _NAME, "reference": "NULL"}  # an order, from which its buyer is known elsewhere
# Settled, it is never sent again; by its reference the provider knows whose it is.
_OUTSIDE = {"user_id": _NAME, "body": "''", "drafts": "'[]'::jsonb", "reference": "NULL"}
_ATTEMPT = {"user_id": _NAME}
_OUTBOX = (
    "UPDATE outbox SET payload = payload || jsonb_build_object('user_id', CAST(:pseudonym AS text)),"
    " key = coalesce((payload ->> 'activity') || ':' || CAST(:pseudonym AS text) || ':' || (payload ->> 'will_send_count'),"
    " CAST(:pseudonym AS text)) WHERE payload ->> 'user_id' = :user"
)
_DELETED = ("user_profile", "user_item", "user_action")


@dataclass(frozen=True, slots=True)
class Renaming:
    """From a user's id to the pseudonym; both as they stand in the ids of behaviour events; and the locked activities."""

    user: str
    pseudonym: str
    part: str
    new_part: str
    codes: Sequence[str]


def _renamed(column: str, source: str) -> str:
    """Give the id of an event without the user's in it: of one that Tactics made, whose id names its user."""
    return (
        f"CASE WHEN starts_with({source}, 'tactics.behaviour:')"
        f" THEN replace({column}, ':' || CAST(:part AS text) || ':', ':' || CAST(:new_part AS text) || ':') ELSE {column} END"
    )


def _columns(table: Table, changes: Mapping[str, str]) -> tuple[str, str]:
    """Give a table's columns, and what each becomes."""
    renamed = {
        "id": _renamed("id", "source"),
        "event_id": _renamed("event_id", "event_source"),
        "prepared_event_id": _renamed("prepared_event_id", "prepared_source"),
    }
    names = [column.name for column in table.columns]
    missing = changes.keys() - set(names)
    assert not missing, missing  # noqa: S101  # a column of ours that has gone
    return ", ".join(names), ", ".join(changes[name].format(**renamed) if name in changes else name for name in names)


def _moving(table: Table, changes: Mapping[str, str], where: str) -> str:
    names, values = _columns(table, changes)
    return (
        f"WITH gone AS (DELETE FROM {table.name} WHERE {where} RETURNING *)"  # noqa: S608  # tables of ours
        f" INSERT INTO {table.name} ({names}) SELECT {values} FROM gone"
    )


def _copying(table: Table, changes: Mapping[str, str], where: str) -> str:
    names, values = _columns(table, changes)
    return f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {table.name} WHERE {where}"  # noqa: S608  # as above


def _changing(table: Table, changes: Mapping[str, str], where: str) -> str:
    """Change rows where they are, so that whoever waits for one sees what has become of it."""
    values = ", ".join(f"{name} = {value.format()}" for name, value in changes.items() if name != "id")
    return f"UPDATE {table.name} SET {values} WHERE {where}"  # noqa: S608  # as above


_MADE_HERE = "user_id = :user AND starts_with(source, 'tactics.behaviour:')"
_ELSEWHERE = "user_id = :user AND NOT starts_with(source, 'tactics.behaviour:')"
_LOCKED = "user_id = :user AND activity_code = ANY (:codes)"
_OF_GRANTS = f"user_id = :user AND grant_id IN (SELECT id FROM grant_record WHERE {_LOCKED})"  # noqa: S608  # as above
# Events come first: what is routed or answered from then on has an event of its own, which counts as done afterwards, with
# its executions; one that is not routed yet has a lock ahead of it that is held here. Assets name their grant, and attempts
# what they settled of it, which cannot go before them: copies come first.
_MOVES = (
    ("event", _moving(event, _EVENT, f"{_MADE_HERE} AND routed_at IS NOT NULL")),
    ("event", _changing(event, _EVENT, f"{_ELSEWHERE} AND routed_at IS NOT NULL")),
    (
        "execution",
        _moving(
            execution,
            _EXECUTION,
            "user_id = :user AND NOT EXISTS (SELECT FROM event AS newer WHERE newer.source = execution.event_source"
            " AND newer.id = execution.event_id AND newer.user_id = :user)",
        ),
    ),
    ("instance", _moving(instance, _INSTANCE, f"{_LOCKED} AND epoch > 0")),
    ("grant_record", _copying(grant_record, _GRANT, _LOCKED)),
    ("outside_grant", _copying(outside_grant, _OUTSIDE, _OF_GRANTS)),
    ("provider_attempt", _moving(provider_attempt, _ATTEMPT, _OF_GRANTS)),
    ("asset", _moving(asset, _ASSET, _LOCKED)),
    ("outbox", _OUTBOX),
)
_AFTERWARDS = (
    f"DELETE FROM outside_grant WHERE {_OF_GRANTS}",  # noqa: S608  # as above
    f"DELETE FROM grant_record WHERE {_LOCKED}",  # noqa: S608  # as above
    f"DELETE FROM instance WHERE {_LOCKED}",  # noqa: S608  # as above
)


def known(conn: Connection, user_id: str) -> bool:
    """Tell whether anything at all is known of a user."""
    return bool(conn.execute(_KNOWN, {"user": user_id}).scalar_one())


def close_events(conn: Connection, user_id: str) -> int:
    """Close the events that wait to be routed, or were given up on: nothing comes of them any more.

    The caller commits before it locks anything else: whoever routes holds events while waiting for other locks.

    Returns:
        How many there were.
    """
    return conn.execute(_CLOSE, {"user": user_id}).rowcount


def lock_instances(conn: Connection, user_id: str) -> list[str]:
    """Wait for what is running for a user, and let nothing begin until the transaction ends.

    Returns:
        All activities.
    """
    conn.execute(_RESERVE_INSTANCES, {"user": user_id})
    return list(conn.execute(_LOCK_INSTANCES, {"user": user_id}).scalars())


def open_grants(conn: Connection, user_id: str) -> list[UUID]:
    """Give the grants to the user that an outer system has not settled yet; their ids are those it knows them by."""
    return list(conn.execute(_OPEN_GRANTS, {"user": user_id}).scalars())


def delete(conn: Connection, user_id: str) -> dict[str, int]:
    """Delete what is of no use without the user: attributes, actions, and what they did with items.

    Returns:
        How many rows of each table.
    """
    conn.execute(_ERASING)
    found = {
        table: conn.execute(text(f"DELETE FROM {table} WHERE user_id = :user"), {"user": user_id}).rowcount  # noqa: S608  # tables of ours
        for table in _DELETED
    }
    conn.execute(_LEAVE_REBUILD, {"user": user_id})
    return found


def move(conn: Connection, renaming: Renaming) -> dict[str, int]:
    """Move the rest under the pseudonym, without what the user or a producer said.

    Returns:
        How many rows of each table.
    """
    found: Counter[str] = Counter()
    for table, sql in _MOVES:
        found[table] += _run(conn, sql, renaming)
    for sql in _AFTERWARDS:
        _run(conn, sql, renaming)
    return dict(found)


def _run(conn: Connection, sql: str, renaming: Renaming) -> int:
    statement = text(sql)
    wanted = statement.compile().params.keys()
    if "codes" in wanted:
        statement = statement.bindparams(bindparam("codes", type_=ARRAY(Text)))
    return conn.execute(statement, {name: getattr(renaming, name) for name in wanted}).rowcount
