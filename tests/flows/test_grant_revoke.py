"""Taking back what was given by mistake."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from typer.testing import CliRunner

from tactics.cli.app import app
from tactics.flows import asset
from tactics.store import audit
from tests.driving import Maker, at_checkout


def test_what_was_given_by_mistake_is_taken_back(
    driven: Maker, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not redeemed is revoked, once, with a reason; what is redeemed stays; everything adds up."""
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)
    drive = driven(replay=False)
    schedule = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    drive.load(at_checkout(schedule=schedule))
    held = [drive.visit(f"u{number}").results[0]["assets"][0]["asset_id"] for number in range(3)]
    asset.change(drive.runtime, UUID(held[0]), "redeemed")

    def run(*args: str) -> tuple[int, str]:
        said = CliRunner().invoke(app, ["grants", "revoke", *args])
        return said.exit_code, said.stdout

    everything = ("--activity", "camp18", "--all-matching")
    assert run(*everything, "--reason", " ")[0] == 2
    foreseen = run(*everything, "--reason", "wrong price", "--dry-run")
    assert foreseen == (
        0,
        "2  revoke: 1 of 1 assets\n1  nothing: no asset of it can be used any more\n3 grants; nothing was done\n",
    )
    _, first = run(*everything, "--limit", "1", "--reason", "wrong price", "--json")
    assert json.loads(first)["revoked"] == 1
    assert run(*everything, "--reason", "wrong price") == (
        0,
        "1 revoked, 2 left alone:\n  2: no asset of it can be used any more\n",
    )
    assert drive.value("SELECT string_agg(status, ' ' ORDER BY status) FROM asset") == "redeemed revoked revoked"
    told = (
        "SELECT string_agg(DISTINCT after ->> 'reason', ',') FROM audit_log WHERE kind = 'grant' AND action = 'revoked'"
    )
    assert drive.value(told) == "wrong price"
    assert drive.value("SELECT remaining FROM benefit") == 7
    with drive.runtime.engine.connect() as conn:
        assert audit.audit(conn) == []
