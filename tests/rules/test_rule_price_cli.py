"""`tactics rules price` from files, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tactics import rules
from tactics.cli.rules import app
from tactics.rules import price, so
from tests.docs.blocks import ROOT, blocks

ORDER: dict[str, Any] = {"lines": [{"item_id": "7", "price_minor": 1000}]}
TEN, HALF = so(rules.item_amount_off(amount_minor=100)), so(rules.order_percent_off(50))
LISTED = [{"code": "ten", "rule": rules.to_json(TEN)}, rules.to_json(HALF)]


def run(tmp_path: Path, rule: object, facts: object, *more: str) -> Result:
    for name, value in (("rule", rule), ("facts", facts)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return CliRunner().invoke(app, ["price", str(tmp_path / "rule.json"), str(tmp_path / "facts.json"), *more])


@pytest.mark.parametrize(
    ("given", "mode", "listed"),
    [
        (LISTED, "stack", LISTED),
        ({"rules": LISTED}, "stack", LISTED),
        ({"mode": "best", "rules": LISTED}, "best", LISTED),
        (LISTED[1], "stack", LISTED[1:]),
        (LISTED[0], "stack", LISTED[:1]),
    ],
)
def test_it_prints_what_price_answers(tmp_path: Path, given: object, mode: Any, listed: list[Any]) -> None:
    """The file has a list of rules, an object with mode and rules, or one rule."""
    result = run(tmp_path, given, {"order": ORDER}, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, price(ORDER, listed, mode))


def test_people_get_a_table(tmp_path: Path) -> None:
    """With the lines, the sum, what each effect saved, and which rules did not apply."""
    lines = run(tmp_path, {"mode": "best", "rules": LISTED}, {"order": ORDER}).stdout.splitlines()
    cells = [line.split() for line in lines]
    assert ["0", "1000", "1000", "1000", "500", "rule", "1", "-500"] in cells
    assert lines[-3:] == [
        "total 500 instead of 1000, in minor units",
        '  → rule 1: pbb.action.order_percent_off {"percent": 50}, times 1, saves 500',
        "  ten: outdone: rule 1 saves more, or as much and comes first",
    ]


def test_other_facts_and_the_current_item_count(tmp_path: Path) -> None:
    """The user's attributes, the clock, and --item reach the rules."""
    vip = so(rules.equals(rules.user_attribute("vip"), True) & rules.exists(rules.now()), TEN.then[0])
    order = {"lines": [*ORDER["lines"], {"item_id": "8", "price_minor": 1000}]}
    facts = {"order": order, "user": {"vip": True}}
    for more, total in (((), 1800), (("--item", "7"), 1900)):
        answer = json.loads(run(tmp_path, rules.to_json(vip), facts, "--json", *more).stdout)
        assert answer["total_minor"] == total


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "/rules/0"),
        (None, "/rules/0"),
        ([{"rule": {}}], "/rules/0/rule"),
        ({"mode": "all", "rules": []}, "/mode"),
        ({"rules": {}}, "/rules"),
        ({"rules": [], "x": 1}, "/x"),
    ],
)
def test_rules_that_are_none_exit_1(tmp_path: Path, given: object, path: str) -> None:
    """The problems are those that `check` prints, with the path into the file."""
    result = run(tmp_path, given, {"order": ORDER}, "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"]) == (1, False)
    assert [(one["path"], one["severity"]) for one in answer["problems"]] == [(path, "error")]
    assert run(tmp_path, given, {"order": ORDER}).stdout.startswith(f"error: {path}: ")


@pytest.mark.parametrize(
    ("facts", "path"), [({}, "/order"), ([], "/order"), ({"order": {"lines": [{}]}}, "/order/lines/0/price_minor")]
)
def test_an_order_that_cannot_be_read_exits_2(tmp_path: Path, facts: object, path: str) -> None:
    """It is named on standard error, and nothing is printed as an answer."""
    result = run(tmp_path, LISTED, facts, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{path}: " in result.stderr


def test_the_reference_s_python_runs() -> None:
    """The examples in the rules reference hold what they assert."""
    shown = [one for one in blocks(ROOT / "docs/reference/rules.md") if one.language == "python"]
    assert any("price(" in one.text for one in shown)
    for one in shown:
        exec(compile(one.text, one.place, "exec"), {})  # noqa: S102 -- the project's own documentation
