"""The history of a run, as JSON lines: what clients asked and saw, and what the database did."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg


class History:
    """A file to which lines are added, and nothing else."""

    def __init__(self, path: Path) -> None:
        """Begin it."""
        self._file = path.open("x", encoding="utf-8")
        self._lock = threading.Lock()

    def note(self, kind: str, **what: Any) -> None:
        """Add a line, with the time."""
        line = json.dumps({"kind": kind, "at": time.time(), **what}, ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """End it."""
        self._file.close()


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a history."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


_WATCH = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.history (
    seq bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tx bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint, name text NOT NULL, op text NOT NULL, image jsonb NOT NULL);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.history (name, op, image) VALUES (
        TG_ARGV[0], left(TG_OP, 1),
        (CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END) - TG_ARGV[1]::text[]);
    RETURN NULL;
END
$$;
"""
# What is watched, without what is large and tells the checker nothing.
_TABLES = {
    "benefit": "",
    "stock_movement": "",
    "limit_counter": "",
    "user_action": "attributes",
    "event": "data,candidates,answer",
    "instance": "",
    "execution": "context,trace",
    "grant_record": "",
    "asset": "details",
    "outbox": "payload",
    "outside_grant": "body,drafts",
    "provider_attempt": "text",
    "webhook_delivery": "last_text",
}


def watch(conn: psycopg.Connection[Any]) -> None:
    """Let the database write every change of a row beside it, in the same transaction.

    A rolled back transaction leaves nothing there, and a crash takes nothing away: the table is logged as others are.

    Args:
        conn: in autocommit mode, to the migrated database.
    """
    conn.execute(_WATCH)
    there = {name for (name,) in conn.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')").fetchall()}
    for name, left_out in _TABLES.items():
        if name in there:
            conn.execute(
                f"CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE OR DELETE ON public.{name} FOR EACH ROW "
                f"EXECUTE FUNCTION chaos.note('{name}', '{{{left_out}}}')"
            )


def dump(conn: psycopg.Connection[Any], path: Path) -> None:
    """Write down what the database did, row by row in the order in which it did it."""
    with path.open("x", encoding="utf-8") as file, conn.transaction(), conn.cursor("history") as rows:
        rows.execute("SELECT seq, extract(epoch FROM at)::float8, tx, name, op, image FROM chaos.history ORDER BY seq")
        for seq, at, tx, name, op, image in rows:
            file.write(json.dumps({"seq": seq, "at": at, "tx": tx, "table": name, "op": op, "row": image}) + "\n")
