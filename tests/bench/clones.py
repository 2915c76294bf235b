"""Many live activities, each like one that was imported: its rows again, with other names.

Importing 10,000 activities takes a minute, for each is a transaction's worth of checks. So one of each kind is imported
by the public flow, with a mark in its code, keys and names; then every row of its that carries the mark is inserted
again for each clone, a number in place of the mark; then the marked ones are taken away.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

MARK = "xnx"
# What an import of an activity writes, in an order that its foreign keys allow.
_TABLES = ("activity", "activity_version", "activity_channel", "behaviour_rule", "benefit", "stock_movement")
_COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_name = %s AND table_schema = 'public' AND is_identity = 'NO' AND is_generated = 'NEVER'
"""
_COPY = """
INSERT INTO {table} ({columns})
SELECT {new_columns}
FROM {table} AS marked, unnest(%(numbers)s::int[]) AS number,
    jsonb_populate_record(NULL::{table}, replace(to_jsonb(marked)::text, %(mark)s, number::text)::jsonb) AS new
WHERE strpos(to_jsonb(marked)::text, %(kind)s) > 0
"""
_DELETE = "DELETE FROM {table} AS marked WHERE strpos(to_jsonb(marked)::text, %(mark)s) > 0"


def clone(conn: psycopg.Connection, kind: str, numbers: list[int]) -> None:
    """Insert a marked activity's rows once for each number.

    Args:
        conn: the caller commits.
        kind: what its rows alone contain, the mark included.
        numbers: what takes the mark's place.
    """
    for table in _TABLES:
        names = [row[0] for row in conn.execute(_COLUMNS, (table,))]
        query = sql.SQL(_COPY).format(
            table=sql.Identifier(table),
            columns=sql.SQL(", ").join(map(sql.Identifier, names)),
            new_columns=sql.SQL(", ").join(sql.Identifier("new", name) for name in names),
        )
        conn.execute(query, {"numbers": numbers, "mark": MARK, "kind": kind})


def remove_marked(conn: psycopg.Connection) -> None:
    """Take the marked activities away; the caller commits."""
    for table in reversed(_TABLES):
        conn.execute(sql.SQL(_DELETE).format(table=sql.Identifier(table)), {"mark": MARK})
