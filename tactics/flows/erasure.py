"""Erasing a user: everything about them is deleted or goes on under a random pseudonym, and the audit still adds up.

Read top-down: close what is still to be routed → wait for what is running → delete, and move the rest → Redis.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import structlog
from psycopg.errors import DeadlockDetected
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tactics.behaviour import id_part
from tactics.domain.erased import is_pseudonym, new_pseudonym
from tactics.errors import BadInput, Conflict, NotFound
from tactics.runtime import Runtime
from tactics.store import actions, audit_log, erasure, lease, prepared

log = structlog.get_logger()

TRIES = 5
UNKNOWN = "nothing is known of this user"
_KEYS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of a user: the pseudonym under which the rest goes on, and how many rows of each table.

    `deleted` are gone; `moved` go on under the pseudonym, without what the user or a producer said.
    """

    pseudonym: str
    deleted: dict[str, int]
    moved: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def erase_user(runtime: Runtime, user_id: str) -> Erased:
    """Remove a user's personal data. Grants, stock and limits go on adding up; the same id may come again, as a new user.

    What the user does while this runs may count as done afterwards.

    Args:
        runtime: the process's runtime, acting as whoever asks for it.
        user_id: who.

    Raises:
        NotFound: nothing is known of such a user.
        BadInput: the id is a pseudonym: whose it was, nobody knows any more.
        Conflict: a grant to the user is still being settled with an outer system: settle it first, then erase.
        RedisError: Redis does not answer; nothing but events that waited to be routed was changed. Do it again.
    """
    if is_pseudonym(user_id):
        raise BadInput("this is the pseudonym of a user who was erased already", problems=[])
    with runtime.changing() as conn:
        if not user_id or not erasure.known(conn, user_id):
            raise NotFound(UNKNOWN)
        closed = erasure.close_events(conn, user_id)
    pseudonym = new_pseudonym()
    for tries_left in reversed(range(TRIES)):
        try:
            with runtime.changing() as conn:
                found = _erase(runtime, conn, user_id, pseudonym)
            break
        except DBAPIError as error:
            # Batches of events about assets lock instances in another order.
            if not isinstance(error.orig, DeadlockDetected) or not tries_left:
                raise
    log.info("user_erased", pseudonym=pseudonym, events_closed=closed)
    return found


def _erase(runtime: Runtime, conn: Connection, user_id: str, pseudonym: str) -> Erased:
    """Do all of it in one transaction, which holds everything that writes for this user."""
    # Whoever routes actions of the user holds this lock, and waits for nothing of what is locked below it.
    actions.lock_users(conn, [user_id])
    if not erasure.known(conn, user_id):
        raise NotFound(UNKNOWN)  # somebody else was faster
    activity_codes = erasure.lock_instances(conn, user_id)
    if grants := erasure.open_grants(conn, user_id):
        named = [str(one) for one in grants]
        raise Conflict(
            f"these grants to this user are still being settled with an outer system: {', '.join(named)}. A call may be "
            "repeated, and then says the very same, with the user's id: settle them first, then erase",
            grants=named,
        )
    renaming = erasure.Renaming(user_id, pseudonym, id_part(user_id), id_part(pseudonym), activity_codes)
    deleted = erasure.delete(conn, user_id)
    moved = erasure.move(conn, renaming)
    audit_log.add(conn, action="erased", kind="user", subject=pseudonym, after={"deleted": deleted, "moved": moved})
    # Before the commit: if Redis does not answer, nothing has happened and it can be done again.
    _forget(runtime, user_id, activity_codes)
    return Erased(pseudonym, deleted, moved)


def _forget(runtime: Runtime, user_id: str, activity_codes: list[str]) -> None:
    """Delete prepared data and locks from Redis."""
    keys = [make(code, user_id) for code in activity_codes for make in (prepared.prepared_key, lease.lease_key)]
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        runtime.redis.unlink(*keys[start : start + _KEYS_AT_ONCE])
