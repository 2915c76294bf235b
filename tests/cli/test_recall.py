"""`tactics recall …`, as a person types it; and what `tactics explain` shows of a recall that was late."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.config import Settings
from tactics.flows.recall import learn
from tests.journey import Shop, offer, open_shop


@pytest.fixture
def shop(settings: Settings, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop that commands find, where users have bought item 7 and one of them looked at others."""
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    opened = open_shop(settings)
    opened.imports(offer())
    opened.buys("ann", 1)
    opened.buys("bob", 1)
    with opened.app.runtime.engine.begin() as conn:
        conn.execute(text("INSERT INTO item (item_id, title, attributes) VALUES ('8', 'Green tea', '{}')"))
        conn.execute(
            text("INSERT INTO user_item (user_id, item_id, last_action, last_at) VALUES ('ann', '8', 'view', now())")
        )
    yield opened
    opened.app.runtime.close()


def _run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def _ok(*args: str) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_show_what_goes_with_an_item(shop: Shop) -> None:
    """Users in common, users of the other, and the score, with its title; as JSON the same."""
    learn(shop.app.runtime, at_most_s=60)
    said = _ok("recall", "show", "7")
    assert said.startswith("users with 7: 2\n")
    assert said.split("\n")[4].split() == ["8", "Green", "tea", "1", "1", "0.707107"]
    found = json.loads(_ok("recall", "show", "7", "--json"))
    beside = [{"item_id": "8", "title": "Green tea", "users": 1, "of_users": 1, "score": 0.707107}]
    assert found == {"item_id": "7", "users": 2, "waiting": False, "rebuilding": False, "beside": beside}
    with shop.app.runtime.engine.begin() as conn:
        conn.execute(text("UPDATE user_item SET learnt = NULL WHERE user_id = 'bob'"))
    assert _ok("recall", "show", "7").startswith("users with 7: 2 (some actions are not counted yet)\n")


@pytest.mark.usefixtures("shop")
def test_show_what_is_not_known() -> None:
    """An item that nobody has, or whose users are not counted yet, is told apart, and ends with 2."""
    result = _run("recall", "show", "7")
    assert result.exit_code == 2
    assert result.stderr == "Error: of no user is '7' among the latest items; some actions are not counted yet\n"
    _ok("recall", "rebuild")
    result = _run("recall", "show", "nothing")
    assert (result.exit_code, result.stderr) == (2, "Error: of no user is 'nothing' among the latest items\n")
    assert json.loads(_run("recall", "show", "nothing", "--json").stdout)["error"]["code"] == "not_found"


def test_rebuild(shop: Shop) -> None:
    """Learnt anew, it says from how many users; twice is the same."""
    with shop.app.runtime.engine.begin() as conn:
        conn.execute(text("INSERT INTO item_pair VALUES ('7', '7', 99)"))
    assert _ok("recall", "rebuild") == "learnt anew from 2 users\n"
    assert json.loads(_ok("recall", "rebuild", "--json")) == {"users": 2}
    assert json.loads(_ok("recall", "show", "7", "--json"))["users"] == 2


def test_explain_shows_that_recall_was_late(shop: Shop) -> None:
    """An operator who explains the preparation reads what it went without, under the steps and in JSON."""
    shop.app.runtime.recall_breaker.pause_s = 600
    shop.app.runtime.recall_breaker.trip()
    shop.buys("bob", 1)
    with shop.app.runtime.engine.connect() as conn:
        execution = str(conn.execute(text("SELECT id FROM execution WHERE link = 'prepare'")).scalar_one())
    note = "prepared without recalled items: recall did not answer a moment ago"
    assert f"  note of recall_item: {note}\n" in _ok("explain", execution)
    trace = json.loads(_ok("explain", execution, "--json"))["execution"]["trace"]
    assert [(one["step"], one["notes"]) for one in trace if "notes" in one] == [("recall_item", [note])]
