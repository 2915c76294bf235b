"""`tactics stock`, as a person types it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.flows import setup
from tactics.runtime import Runtime
from tests.making import document


def _run(*args: str) -> Result:
    return CliRunner().invoke(app, ["stock", *args])


def _ok(*args: str) -> Any:
    result = _run(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_stock_is_added_taken_back_and_listed(
    runtime: Runtime, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More and fewer are added, once for an id, and listed; what cannot be is said, and changes nothing."""
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)
    free = {"c18": {"kind": "coupon", "stock": 10}, "free": {"kind": "points"}}
    setup.import_activities(runtime, [document(benefits=free)])
    for _ in range(2):
        moved = _ok("add", "camp18", "c18", "5", "--reason", "weekend", "--id", "w1")
        assert (moved["delta"], moved["remaining"]) == (5, 15)
    assert _ok("add", "camp18", "c18", "-3", "--reason", "over")["remaining"] == 12
    limited, unlimited = _ok("list", "camp18")
    assert [limited[name] for name in ("declared", "added", "taken", "remaining")] == [10, 2, 0, 12]
    assert [unlimited[name] for name in ("benefit", "declared", "remaining")] == ["free", None, None]
    table = _run("list", "camp18").stdout
    assert "unlimited" in table
    assert " 12 " in table
    for code, said, *args in (
        (1, "12 are left", "c18", "-13"),
        (1, "unlimited", "free", "1"),
        (1, "another movement", "c18", "6", "--id", "w1"),
        (2, "no benefit 'c19'", "c19", "1"),
        (2, "nothing is moved", "c18", "0"),
    ):
        refused = _run("add", "camp18", *args, "--reason", "x")
        assert (refused.exit_code, said in refused.stderr) == (code, True), refused.output
    assert _ok("list", "camp18")[0]["remaining"] == 12
    assert _run("list", "nobody").exit_code == 2
