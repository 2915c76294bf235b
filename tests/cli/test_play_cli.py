"""`tactics play`, and activities from plays, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.runtime import Runtime
from tactics.store import migrate
from tests.making import document, from_play, play_document


@pytest.fixture(autouse=True)
def _attached(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)


def _run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def _ok(*args: object) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def _json(*args: object) -> Any:
    return json.loads(_ok(*args, "--json"))


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a document into a file and give its path."""

    def written(one: object, name: str = "one.yaml") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(one))  # which is YAML too
        return path

    return written


def test_play_from_draft_to_rollback(runtime: Runtime, write: Any) -> None:
    """A person saves a draft, looks at its form, publishes it, changes it, compares, and rolls back."""
    assert _ok("play", "list").startswith("there are no plays")
    said = _ok("play", "import", write(play_document()), "--draft")
    assert "play spend_and_save: new, version 1, draft" in said
    assert "tactics play publish spend_and_save" in said
    assert json.loads(_ok("play", "form", "spend_and_save")) == play_document()["parameters"]
    assert _ok("play", "publish", "spend_and_save") == "play spend_and_save is current: version 1\n"
    assert _ok("play", "publish", "spend_and_save") == "play spend_and_save says that already: version 1\n"
    assert "updated, version 2\n" in _ok("play", "import", write(play_document(title="Worse")))
    assert '~ /title: "Spend and save" → "Worse"' in _ok("play", "diff", "spend_and_save")
    assert _json("play", "diff", "spend_and_save", 2, 1) == [
        {"path": "/title", "before": "Worse", "after": "Spend and save"}
    ]
    assert _ok("play", "rollback", "spend_and_save") == "play spend_and_save is rolled back: version 3\n"
    states = [(one["version"], one["state"], one["restores"]) for one in _json("play", "versions", "spend_and_save")]
    assert states == [(3, "current", 1), (2, "earlier", None), (1, "earlier", None)]
    assert "brings back" in _ok("play", "versions", "spend_and_save")
    (listed,) = _json("play", "list")
    assert listed == {
        "code": "spend_and_save",
        "version": 3,
        "title": "Spend and save",
        "is_tool": False,
        "activities": 0,
    }
    assert "Spend and save" in _ok("play", "list")


def test_show_lists_activities_on_older_versions(runtime: Runtime, write: Any) -> None:
    """`play show` names each activity with its version of the play, and which of them are behind."""
    _ok("play", "import", write(play_document()))
    _ok("activity", "import", write(from_play(code="old")))
    _ok("play", "import", write(play_document(title="Newer")))
    _ok("activity", "import", write(from_play(code="new")))
    shown = _json("play", "show", "spend_and_save")
    assert [(one["activity"], one["play_version"], one["older"]) for one in shown["activities"]] == [
        ("new", 2, False),
        ("old", 1, True),
    ]
    text_shown = _ok("play", "show", "spend_and_save")
    assert "# activity old (draft): version 1, older than version 2" in text_shown
    assert "unchanged, version 2" in _ok("play", "import", write(yaml.safe_load(text_shown)))


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["play", "show", "none"], 2, "no play 'none'"),
        (["play", "form", "spend_and_save", "--version", "7"], 2, "no version 7"),
        (["play", "rollback", "spend_and_save"], 1, "no version before"),
        (["play", "diff", "spend_and_save"], 1, "nothing to compare"),
        (["activity", "rollback", "none"], 2, "no activity 'none'"),
        (["activity", "versions", "none"], 2, "no activity 'none'"),
        (["activity", "diff", "none"], 2, "no activity 'none'"),
        (["activity", "export", "none"], 2, "no activity 'none'"),
        (["play", "export", "none"], 2, "no play 'none'"),
    ],
)
def test_errors_exit_as_those_of_other_commands(write: Any, args: list[str], code: int, words: str) -> None:
    """What is not there exits with 2, what contradicts what is stored with 1; both say so."""
    _ok("play", "import", write(play_document()))
    result = _run(*args)
    assert (result.exit_code, words in result.stderr) == (code, True), result.output


def test_wrong_play_is_refused_with_its_place(write: Any) -> None:
    """The file, the play and the JSON Pointer of each problem are said; as JSON where that was asked for."""
    file = write(play_document(parameters={"type": "object", "properties": {"benefit": {"$ref": "http://x/"}}}))
    result = _run("play", "import", file)
    assert result.exit_code == 2
    assert f"{file}: play 'spend_and_save': /parameters/properties/benefit/$ref:" in result.stderr
    result = _run("play", "import", file, "--json")
    assert json.loads(result.stdout)["error"]["problems"][0]["path"] == "/parameters/properties/benefit/$ref"


def test_activity_from_draft_to_rollback(runtime: Runtime, write: Any) -> None:
    """A person fills the form, changes it as a draft, compares, tries it, publishes it, and rolls back."""
    _ok("play", "import", write(play_document()))
    _ok("activity", "import", write(from_play()), "--publish")
    said = _ok("activity", "import", write(from_play(parameters={"threshold_minor": 900})), "--draft")
    assert "activity camp18: updated, version 2 as a draft" in said
    assert "tactics activity publish camp18 --version 2" in said
    shown = _ok("activity", "show", "camp18")
    assert "# version 2 is a draft" in shown
    assert "# from play spend_and_save, version 1" in shown
    shown = _ok("activity", "show", "camp18", "--version", 2)
    assert shown.startswith("# camp18, version 2, a draft; version 1 is current, live\n")
    assert "threshold_minor: 900" in shown
    changed = {(one["path"], one["before"], one["after"]) for one in _json("activity", "diff", "camp18")}
    assert changed == {
        ("/play/parameters/threshold_minor", 500, 900),
        ("/rule/so/when/params/amount_at", 500, 900),
    }
    facts = write({"now": "2017-11-01T12:00:00Z", "order": {"lines": [{"item_id": "7", "price_minor": 600}]}}, "f.yaml")
    assert "camp18, version 2: not_matched" in _ok("activity", "dry-run", "camp18", facts)
    tried = _ok("activity", "dry-run", "camp18", facts, "--version", 1)
    assert "→ coupon c18 worth 500 USD" in tried
    assert "it would grant this" in tried
    assert _json("activity", "dry-run", write(from_play(parameters={"threshold_minor": 600})), facts)["would_grant"]
    assert _ok("activity", "publish", "camp18") == "activity camp18 is now live, version 2\n"
    assert _ok("activity", "rollback", "camp18") == "activity camp18 is rolled back: version 3 is current, live\n"
    assert _ok("activity", "rollback", "camp18", "--to", 1) == "activity camp18 says that already: version 3, live\n"
    states = [(one["version"], one["state"], one["restores"]) for one in _json("activity", "versions", "camp18")]
    assert states == [(3, "current", 1), (2, "earlier", None), (1, "earlier", None)]
    again = _json("activity", "publish", "camp18")
    assert again == {"activity": "camp18", "status": "live", "changed": False, "version": 3, "notes": []}
    assert "everything adds up" in _ok("audit")


def test_everything_can_move_to_an_empty_database(runtime: Runtime, write: Any, tmp_path: Path) -> None:
    """Exported to folders and imported into an empty database, activities and plays say what they said, numbers included."""
    _ok("play", "import", write(play_document()))
    _ok("activity", "import", write([from_play(), document(code="by_hand", expression={"en": "1e3"})]))
    _ok("play", "import", write(play_document(limits={})))
    assert _ok("play", "export", "--out", tmp_path / "plays") == f"1 file in {tmp_path / 'plays'}\n"
    assert _ok("activity", "export", "--out", tmp_path / "all" / "activities").startswith("2 files in ")
    files = sorted((tmp_path / "all" / "activities").iterdir())
    assert [one.name for one in files] == ["by_hand.yaml", "camp18.yaml"]
    assert {one["change"] for one in _json("activity", "import", *files)} == {"unchanged"}
    before = _ok("activity", "export") + _ok("play", "export")
    with runtime.engine.begin() as conn:
        migrate.downgrade(conn)
        migrate.upgrade(conn)
        assert conn.execute(text("SELECT count(*) FROM play")).scalar_one() == 0
    _ok("play", "import", *(tmp_path / "plays").iterdir())
    _ok("activity", "import", *files)
    assert _ok("activity", "export") + _ok("play", "export") == before


@pytest.mark.parametrize(
    ("facts", "words"), [("[1]", "2 documents"), ("[1, 2]", "2 documents"), ("text", "facts are an object")]
)
def test_dry_run_refuses_what_is_no_facts(write: Any, tmp_path: Path, facts: str, words: str) -> None:
    """A file of several things, or of something else, is no facts; --version goes with a code only."""
    path = tmp_path / "f.yaml"
    path.write_text(facts if facts != "[1]" else "a: 1\n---\nb: 2\n")
    result = _run("activity", "dry-run", write(document()), path)
    assert (result.exit_code, words in result.stderr) == (2, True), result.output
    result = _run("activity", "dry-run", write(document()), write({}, "g.yaml"), "--version", 1)
    assert (result.exit_code, "not of a file" in result.stderr) == (2, True)


def test_facts_may_come_from_standard_input(write: Any) -> None:
    """`-` reads the facts as JSON from standard input."""
    facts = json.dumps({"now": "2017-11-01T12:00:00Z"})
    args = ["activity", "dry-run", str(write(document())), "-", "--json"]
    result = CliRunner().invoke(app, args, input=facts)
    assert json.loads(result.stdout)["would_grant"], result.output
