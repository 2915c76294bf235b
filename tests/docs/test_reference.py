"""The reference says what the code says: generated parts are current, tables of words are complete."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tactics import errors, rules
from tactics.api import limits, problems
from tactics.config import Settings
from tactics.domain.activity import BehaviourRule, Benefit, Channels, Limits, Schedule, TacticsActivity
from tactics.domain.asset import TRANSITIONS
from tactics.domain.chain import ChainDocument
from tactics.domain.context import REASONS, SHOWN
from tactics.domain.event import DATA_TYPES
from tactics.domain.filling import OWN
from tactics.domain.plain import MAX_DEPTH
from tactics.domain.play import Play
from tactics.runtime import Runtime
from tactics.store.tables import metadata
from tests.docs import reference
from tests.docs.blocks import DOCS, ROOT, Block, blocks
from tests.docs.catalogue import EXAMPLES

FOLDER = ROOT / "docs" / "reference"
_TERM = re.compile(r"^\| (?P<term>[^|]+) \|[^|]+\| `(?P<name>tactics\.[\w.]+)` \|", re.MULTILINE)


def _first_cells(page: str) -> set[str]:
    """Give what stands in backticks in the first column of a page's tables."""
    found: set[str] = set()
    for line in (FOLDER / page).read_text().splitlines():
        if line.startswith("|"):
            found |= set(re.findall(r"`([^`]+)`", line.split("|")[1]))
    return found


def test_there_are_generated_pages() -> None:
    """Blocks, steps, command line, settings, rules and tables follow from the code; without them the next test would hold nothing."""
    assert [path.stem for path in reference.pages()] == [
        "blocks",
        "chain",
        "cli",
        "http",
        "metrics",
        "rules",
        "settings",
        "tables",
    ]


@pytest.mark.parametrize("page", ["blocks", "chain", "cli", "http", "metrics", "rules", "settings", "tables"])
def test_generated_parts_are_current(page: str) -> None:
    """A page says what the code says today; `python -m tests.docs.reference` renews it."""
    found = (FOLDER / f"{page}.md").read_text()
    assert found == reference.renewed(found)


def test_every_standard_block_has_an_example() -> None:
    """The page of blocks shows each standard block in a form that `check` finds nothing wrong with."""
    standard = {block.id for block in rules.default_registry if block.id.startswith("pbb.")}
    assert set(EXAMPLES) == standard
    shown = {json.loads(one.text)["block"]: json.loads(one.text) for one in blocks(FOLDER / "blocks.md")}
    assert set(shown) == standard
    for block_id, example in shown.items():
        whole = {
            "resource": {"block": "pbb.condition.exists", "params": {"value": example}},
            "condition": example,
            "action": {"so": {"then": [example]}},
        }
        assert rules.check(whole[block_id.split(".")[1]]) == {"ok": True, "problems": []}


def test_every_problem_of_the_rules_service_is_described() -> None:
    """Each code that a request may be refused with has its line, with its title; other errors are on the page of outcomes."""
    page = (FOLDER / "rules-http.md").read_text()
    lines = re.findall(r"^\| `(\w+)` \| \d+ \| (.+?) \|", page, re.MULTILINE)
    tree = [errors.TacticsError]
    for one in tree:
        tree.extend(one.__subclasses__())
    elsewhere = {one.code for one in tree} - {"not_found"}
    assert dict(lines) == {code: title for code, title in problems.TITLES.items() if code not in elsewhere}


def test_every_key_of_an_activity_is_described() -> None:
    """No field of an activity's document is missing from its page, and no other is promised."""
    nested = {"schedule", "channels", "limits", "behaviour_rules", "expression", "benefits"}
    named = {name for name in TacticsActivity.model_fields if name not in {*nested, "version"}}
    named |= {f"schedule.{field.alias}" for field in Schedule.model_fields.values()}
    named |= {f"channels.{name}" for name in Channels.model_fields} | {f"limits.{name}" for name in Limits.model_fields}
    named |= {f"behaviour_rules.<key>.{name}" for name in BehaviourRule.model_fields}
    named |= {"benefits.<code>", "expression.<language>", *Benefit.model_fields, *OWN}
    assert _first_cells("activity.md") == named


def test_every_key_of_a_play_is_described() -> None:
    """No key of a play's document is missing from its page."""
    page = (FOLDER / "play.md").read_text().split("## The form")[0]
    assert {name.partition(".")[0] for name in re.findall(r"`([a-z_.]+?)(?:<[a-z]+>)?`", page)} >= set(
        Play.model_fields
    )


def test_every_outcome_and_error_is_described() -> None:
    """Each outcome, reason and error code that callers may see has its line."""
    found = _first_cells("outcomes.md")
    assert found >= set(SHOWN) | set(REASONS) | {"prepared", "done", "parked", "abandoned"}
    codes = {
        one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.TacticsError)
    }
    assert found >= codes - {"error"}


def test_every_key_of_a_chain_is_described() -> None:
    """No key of a chain's document is missing from its page, and no other is promised."""
    page = (FOLDER / "chain.md").read_text().split("## What is checked")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(ChainDocument.model_fields)


def test_every_table_is_described() -> None:
    """Each table says what a row of it is."""
    page = (FOLDER / "tables.md").read_text().split("## Growth")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(metadata.tables)


def test_every_event_field_is_described() -> None:
    """Each field of each kind of event, and each change of an asset, is on the page of events."""
    page = (FOLDER / "events.md").read_text()
    for kind, model in DATA_TYPES.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| `tactics.{kind}` | `"))
        named = set(re.findall(r"`(\w+)\??`", line.split("|")[2])) - set(TRANSITIONS)
        assert named == set(model.model_fields)
    for change, made in TRANSITIONS.items():
        assert f"| `{change}` | {', '.join(made)} | {next(iter(made.values()))} |" in page


def test_limits_of_events_are_those_that_hold() -> None:
    """What the page of events says is the most of something is what the API takes."""
    page = (FOLDER / "events.md").read_text()
    for most, what in (
        (f"{limits.MAX_BODY_BYTES // 2**20} MiB", "a request's body"),
        (f"{limits.MAX_EVENTS:,}", "events in a batch"),
        (f"{MAX_DEPTH}", "levels of lists and objects"),
        (f"{limits.BODY_PATIENCE_S:g} s", "until the body has arrived"),
        (f"{limits.ACCEPT_PATIENCE_S:g} s", "until the database has it"),
    ):
        assert f"| {most} | {what}" in page
    assert {one.lower() for one in re.findall(r"`TACTICS_(\w+)`", page)} <= Settings.model_fields.keys()


def _terms() -> list[Any]:
    page = (ROOT / "docs" / "glossary.md").read_text()
    return [pytest.param(found["name"], id=found["term"]) for found in _TERM.finditer(page)]


@pytest.mark.parametrize("name", _terms())
def test_terms_are_the_names_of_code(name: str) -> None:
    """What the glossary names is there."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return
    pytest.fail(f"there is no {name}")


def _statements() -> list[Any]:
    # What the runbook rehearses has places to fill in, and is run by tests/runbook.
    found = (one for path in DOCS for one in blocks(path) if one.language == "sql" and one.mark != "rehearsed")
    return [pytest.param(one, id=one.place) for one in found]


@pytest.mark.parametrize("one", _statements())
def test_statements_run(one: Block, runtime: Runtime) -> None:
    """Each SQL statement of the documentation is understood by the database as it is migrated."""
    with runtime.engine.begin() as conn:
        conn.execute(text(one.text))


@pytest.mark.parametrize("path", sorted((ROOT / "tactics").rglob("*.py")), ids=lambda one: one.stem)
def test_pages_that_code_names_are_there(path: Path) -> None:
    """A docstring that points into the documentation points at a page."""
    for named in re.findall(r"docs/[\w/.-]+\.md", path.read_text()):
        assert (ROOT / named).is_file()
