"""The audit: what must add up, worked out again from the tables alone, with the rows where it does not.

It trusts neither unique keys nor counters: what they are to hold is counted again. One snapshot serves all checks, so
that grants running meanwhile are seen whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from tactics.domain.activity import TacticsActivity
from tactics.domain.erased import is_pseudonym
from tactics.store import activities
from tactics.store.audit_checks import ALL, Check

CHECKS: Sequence[Check] = ALL
"""Every check, in the order in which it is run, with a description each."""

_HELD_OUT = "holdout"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that breaks a check, and what is wrong with it in a sentence."""

    check: str
    text: str
    row: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Give the finding as data; ids and times in the row are still themselves."""
        return {"check": self.check, "text": self.text, "row": self.row}


def audit(conn: Connection) -> list[Finding]:
    """Run every check over one read-only snapshot.

    Args:
        conn: a connection that has not begun a transaction; none is left open.

    Returns:
        What does not add up, check by check; empty when everything does.
    """
    conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with conn.begin():
        # Compiling these statements costs more than running them, until there are very many rows.
        conn.execute(text("SET LOCAL jit = off"))
        return _findings(conn)


def _findings(conn: Connection) -> list[Finding]:
    return [Finding(one.name, one.sentence.format(**row), row) for one in CHECKS for row in _offending(conn, one)]


def _offending(conn: Connection, check: Check) -> list[dict[str, Any]]:
    rows = [dict(row) for row in conn.execute(text(check.sql)).mappings()]
    return _held_out(conn, rows) if check.name == _HELD_OUT else rows


def _held_out(conn: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the grants whose user the version that granted holds out: who that is, only the domain can tell."""
    loaded: dict[tuple[str, int], TacticsActivity] = {}
    for row in rows:
        key = (row["activity"], row["version"])
        if key not in loaded:
            loaded[key] = activities.load(conn, *key)
    # The group hangs on the user's id, and an erased user's is not known any more.
    known = [row for row in rows if not is_pseudonym(row["user_id"])]
    return [row for row in known if loaded[row["activity"], row["version"]].held_out(row["user_id"])]
