"""Erasing a user in Postgres: what is theirs alone is deleted, what others' sums need is moved under a pseudonym.

Rows that are moved are deleted and inserted again: their partition hangs on the user's id, and whoever waits for a row
that moved to another partition would get an error, where a deleted one is simply gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import Connection, Table, text

from tactics.store.tables import asset, event, execution, grant_record, instance

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
_LOCK_INSTANCES = text("SELECT activity_code FROM instance WHERE user_id = :user ORDER BY activity_code FOR UPDATE")
_OPEN_GRANT = text(
    "SELECT id FROM grant_record WHERE user_id = :user AND state IN ('pending', 'unknown', 'parked') LIMIT 1"
)
_ACTIVITIES = text("SELECT code FROM activity")
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
_OUTBOX = text(
    "UPDATE outbox SET payload = payload || jsonb_build_object('user_id', CAST(:pseudonym AS text)),"
    " key = coalesce((payload ->> 'activity') || ':' || CAST(:pseudonym AS text) || ':' || (payload ->> 'will_send_count'),"
    " CAST(:pseudonym AS text)) WHERE payload ->> 'user_id' = :user"
)
_DELETED = ("user_profile", "user_item", "user_action")


@dataclass(frozen=True, slots=True)
class Renaming:
    """From a user's id to the pseudonym; and both as they stand in the ids of behaviour events."""

    user: str
    pseudonym: str
    part: str
    new_part: str


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


def _moving(table: Table, changes: Mapping[str, str], where: str = "user_id = :user") -> str:
    names, values = _columns(table, changes)
    return (
        f"WITH gone AS (DELETE FROM {table.name} WHERE {where} RETURNING *)"  # noqa: S608  # tables of ours
        f" INSERT INTO {table.name} ({names}) SELECT {values} FROM gone"
    )


def _copying(table: Table, changes: Mapping[str, str]) -> str:
    names, values = _columns(table, changes)
    return f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {table.name} WHERE user_id = :user"  # noqa: S608  # as above


# Assets name their grant, and a grant cannot go before them: its copy comes first. What an event in flight has not
# routed yet counts as done afterwards: whoever routes it holds its row, and waits for a lock that is held here.
_MOVES = {
    "instance": text(_moving(instance, _INSTANCE)),
    "execution": text(_moving(execution, _EXECUTION)),
    "grant_record": text(_copying(grant_record, _GRANT)),
    "asset": text(_moving(asset, _ASSET)),
    "event": text(_moving(event, _EVENT, "user_id = :user AND routed_at IS NOT NULL")),
    "outbox": _OUTBOX,
}
_DROP_GRANTS = text("DELETE FROM grant_record WHERE user_id = :user")


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
        The activities that the user has an instance of.
    """
    return list(conn.execute(_LOCK_INSTANCES, {"user": user_id}).scalars())


def open_grant(conn: Connection, user_id: str) -> UUID | None:
    """Give a grant to the user that an outer system has not settled yet; its id is the one that system knows it by."""
    return conn.execute(_OPEN_GRANT, {"user": user_id}).scalar_one_or_none()


def activity_codes(conn: Connection) -> list[str]:
    """Give the codes of all activities."""
    return list(conn.execute(_ACTIVITIES).scalars())


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
    given = asdict(renaming)
    found = {}
    for table, statement in _MOVES.items():
        names = statement.compile().params
        found[table] = conn.execute(statement, {name: given[name] for name in names}).rowcount
    conn.execute(_DROP_GRANTS, {"user": renaming.user})
    return found
