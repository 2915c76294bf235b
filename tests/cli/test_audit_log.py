"""`tactics audit-log`, `tactics users erase` and `tactics retention`, as a person types them."""

from __future__ import annotations

import json
from getpass import getuser

import pytest
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.flows import setup
from tactics.runtime import Runtime
from tests.making import document


@pytest.fixture(autouse=True)
def _attached(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)


def _run(*args: str) -> Result:
    return CliRunner().invoke(app, args)


def _ok(*args: str) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_who_did_what_at_the_command_line(runtime: Runtime) -> None:
    """A command acts as who is logged in; the log is shown as a table or JSON, and filters leave out the rest."""
    setup.import_activities(runtime, [document()], publish=True)
    _ok("activity", "pause", "camp18")
    (newest, *_) = json.loads(_ok("audit-log", "--kind", "activity", "--subject", "camp18", "--json"))
    assert (newest["actor"], newest["action"], newest["after"]["status"]) == (f"cli:{getuser()}", "changed", "paused")
    mine = _ok("audit-log", "--actor", f"cli:{getuser()}", "--since", "2020-01-01T00:00Z")
    assert "status: live → paused" in mine
    assert "created" not in mine
    assert "nothing of this" in _ok("audit-log", "--since", "2999-01-01")
    wrong = _run("audit-log", "--since", "yesterday")
    assert wrong.exit_code == 2
    assert "is no time such as" in wrong.stderr


def test_a_user_is_erased_at_the_command_line(runtime: Runtime) -> None:
    """The command says what went and under which pseudonym the rest goes on; a user who is not known is exit 2."""
    setup.import_users(runtime, [{"user_id": "ann"}, {"user_id": "bob"}])
    found = json.loads(_ok("users", "erase", "ann", "--json"))
    assert found["deleted"]["user_profile"] == 1
    told = _ok("users", "erase", "bob")
    assert "deleted: 1 user_profile\nunder the pseudonym: nothing\n" in told
    assert "the pseudonym is erased:" in told
    again = _run("users", "erase", "ann")
    assert again.exit_code == 2
    assert "ann" not in again.output
    (entry, other) = json.loads(_ok("audit-log", "--kind", "user", "--json"))
    assert other["subject"] == found["pseudonym"]
    assert entry["actor"] == f"cli:{getuser()}"


def test_retention_at_the_command_line(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a setting nothing is old; what would be dropped is said, and stays until it is told without --dry-run."""
    with runtime.engine.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE user_action_p202001 PARTITION OF user_action FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')")  # fmt: skip
    assert "nothing is old enough" in _ok("retention")
    monkeypatch.setenv("TACTICS_KEEP_ACTIONS_DAYS", "30")
    assert "user_action_p202001 would be dropped" in _ok("retention", "--dry-run")
    assert json.loads(_ok("retention", "--json")) == {"rows": {}, "months": ["user_action_p202001"], "kept": [], "done": True}  # fmt: skip
    monkeypatch.setenv("TACTICS_REPLAY", "true")
    assert "kept: business time" in _ok("retention")
