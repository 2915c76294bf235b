"""The baseline for placements: a bare grant transaction in hand-written SQL, and one Redis trip. No engine around it."""

from __future__ import annotations

import time
from uuid import uuid4

import psycopg
import redis

SCHEMA = """
CREATE TABLE bare_activity (id text PRIMARY KEY, status text NOT NULL);
CREATE TABLE bare_key (key text PRIMARY KEY);
CREATE TABLE bare_asset (id uuid PRIMARY KEY, user_id text NOT NULL, key text NOT NULL);
CREATE TABLE bare_stock (id text PRIMARY KEY, remaining bigint NOT NULL CHECK (remaining >= 0));
INSERT INTO bare_activity VALUES ('a', 'live');
INSERT INTO bare_stock VALUES ('a', 1000000000);
"""


def connect(url: str) -> psycopg.Connection:
    """Open the baseline's connection, with statements prepared at once."""
    return psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), prepare_threshold=0)


def grant(conn: psycopg.Connection, client: redis.Redis, user_id: str) -> float:
    """Run one bare grant.

    Returns:
        How long it took, in milliseconds.
    """
    started = time.perf_counter()
    client.get("bare:prepared:" + user_id)
    with conn.cursor() as cur:
        cur.execute("SELECT status FROM bare_activity WHERE id = %s", ("a",))
        cur.fetchone()
        key = f"a:{user_id}:1"
        cur.execute("INSERT INTO bare_key VALUES (%s) ON CONFLICT DO NOTHING RETURNING key", (key,))
        cur.fetchone()
        cur.execute("INSERT INTO bare_asset VALUES (%s, %s, %s)", (uuid4(), user_id, key))
        cur.execute("UPDATE bare_stock SET remaining = remaining - 1 WHERE id = %s AND remaining > 0", ("a",))
    conn.commit()
    return (time.perf_counter() - started) * 1000
