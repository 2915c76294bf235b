"""Stock and limits counted again: what somebody spoilt is put right, beside grants, and never twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tactics.cli.app import app
from tactics.errors import NotFound
from tactics.flows.recount import Recounted, recount_stock
from tactics.flows.stock import move_stock
from tactics.store import audit
from tests.driving import Drive, Maker, at_checkout

LASTING = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


@pytest.fixture
def drive(driven: Maker, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Drive:
    """A drive with an activity that gave three of ten, with limits; commands find its database."""
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)
    made = driven(replay=False)
    coupons = {"c18": {"kind": "coupon", "value_minor": 500, "stock": 10}, "free": {"kind": "points"}}
    limits = {"per_day": 50, "budget_minor": 100_000}
    made.load(at_checkout(benefits=coupons, schedule=LASTING, limits=limits))
    for number in range(3):
        made.visit(f"u{number}")
    return made


def _spoil(drive: Drive, *statements: str) -> None:
    with drive.runtime.engine.begin() as conn:
        for one in statements:
            conn.execute(text(one))


def _wrong(drive: Drive) -> set[str]:
    with drive.runtime.engine.connect() as conn:
        return {one.check for one in audit.audit(conn)}


def _left(found: Sequence[Recounted]) -> list[tuple[str, int | None, int, int]]:
    return [(one.benefit or one.what.partition("/")[0], one.before, one.after, one.missing) for one in found]


def test_what_somebody_spoilt_is_put_right(drive: Drive) -> None:
    """Stock and counters become what is given and declared, with who and why in the audit log; again changes nothing."""
    _spoil(drive, "UPDATE benefit SET remaining = 99 WHERE code = 'c18'", "UPDATE limit_counter SET used = 40")
    assert _wrong(drive) == {"stock", "limit_counters"}
    foreseen = recount_stock(drive.runtime, "camp18", dry_run=True)
    assert _wrong(drive) == {"stock", "limit_counters"}
    assert recount_stock(drive.runtime, "camp18", reason="restored") == foreseen
    assert sorted(_left(foreseen)) == [("budget", 40, 1500, 0), ("c18", 99, 7, 0), ("day", 40, 3, 0)]
    assert _wrong(drive) == set()
    assert recount_stock(drive.runtime, "camp18") == []
    query = "SELECT string_agg(subject || ' ' || (after ->> 'reason'), ', ' ORDER BY id) FROM audit_log WHERE action = 'recounted'"
    assert drive.value(query) == "camp18 restored, camp18 restored, camp18/c18 restored"
    _spoil(drive, "UPDATE benefit SET remaining = 0 WHERE code = 'c18'", "UPDATE limit_counter SET used = 40")
    assert _left(recount_stock(drive.runtime, "camp18", "c18")) == [("c18", 0, 7, 0)]
    assert _wrong(drive) == {"limit_counters"}
    for name in ("c19", "free"):
        with pytest.raises(NotFound):
            recount_stock(drive.runtime, "camp18", name)


def test_more_given_than_there_was_is_said(drive: Drive) -> None:
    """Stock is never below nothing: how many are missing is said, with exit 1, until a movement makes them good."""
    _spoil(drive, "UPDATE benefit SET stock_initial = 1, remaining = 5 WHERE code = 'c18'")
    said = CliRunner().invoke(app, ["stock", "recount", "camp18"])
    assert said.exit_code == 1
    assert "camp18, c18: 5, now 0\n  2 more are given than there were" in said.stdout
    again = CliRunner().invoke(app, ["stock", "recount", "camp18", "--json"])
    assert (again.exit_code, json.loads(again.stdout)[0]["missing"]) == (1, 2)
    move_stock(drive.runtime, "camp18", "c18", delta=2, reason="they are given")
    said = CliRunner().invoke(app, ["stock", "recount", "camp18", "--dry-run"])
    assert (said.exit_code, said.stdout) == (0, "camp18, c18: 2, would be 0\n")
    CliRunner().invoke(app, ["stock", "recount", "camp18"])
    said = CliRunner().invoke(app, ["stock", "recount", "camp18"])
    assert (said.exit_code, said.stdout) == (0, "camp18: everything adds up already\n")
    assert _wrong(drive) == set()


def test_it_may_run_beside_grants(drive: Drive) -> None:
    """Counted again and again while grants take from it, stock adds up after each: nothing is lost or counted twice."""
    with ThreadPoolExecutor(6) as pool:
        visits = [pool.submit(drive.visit, f"v{number}") for number in range(12)]
        found = [recount_stock(drive.runtime, "camp18") for _ in range(20)]
        for one in visits:
            one.result()
    assert [one for one in found if one] == []
    assert _wrong(drive) == set()
    assert drive.value("SELECT remaining FROM benefit WHERE code = 'c18'") == 0
