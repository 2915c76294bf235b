"""`tactics audit`, `tactics explain` and `tactics grants …`, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.config import Settings
from tests.journey import Shop, offer, open_shop

GIVEN: dict[str, Any] = {"channels": {"grant": ["home"]}, "behaviour_rules": {}}


@pytest.fixture
def shop(settings: Settings, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop that commands find: Ann bought twice and has a coupon, Bob bought once and has none, both have points."""
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    opened = open_shop(settings)
    points = {"so": {"then": [{"block": "pbb.action.give_points", "params": {"points": 5}}]}}
    opened.imports(offer(), offer(code="points", rule=points, **GIVEN))
    opened.buys("ann", 2)
    opened.buys("bob", 1)
    for user in ("ann", "bob"):
        opened.visits(user)
    yield opened
    opened.app.runtime.close()


def _run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def _ok(*args: object) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def _write(shop: Shop, statement: str) -> None:
    with shop.app.runtime.engine.begin() as conn:
        conn.execute(text(statement))


@pytest.mark.usefixtures("shop")
def test_audit_of_what_adds_up() -> None:
    """Where everything adds up, the audit lists its checks and ends with 0."""
    said = _ok("audit")
    assert "stock left = initial + movements - granted - reserved" in said
    assert said.endswith("everything adds up\n")
    found = json.loads(_ok("audit", "--json"))
    assert (found["ok"], found["findings"]) == (True, [])
    assert {one["rows"] for one in found["checks"]} == {0}
    assert "stock" in {one["check"] for one in found["checks"]}


def test_audit_of_what_does_not(shop: Shop) -> None:
    """Rows that do not add up are counted, shown up to the limit, and end the command with 1."""
    _write(shop, "UPDATE benefit SET remaining = 3")
    _write(shop, "UPDATE execution SET segments = '{7}'")
    result = _run("audit", "--rows", "1")
    assert result.exit_code == 1
    assert (
        "benefit five_off of points: 3 remain, but 10 initial + 0 moved - 0 granted - 0 reserved = 10" in result.stdout
    )
    assert "five_off of tea" not in result.stdout
    assert "stock: 2 rows" in result.stdout
    assert "… 1 more: --rows 2" in result.stdout
    assert "7 rows do not add up" in result.stdout
    result = _run("audit", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["ok"]) == (1, False)
    assert [one["row"]["activity"] for one in found["findings"] if one["check"] == "stock"] == ["points", "tea"]
    assert {one["check"]: one["rows"] for one in found["checks"] if one["rows"]} == {"stock": 2, "segments": 5}


@pytest.mark.usefixtures("shop")
def test_explain_by_user_and_activity() -> None:
    """The first lines tell why Bob got nothing; JSON has the same as data."""
    said = _ok("explain", "--user", "bob", "--activity", "tea")
    assert "• The placement on home" in said
    assert "is not_prepared" in said
    assert "✗ how often the user did purchase" in said
    assert "is 1; at least 2 needed" in said
    assert "stopped: not_prepared" in said
    found = json.loads(_ok("explain", "--user", "bob", "--activity", "tea", "--json"))
    assert found["behaviour_rules"][0]["reasons"][0]["wanted"] == 2
    assert all(f"• {sentence}" in said for sentence in found["summary"])


def test_explain_by_execution(shop: Shop) -> None:
    """An execution's id alone shows chain, instance, grant and asset."""
    answer = shop.visits("ann")
    execution = next(one["execution_id"] for one in answer["results"] if one["activity"] == "tea")
    said = _ok("explain", execution)
    assert f"Execution {execution}" in said
    assert "outcome reused, attempt 1 of 25" in said
    assert "query_asset" in said
    assert "by event bought_twice:ann:buy-1" in said
    assert "five_off available" in said
    assert json.loads(_ok("explain", execution, "--json"))["grants"][0]["will_send_count"] == 1


@pytest.mark.usefixtures("shop")
def test_explain_at_a_time() -> None:
    """`--at` takes a time with or without offset; before the schedule that is the reason."""
    for time in ("2019-01-01", "2019-01-01T01:00:00+01:00", "2019-01-01T00:00:00Z"):
        said = _ok("explain", "--user", "ann", "--activity", "tea", "--at", time)
        assert "as of 2019-01-01 00:00:00Z" in said
        assert "its schedule had not begun" in said
        assert "nothing has ever run" not in said


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["explain"], "what is to be explained?"),
        (["explain", "--user", "ann"], "what is to be explained?"),
        (["explain", "nonsense"], "'nonsense' is no id of an execution"),
        (["explain", str(uuid4())], "there is no execution"),
        (["explain", str(uuid4()), "--user", "ann"], "not both"),
        (["explain", "--user", "nobody", "--activity", "tea"], "nothing is known of user 'nobody'"),
        (["explain", "--user", "ann", "--activity", "coffee"], "there is no activity 'coffee'"),
        (["explain", "--user", "ann", "--activity", "tea", "--at", "noon"], "'noon' is no time"),
        (["grants", "show", "nonsense"], "'nonsense' is no id of a grant"),
        (["grants", "show", str(uuid4())], "there is no grant"),
        (["grants", "list", "--activity", "coffee"], "there is no activity 'coffee'"),
        (["grants", "list", "--state", "lost"], "'lost'"),
    ],
)
def test_errors_say_what_is_wrong(args: list[str], said: str) -> None:
    """What cannot be answered is said in a sentence, with exit code 2 and no traceback."""
    result = _run(*args)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("shop")
def test_error_as_json() -> None:
    """With `--json` an error is JSON as well."""
    result = _run("explain", "--user", "nobody", "--activity", "tea", "--json")
    assert json.loads(result.stdout)["error"]["code"] == "not_found"


@pytest.mark.usefixtures("shop")
def test_grants_are_listed_by_activity_user_and_state() -> None:
    """Each filter leaves only what fits it, the newest first, up to the limit."""

    def listed(*args: str) -> list[tuple[str, str]]:
        found = json.loads(_ok("grants", "list", "--json", *args))
        return [(one["activity_code"], one["user_id"]) for one in found]

    assert listed("--limit", "1") == [("points", "bob")]
    assert set(listed()) == {("tea", "ann"), ("points", "ann"), ("points", "bob")}
    assert listed("--activity", "tea") == [("tea", "ann")]
    assert set(listed("--user", "ann")) == {("tea", "ann"), ("points", "ann")}
    assert len(listed("--state", "granted")) == 3
    assert listed("--state", "pending") == []
    assert "there are no such grants" in _ok("grants", "list", "--state", "pending")
    assert "the newest 1; --limit shows more" in _ok("grants", "list", "--limit", "1")


@pytest.mark.usefixtures("shop")
def test_grant_is_shown_with_lines_and_assets() -> None:
    """A grant listed can be shown by its id, whole: also on a narrow screen the id is there to be copied."""
    (listed,) = json.loads(_ok("grants", "list", "--activity", "tea", "--json"))
    assert listed["id"] in _ok("grants", "list", "--activity", "tea")
    said = _ok("grants", "show", listed["id"])
    assert "tea:ann:1" in said
    assert "five_off" in said
    assert "available" in said
    shown = json.loads(_ok("grants", "show", listed["id"], "--json"))
    assert [one["line"] for one in shown["assets"]] == [one["line"] for one in shown["lines"]] == [1]


@pytest.mark.usefixtures("shop")
def test_narrow_screen_cuts_nothing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow screen ids are folded, not cut off."""
    monkeypatch.setenv("COLUMNS", "60")
    assert "…" not in _ok("grants", "list")
