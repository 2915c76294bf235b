"""The reader of the documentation's blocks, and that every block is something: run, a file, or fit to be copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tactics import rules
from tactics.cli.files import documents
from tactics.domain.activity import parse_activity
from tactics.domain.behaviour_rule import is_rule_document, parse_behaviour_rules
from tactics.domain.chain import parse_chain
from tactics.domain.filling import fill
from tactics.domain.play import parse_play
from tests.docs.blocks import DOCS, Block, blocks, shows
from tests.making import document

ALL = [one for path in DOCS for one in blocks(path)]
PLAYS = {
    found["code"]: parse_play({**found, "version": 1})
    for one in ALL
    if one.language == "yaml" and isinstance(found := yaml.safe_load(one.text.split("\n---")[0]), dict)
    if "parameters" in found and "rule" in found
}
LANGUAGES = {"sh", "text", "yaml", "json", "python", "csv", "ini", "sql"}


def _of(*languages: str) -> list[Any]:
    return [pytest.param(one, id=one.place) for one in ALL if one.language in languages]


def test_every_block_says_what_language_it_is() -> None:
    """No fence is without a language that the tests here know: an unknown one would be checked by nobody."""
    assert {one.place: one.language for one in ALL if one.language not in LANGUAGES} == {}


@pytest.mark.parametrize("one", _of("yaml"))
def test_yaml_is_an_activity_or_a_part_of_one(one: Block, tmp_path: Path) -> None:
    """What stands there is an activity or a part of one that is accepted, behaviour rules, or a rule."""
    file = tmp_path / "one.yaml"
    file.write_text(one.text)
    for part in documents([file])[0]:
        assert isinstance(part, dict)
        if {"so", "tiers"} & part.keys():
            assert rules.check(part)["ok"]
        elif is_rule_document(part):
            parse_behaviour_rules(part)
        elif "chain" in part:
            parse_chain(part)
        elif "play" in part:
            parse_activity(fill(part, PLAYS[part["play"]]))
        elif "parameters" in part:
            parse_play(part)
        else:
            parse_activity({**document(), **part})


@pytest.mark.parametrize("one", _of("json"))
def test_json_is_json(one: Block) -> None:
    """What is shown as JSON can be read as such."""
    assert json.loads(one.text) is not None


@pytest.mark.parametrize("one", _of("python"))
def test_python_can_be_run(one: Block) -> None:
    """What is shown as Python can be compiled; what is no file of an example runs as it stands there."""
    code = compile(one.text, one.place, "exec")
    if one.mark != "file":
        exec(code, {"__name__": "example"})  # noqa: S102  # our own documentation


def test_an_output_may_leave_out_what_changes() -> None:
    """An ellipsis stands for anything in its line, or alone for any lines; everything else has to be there, in order."""
    printed = "one  42\n\n ──── \ntwo\nthree\n"
    assert shows(printed, "one …\ntwo\nthree")
    assert shows(printed, "one 42\n…\nthree")
    assert not shows(printed, "one …\nthree")
    assert not shows(printed, "one …\ntwo\nthree\nfour")
    assert not shows(printed, "two\n…")


def test_marks_are_read_from_the_line_above(tmp_path: Path) -> None:
    """A fence takes the mark on the line above it, and one elsewhere marks nothing."""
    text = "<!-- file: a.yaml -->\n```yaml\na: 1\n```\n<!-- at once -->\n\n```sh\nls\n```\n"
    copy = tmp_path / "one.md"
    copy.write_text(text)
    found = [(one.mark, one.value, one.language, one.text) for one in blocks(copy)]
    assert found == [("file", "a.yaml", "yaml", "a: 1\n"), (None, None, "sh", "ls\n")]
