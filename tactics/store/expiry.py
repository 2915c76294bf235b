"""Assets whose validity has passed, and that nobody has marked yet."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from tactics.store.statement import Statement

# Whose instance somebody else works on is left to them, or to the next time.
_EXPIRE = Statement("""
    WITH due AS MATERIALIZED (
        SELECT user_id, activity_code FROM asset
        WHERE status IN ('available', 'claimed') AND valid_until <= $1::timestamptz
        ORDER BY valid_until LIMIT $2::int
    ), held AS MATERIALIZED (
        SELECT user_id, activity_code FROM instance
        WHERE (user_id, activity_code) IN (SELECT user_id, activity_code FROM due)
        FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT count(*), count(tactics_expire_assets(user_id, activity_code, $1::timestamptz)) FROM held
""")


def expire(conn: Connection, now: datetime, limit: int) -> int:
    """Expire what is due, of instances that nobody else works on at this moment.

    Args:
        conn: a transaction of its own: it locks the instances.
        now: business time.
        limit: at most so many assets are looked at.

    Returns:
        How many instances were gone through.
    """
    return int(_EXPIRE.one(conn, now, limit)[0])
