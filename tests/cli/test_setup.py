"""`tactics activity|users|items|item-sets|db`, as a person types them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from typer.testing import CliRunner, Result

from tactics import embedded
from tactics.cli.app import app
from tactics.runtime import Runtime

ACTIVITY = """\
code: camp18
template_type: full_link_v3
schedule: {from: 2017-10-30T00:00:00Z, to: 2018-01-01T00:00:00Z}
channels: {prepare: [bought], grant: [home_banner]}
rule:
  so:
    when:
      block: pbb.condition.within
      params: {value: {block: pbb.resource.now}, to: 2017-12-01T00:00:00Z}
    then: [{block: pbb.action.send_coupon, params: {benefit: c18}}]
benefits: {c18: {kind: coupon, value_minor: 500, stock: 10}}
expression: {en: Five off, zh: 立减五元}
"""
RULES = """\
behaviour_rules:
  bought:
    rule:
      block: pbb.condition.amount_at_least
      params:
        amount: {block: pbb.resource.behaviour_count, params: {action: purchase, window_s: 3600}}
        amount_at: 3
"""


@pytest.fixture
def attached(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the test's servers through the environment."""
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)


@pytest.fixture
def bare(servers: embedded.Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the session's servers: a database without tables, for what is to end before it writes."""
    monkeypatch.setenv("TACTICS_DATABASE_URL", servers.database_url)
    monkeypatch.setenv("TACTICS_REDIS_URL", servers.redis_url)


def _run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def _ok(*args: object) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def _written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def _query(runtime: Runtime, query: str) -> list[tuple[Any, ...]]:
    with runtime.engine.connect() as conn:
        return [tuple(row) for row in conn.execute(text(query))]


@pytest.mark.usefixtures("attached")
def test_activity_from_file_to_live(runtime: Runtime, tmp_path: Path) -> None:
    """A person imports an activity, publishes it, sees it, and pauses it."""
    file = _written(tmp_path / "all.yaml", ACTIVITY + "---\n" + RULES)
    said = _ok("activity", "import", file)
    assert "activity camp18: new, version 1, draft" in said
    assert "tactics activity publish camp18" in said
    assert "behaviour rule bought: new, version 1" in said
    assert _ok("activity", "publish", "camp18") == "activity camp18 is now live\n"
    assert _ok("activity", "publish", "camp18") == "activity camp18 is already live\n"
    listed = json.loads(_ok("activity", "list", "--json"))
    assert [(one["code"], one["status"], one["grant"]) for one in listed] == [("camp18", "live", ["home_banner"])]
    assert "camp18" in _ok("activity", "list")
    assert (
        _ok("activity", "pause", "camp18", "--json")
        == json.dumps({"activity": "camp18", "status": "paused", "changed": True}, indent=2) + "\n"
    )
    assert _query(runtime, "SELECT status FROM activity") == [("paused",)]


@pytest.mark.usefixtures("attached")
def test_what_is_shown_can_be_imported_again(tmp_path: Path) -> None:
    """`show` prints a document that says the same: importing it makes no version."""
    _ok("activity", "import", _written(tmp_path / "a.yaml", ACTIVITY), "--publish")
    shown = _ok("activity", "show", "camp18")
    assert "# stock of c18: 10, 10 left" in shown
    assert "立减五元" in shown
    again = json.loads(_ok("activity", "import", _written(tmp_path / "b.yaml", shown), "--json"))
    assert [(one["change"], one["version"], one["status"]) for one in again] == [("unchanged", 1, "live")]


@pytest.mark.usefixtures("attached")
def test_activities_as_json_list_and_several_files(runtime: Runtime, tmp_path: Path) -> None:
    """Lists, JSON and several files are imported together, or not at all."""
    rules = _written(tmp_path / "rules.yaml", RULES)
    document = {
        "template_type": "t",
        "schedule": {"from": "2017-10-30T00:00:00Z", "to": "2018-01-01T00:00:00Z"},
        "channels": {},
        "rule": {"so": {"then": [{"block": "pbb.action.give_points", "params": {"points": 1}}]}},
    }
    file = _written(tmp_path / "two.json", json.dumps([{"code": "a", **document}, {"code": "b", **document, "x": 1}]))
    result = _run("activity", "import", rules, file)
    assert result.exit_code == 2
    assert f"Error: {file}, document 2: activity 'b': /x: " in result.stderr
    assert _query(runtime, "SELECT rule_key FROM behaviour_rule") == []
    _written(file, json.dumps([{"code": "a", **document}, {"code": "b", **document}]))
    _ok("activity", "import", rules, file)
    assert _query(runtime, "SELECT code FROM activity ORDER BY 1") == [("a",), ("b",)]


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize(
    ("command", "name", "content", "query", "expected"),
    [
        (
            "users",
            "u.csv",
            '\ufeffuser_id,city,age:json,note\n007,Paris,42,\n8,,"[1, true]","two\nlines"\n',
            "SELECT user_id, attributes FROM user_profile ORDER BY 1",
            [("007", {"city": "Paris", "age": 42}), ("8", {"age": [1, True], "note": "two\nlines"})],
        ),
        (
            "users",
            "u.jsonl",
            '{"user_id": "1", "age": 4}\n\n{"user_id": "2", "attributes": {"age": 5}}\n',
            "SELECT user_id, attributes FROM user_profile ORDER BY 1",
            [("1", {"age": 4}), ("2", {"age": 5})],
        ),
        (
            "users",
            "u.yaml",
            "- {user_id: 'no', ok: no, since: 2017-10-30, zip: 0123, big: 1.5e3, nothing: ~, yes: true}\n",
            "SELECT user_id, attributes FROM user_profile",
            [("no", {"ok": "no", "since": "2017-10-30", "zip": "0123", "big": 1500.0, "nothing": None, "yes": True})],
        ),
        (
            "items",
            "i.csv",
            'item_id,category,title,price_minor,currency,attributes\n7,tea,Tea,800,USD,"{""brand"": ""x""}"\n8,,,,,\n',
            "SELECT item_id, category, title, price_minor, currency, attributes FROM item ORDER BY 1",
            [("7", "tea", "Tea", 800, "USD", {"brand": "x"}), ("8", None, "8", None, None, {})],
        ),
        (
            "items",
            "i.json",
            '[{"item_id": "7", "price_minor": 800}]',
            "SELECT item_id, price_minor FROM item",
            [("7", 800)],
        ),
        (
            "item-sets",
            "s.csv",
            "item_set,item_id\na,1\na,2\nb,1\n",
            "SELECT item_set, item_id FROM item_set ORDER BY 1, 2",
            [("a", "1"), ("a", "2"), ("b", "1")],
        ),
        (
            "item-sets",
            "s.yaml",
            "a: ['1', '2']\n",
            "SELECT item_set, item_id FROM item_set ORDER BY 1, 2",
            [("a", "1"), ("a", "2")],
        ),
    ],
)
def test_rows_of_every_format(
    runtime: Runtime, tmp_path: Path, command: str, name: str, content: str, query: str, expected: list[Any]
) -> None:
    """CSV, JSON lines, JSON and YAML say the same things in their own ways."""
    _ok(command, "import", _written(tmp_path / name, content))
    assert _query(runtime, query) == expected


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("command", "name", "content", "text"),
    [
        ("activity", "a.yaml", "code: a\nrule: [1, 2\n", "a.yaml, line 3, column 1: "),
        ("activity", "a.yaml", "code: a\ncode: b\n", "a.yaml, line 2, column 1: the key 'code' stands twice"),
        ("activity", "a.yaml", "a: &x [*x]\n", "nested deeper than 64"),
        ("activity", "a.yaml", "a: !!python/object:os.system {}\n", "a.yaml, line 1, column 4: "),
        ("activity", "a.yaml", "", "a.yaml is empty"),
        ("activity", "a.json", '{"code": "a",\n "rule": }', "a.json, line 2, column 10: "),
        ("activity", "a.json", '{"code": 1, "code": 2}', "a.json, line 1: the key 'code' stands twice"),
        ("activity", "a.yaml", "code: a\n", "a.yaml: activity 'a': /template_type: "),
        ("users", "u.csv", "user_id,a\n1,x\n2\n", "u.csv, line 3: 1 cells, but the header has 2"),
        ("users", "u.csv", 'user_id,a\n1,"x\n', "u.csv, line 2: unexpected end of data"),
        ("users", "u.csv", 'user_id,a:json\n1,"\n\n4"\n2,x\n', "u.csv, line 5, column 1: "),
        ("users", "u.csv", "user_id,a,a\n", "u.csv, line 1: the header"),
        ("users", "u.csv", 'user_id,a\n1,"b\nc"\n,x\n', "u.csv, line 4, user_id: "),
        ("users", "u.jsonl", '{"user_id": "1"}\n{"user_id": 2}\n', "u.jsonl, line 2, user_id: "),
        ("users", "u.jsonl", '{"user_id": "1"}\n\n{"user_id"', "u.jsonl, line 3, column 11: "),
        ("items", "i.json", '[{"item_id": "1", "price_minor": 1.5}]', "i.json, /0/price_minor: "),
        ("items", "i.csv", "item_id,price_minor\n1,cheap\n", "i.csv, line 2, column 1: "),
        ("items", "i.csv", "item_id\n1\n1\n", "i.csv, line 3: '1' was at "),
        ("items", "i.yaml", "just text", "i.yaml: expected a list of rows"),
        ("items", "i.txt", "", "i.txt: call it .csv, .jsonl, .json or .yaml"),
        ("item-sets", "s.json", '{"a": [1]}', "/a/0: "),
    ],
)
def test_bad_file_says_where(tmp_path: Path, command: str, name: str, content: str, text: str) -> None:
    """What is wrong in a file is said in a line with the place, exit code 2, and no traceback."""
    result = _run(command, "import", _written(tmp_path / name, content))
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert text in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("bare")
def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no UTF-8 are said as such."""
    (tmp_path / "latin.csv").write_bytes("user_id\nJosé\n".encode("latin-1"))
    for path, said in (("none.csv", "No such file"), (".", "Is a directory"), ("latin.csv", "not UTF-8 (byte 12)")):
        result = _run("users", "import", tmp_path / path)
        assert (result.exit_code, said in result.stderr) == (2, True), result.output


@pytest.mark.usefixtures("bare")
def test_errors_as_json(tmp_path: Path) -> None:
    """With `--json` an error is JSON on standard output, with its problems."""
    result = _run("users", "import", _written(tmp_path / "u.json", '[{"user_id": 1}]'), "--json")
    problem = json.loads(result.stdout)["error"]
    assert (result.exit_code, problem["code"], problem["status"]) == (2, "bad_input", 422)
    assert problem["problems"][0]["where"].endswith("u.json, /0/user_id")


@pytest.mark.usefixtures("attached")
def test_unknown_activity_is_said_with_what_to_do() -> None:
    """An activity that is not there is named, with the command that lists those that are."""
    for command in ("show", "publish", "pause"):
        result = _run("activity", command, "nope")
        assert result.exit_code == 2
        assert result.stderr == "Error: there is no activity 'nope'; `tactics activity list` shows those there are\n"


def test_empty_database_is_upgraded(servers: embedded.Servers, runtime: Runtime, monkeypatch: Any) -> None:
    """`tactics db upgrade` makes an empty database work, with no Redis set; again changes nothing."""
    name = f"cli_{os.getpid()}"
    monkeypatch.setenv(
        "TACTICS_DATABASE_URL", make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    )
    with runtime.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
        try:
            _ok("db", "upgrade")
            _ok("db", "upgrade")
            monkeypatch.setenv("TACTICS_REDIS_URL", servers.redis_url)
            assert "no activities yet" in _ok("activity", "list")
        finally:
            conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_database_that_is_down_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A database that does not answer is named, without its password."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("TACTICS_DATABASE_URL", f"postgresql+psycopg://me:secret@127.0.0.1:{port}/shop")
        monkeypatch.setenv("TACTICS_REDIS_URL", "redis://127.0.0.1:1/0")
        result = _run("users", "import", _written(tmp_path / "u.csv", "user_id\n1\n"))
    assert result.exit_code == 1
    assert f"cannot reach the database at postgresql+psycopg://me:***@127.0.0.1:{port}/shop: " in result.stderr
    assert "secret" not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "start them on this machine with `tactics up`"),
        ({"TACTICS_DATABASE_URL": "postgresql://127.0.0.1/x"}, "needs TACTICS_REDIS_URL"),
        ({"TACTICS_DATABASE_URL": "nonsense", "TACTICS_REDIS_URL": "redis://127.0.0.1"}, "TACTICS_DATABASE_URL"),
        ({"TACTICS_DATABASE_URL": "mysql://127.0.0.1/x", "TACTICS_REDIS_URL": "redis://127.0.0.1"}, "postgresql"),
        ({"TACTICS_DATABASE_URL": "postgresql://127.0.0.1/x", "TACTICS_REDIS_URL": "http://x"}, "TACTICS_REDIS_URL"),
        ({"TACTICS_POOL_SIZE": "many"}, "TACTICS_POOL_SIZE: "),
    ],
)
def test_settings_that_do_not_work_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], text: str
) -> None:
    """A missing or wrong setting is named in a sentence, exit code 2."""
    monkeypatch.setenv("TACTICS_HOME", str(tmp_path / "home"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = _run("activity", "list")
    assert (result.exit_code, text in result.stderr) == (2, True), result.output


def test_upgrade_names_the_address_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tactics db upgrade`, which needs no Redis, says what is wrong with the database's address."""
    monkeypatch.setenv("TACTICS_DATABASE_URL", "nonsense")
    result = _run("db", "upgrade")
    assert (result.exit_code, "TACTICS_DATABASE_URL" in result.stderr) == (2, True), result.output


def test_commands_attach_to_running_servers(servers: embedded.Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing set, commands use the servers that run in TACTICS_HOME; without the schema they say what to do."""
    monkeypatch.setenv("TACTICS_HOME", str(servers.home))
    result = _run("activity", "list")
    assert result.exit_code == 1
    assert "run `tactics db upgrade`" in result.stderr


def test_help_is_fast_and_complete() -> None:
    """`tactics --help` loads no database, broker or model library, and names every group of commands."""
    heavy = "{'sqlalchemy', 'psycopg', 'redis', 'celery', 'kombu', 'pydantic', 'alembic', 'yaml'} & set(sys.modules)"
    program = f"import sys, tactics.cli.app; print({heavy} or 'none')"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "none\n"
    said = _ok("--help")
    assert all(name in said for name in ("activity", "users", "items", "item-sets", "db", "rules"))


def test_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with a word and the shell's exit code for it."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tactics.cli.attach.runtime", interrupt)
    result = _run("activity", "list")
    assert (result.exit_code, result.stderr) == (130, "stopped\n")
