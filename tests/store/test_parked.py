"""How what is parked is found."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from tactics.runtime import Runtime
from tactics.store import parked
from tactics.store.parked import ParkedIds


@pytest.mark.parametrize(
    "ids",
    ["list", None, ParkedIds([("shop", "e1"), ("shop", "e2")], [UUID(int=1)]), ParkedIds([], [])],
    ids=["list", "all", "some", "none"],
)
def test_no_partition_is_read_whole(runtime: Runtime, ids: ParkedIds | str | None) -> None:
    """Listing and claiming find their rows by an index in every partition, however much lies beside them."""
    with runtime.engine.connect() as conn:
        # With nothing stored yet a scan would be the cheapest way; this asks whether there is another one.
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        before = _scans(conn)
        for _ in range(4):  # the first ones are planned for their values, later ones for any
            if isinstance(ids, str):
                parked.listing(conn, 50)
            else:
                parked.claim(conn, ids, 60)
        assert _scans(conn) == before


def _scans(conn: Connection) -> int:
    query = "SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname ~ '^(event|execution)_p[0-9]$'"
    return int(conn.execute(text(query)).scalar_one())
