"""The tables of the page for whoever writes rules: every block can be copied, every mistake gets the message shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tactics import rules
from tests.docs.blocks import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "write-a-rule.md"
_CODE = re.compile(r"`([^`]+)`")


def _rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table under a heading, without its head."""
    part = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for line in [line for line in part.splitlines() if line.startswith("|")][2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


PHRASES = [pytest.param(cells[1].strip("`"), id=cells[0]) for cells in _rows("From phrases to blocks")]
MISTAKES = [
    pytest.param(*(_CODE.findall(cell)[0] for cell in cells), id=cells[1]) for cells in _rows("Common mistakes")
]


def _file(name: str) -> str:
    return next(one.text for one in blocks(PAGE) if one.value == name)


@pytest.mark.parametrize("text", PHRASES)
def test_each_phrase_has_a_block_that_can_be_copied(text: str) -> None:
    """It stands in a `when` as it is, and the check has nothing to say."""
    rule: dict[str, Any] = {"so": {"when": yaml.safe_load(text), "then": [{"block": "pbb.action.gift", "params": {}}]}}
    rule["so"]["then"][0]["params"] = {"item_id": "7", "quantity": 1}
    assert rules.check(rule) == {"ok": True, "problems": []}


def test_the_phrases_use_every_condition() -> None:
    """Whoever looks for a way to ask finds each of them."""
    text = " ".join(str(one.values[0]) for one in PHRASES)
    standard = [one["id"] for one in rules.default_registry.catalogue() if str(one["id"]).startswith("pbb.condition.")]
    assert [name for name in standard if f"{name}," not in text] == []


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_each_mistake_gets_the_message_that_is_shown(right: str, wrong: str, message: str) -> None:
    """Made in the page's first rule, the check says exactly this about it."""
    text = _file("spend.yaml")
    assert text.count(right) == 1
    answer = rules.check(yaml.safe_load(text.replace(right, wrong)))
    assert not answer["ok"]
    assert message in [f"{problem['path']}: {problem['message']}" for problem in answer["problems"]]
