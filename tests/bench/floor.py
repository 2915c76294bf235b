"""The baseline for placements and grants: a bare grant transaction in hand-written SQL. No engine around it.

An activity's status is read, the grant's key inserted where it is not there yet, an asset inserted, the stock taken
where some is left, and all of it committed. Statements are prepared at once; the driver is psycopg, without SQLAlchemy.
"""

from __future__ import annotations

from uuid import uuid4

import psycopg

_SCHEMA = """
CREATE TABLE bare_activity (id text PRIMARY KEY, status text NOT NULL);
CREATE TABLE bare_key (key text PRIMARY KEY);
CREATE TABLE bare_asset (id uuid PRIMARY KEY, user_id text NOT NULL, key text NOT NULL);
CREATE TABLE bare_stock (id text PRIMARY KEY, remaining bigint NOT NULL CHECK (remaining >= 0));
"""


def connect(url: str) -> psycopg.Connection:
    """Open a connection of the baseline."""
    return psycopg.connect(url, prepare_threshold=0)


def set_up(conn: psycopg.Connection, benefits: int = 1) -> None:
    """Make the tables, and so many activities with a stock that lasts."""
    conn.execute(_SCHEMA, prepare=False)
    conn.execute("INSERT INTO bare_activity SELECT n::text, 'live' FROM generate_series(0, %s) AS n", (benefits - 1,))
    conn.execute("INSERT INTO bare_stock SELECT n::text, 1000000000 FROM generate_series(0, %s) AS n", (benefits - 1,))
    conn.commit()


def grant(conn: psycopg.Connection, user_id: str, benefit: int = 0) -> None:
    """Run one bare grant."""
    stock = str(benefit)
    with conn.cursor() as cur:
        cur.execute("SELECT status FROM bare_activity WHERE id = %s", (stock,))
        cur.fetchone()
        key = f"{stock}:{user_id}:1"
        cur.execute("INSERT INTO bare_key VALUES (%s) ON CONFLICT DO NOTHING RETURNING key", (key,))
        cur.fetchone()
        cur.execute("INSERT INTO bare_asset VALUES (%s, %s, %s)", (uuid4(), user_id, key))
        cur.execute("UPDATE bare_stock SET remaining = remaining - 1 WHERE id = %s AND remaining > 0", (stock,))
    conn.commit()
