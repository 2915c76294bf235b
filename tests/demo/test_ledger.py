"""The ledger: every acknowledged event must have ended in the database, or it counts as lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tactics.demo import ledger as ledgers
from tactics.demo.barrier import unfinished
from tactics.demo.ledger import Ledger, lost
from tactics.domain.event import Event
from tactics.runtime import Runtime
from tactics.store import events


def _event(name: str) -> Event:
    return Event("t", name, "action", "1", None, {"user_id": "1"}, datetime(2017, 11, 1, tzinfo=UTC))


def test_what_is_missing_or_open_is_lost(runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of routed, parked, abandoned, open and missing events the last two are lost; chunks do not change that."""
    with Ledger(tmp_path / "told") as ledger:
        ledger.note(("t", name) for name in ("routed", "parked", "open"))
        ledger.note([("t", "missing"), ("t", "given up"), ("other", "routed")])
    with runtime.engine.begin() as conn:
        events.accept(conn, [_event("routed"), _event("parked"), _event("open")], 60)
        events.mark_routed(conn, [("t", "routed")], "routed")
        events.park(conn, "t", "parked", "why")
        events.abandon_new(conn, _event("given up"))
        assert lost(conn, tmp_path / "told") == 3
        assert unfinished(conn) == 1
        monkeypatch.setattr(ledgers, "_CHUNK", 2)
        assert lost(conn, tmp_path / "told") == 3


def test_it_is_written_as_acknowledged(tmp_path: Path) -> None:
    """What was noted is in the file at once, not only when the replay ends."""
    with Ledger(tmp_path / "told") as ledger:
        ledger.note([("t", "1")])
        assert (tmp_path / "told").read_text() == "t\t1\n"
