"""`tactics rules …` from files, standard input, JSON and YAML, with its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tactics import rules
from tactics.cli.rules import app
from tactics.rules import Alias, so

RULE = so(
    rules.amount_at_least(rules.order_amount(), 100) & ~rules.equals(rules.user_attribute("blocked"), True),
    rules.send_coupon("c"),
)
FACTS: dict[str, Any] = {"order": {"lines": [{"price_minor": 100}]}, "user": {"blocked": False}}


def run(*args: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=text)


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    """A rule as a JSON file."""
    return written(tmp_path / "rule.json", rules.to_json(RULE))


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Facts that the rule matches."""
    return written(tmp_path / "facts.json", FACTS)


def written(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_eval_prints_the_evaluation(rule: Path, facts: Path) -> None:
    """With --json it is the engine's own answer, exit 0; without, it names status and effects."""
    result = run("eval", rule, facts, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, rules.calculate(RULE, FACTS).to_json())
    words = run("eval", rule, facts)
    assert words.exit_code == 0
    assert words.stdout.splitlines() == ["matched", '  → pbb.action.send_coupon {"benefit": "c"}, times 1']


@pytest.mark.parametrize(
    ("given", "status"), [({}, "unknown"), ({**FACTS, "order": {"lines": []}}, "not_matched"), ([], "unknown")]
)
def test_eval_exits_0_whatever_the_answer_is(rule: Path, tmp_path: Path, given: object, status: str) -> None:
    """Not matched and unknown are answers, not failures."""
    result = run("eval", rule, written(tmp_path / "f.json", given), "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (0, status)


def test_yaml_and_standard_input_are_read_too(tmp_path: Path, facts: Path) -> None:
    """YAML times stay text; `-` is standard input, in JSON or YAML."""
    yaml = "block: pbb.condition.within\nparams:\n  value: {block: pbb.resource.event_attribute, params: {name: t}}\n  from: 2024-01-01T00:00:00Z\n"
    file = written(tmp_path / "rule.yaml", yaml)
    at = written(tmp_path / "facts.yml", "event: {t: 2024-01-01T00:00:00Z}\n")
    assert json.loads(run("eval", file, at, "--json").stdout)["status"] == "matched"
    assert json.loads(run("eval", "-", at, "--json", text=yaml).stdout)["status"] == "matched"
    assert json.loads(run("eval", "-", facts, "--json", text=json.dumps(rules.to_json(RULE))).stdout)["matched"]


def test_the_clock_fills_now_in_unless_facts_have_it(tmp_path: Path) -> None:
    """A rule over the time can be tried without writing the time down; a given `now`, also null, stays."""
    rule = written(tmp_path / "rule.json", rules.to_json(rules.exists(rules.now())))
    for given, status in (
        ({}, "matched"),
        ({"now": None}, "not_matched"),
        ({"now": "2024-01-01T00:00:00Z"}, "matched"),
    ):
        result = run("eval", rule, written(tmp_path / "f.json", given), "--json")
        assert json.loads(result.stdout)["status"] == status


def test_eval_can_name_the_current_item(tmp_path: Path) -> None:
    """--item evaluates per item."""
    rule = written(tmp_path / "rule.json", rules.to_json(so(rules.item_promotion_price(price_minor=5))))
    facts = written(tmp_path / "facts.json", {})
    effects = json.loads(run("eval", rule, facts, "--item", "7", "--json").stdout)["effects"]
    assert effects[0]["params"] == {"price_minor": 5, "item_id": "7"}


def test_explain_draws_the_tree(rule: Path, facts: Path, tmp_path: Path) -> None:
    """Each node is marked as holding, not holding or unknown, with its reason; an action that is given has an arrow."""
    assert run("explain", rule, facts).stdout.splitlines() == [
        "matched",
        "✓ so",
        "  ✓ and",
        "    ✓ the order amount is 100 minor units, which is at least 100",
        "    ✓ not",
        "      ✗ the user's blocked is false; exactly true needed",
        "  → send coupon c",
    ]
    poor = written(tmp_path / "f.json", {"order": {"lines": [{"price_minor": 99}]}})
    assert run("explain", rule, poor).stdout.splitlines() == [
        "not_matched",
        "✗ so",
        "  ✗ and",
        "    ✗ the order amount is 99 minor units; at least 100 needed",
        "    ? not",
        "      ? the user's blocked is not known: user is missing",
        "  · send coupon c",
    ]


def test_explain_as_json_is_the_evaluation_with_its_tree(rule: Path, facts: Path) -> None:
    """The tree has path, node, verdict, text and children down to the blocks."""
    result = run("explain", rule, facts, "--json")
    answer = json.loads(result.stdout)
    tree = answer.pop("tree")
    assert (result.exit_code, answer) == (0, rules.calculate(RULE, FACTS).to_json())
    assert (tree["path"], tree["node"], tree["verdict"], len(tree["children"])) == ("/so", "so", True, 2)
    leaf = tree["children"][0]["children"][0]
    assert (leaf["path"], leaf["found"], leaf["wanted"]) == ("/so/when/and/0", 100, 100)


def test_explain_shows_which_step_of_a_ladder_won() -> None:
    """Steps below the winner hold as well, but only the winner's actions are given."""
    ladder = rules.tiers(
        *(so(rules.amount_at_least(rules.order_amount(), n), rules.send_coupon(f"c{n}")) for n in (1, 2, 300))
    )
    lines = list(rules.explain(ladder, FACTS).lines())
    assert lines[:2] == ["matched", "✓ tiers, highest"]
    assert [line.strip() for line in lines if "coupon" in line] == [
        "· send coupon c1",
        "→ send coupon c2",
        "· send coupon c300",
    ]


def test_check_exits_1_on_errors_and_0_otherwise(rule: Path, tmp_path: Path) -> None:
    """Problems are printed with their path; open parameters are errors unless allowed."""
    assert run("check", rule, "--json").stdout == json.dumps({"ok": True, "problems": []}, indent=2) + "\n"
    assert run("check", rule).exit_code == 0
    bad = written(tmp_path / "bad.json", {"not": {"block": "acme.condition.gone", "params": {}}})
    result = run("check", bad)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        1,
        'error: /not: there is no block "acme.condition.gone": is the plugin that declares it loaded here?',
    )
    assert json.loads(run("check", bad, "--json").stdout)["problems"][0]["path"] == "/not"
    tool = written(tmp_path / "tool.json", rules.to_json(rules.exists(Alias("x"))))
    assert [run("check", tool).exit_code, run("check", tool, "--open-aliases").exit_code] == [1, 0]


@pytest.mark.parametrize("command", ["eval", "explain"])
def test_a_rule_that_is_none_exits_1_with_the_reason(command: str, facts: Path, tmp_path: Path) -> None:
    """A malformed or null rule was not evaluated: the answer says so, and so does the exit code."""
    for text, status in (("{}", "invalid"), ("null", "null_rule")):
        file = written(tmp_path / "rule.json", text)
        result = run(command, file, facts, "--json")
        assert (result.exit_code, json.loads(result.stdout)["status"]) == (1, status)
        assert run(command, file, facts).stdout.splitlines()[0] == status


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.json", "{", "this is not JSON"),
        ("r.json", '{"a": 1, "a": 2}', "given twice"),
        ("r.json", '{"a": NaN}', "NaN is not a number"),
        ("r.json", "[" * 100_000, "nested too deep"),
        ("r.yaml", "a: [", "this is not YAML"),
        ("r.yaml", "a: 1\na: 2", "given twice"),
        ("r.yaml", "[" * 10_000, "r.yaml"),
        ("r", "{", "this is not JSON"),
    ],
)
def test_input_that_cannot_be_read_exits_2_and_says_where(
    name: str, text: str, message: str, tmp_path: Path, facts: Path
) -> None:
    """The file and the mistake are named on standard error; nothing is printed as an answer."""
    file = written(tmp_path / name, text)
    for args in (("check", file), ("eval", file, facts), ("explain", facts, file)):
        result = run(*args)
        assert (result.exit_code, result.stdout) == (2, "")
        assert name in result.stderr
        assert message in result.stderr


def test_files_that_are_not_there_or_not_text_exit_2(tmp_path: Path, rule: Path) -> None:
    """A wrong path, a folder, bytes that are no text, and standard input asked for twice."""
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for args in (("check", tmp_path / "gone.json"), ("check", tmp_path), ("eval", rule, tmp_path / "bytes.json")):
        assert run(*args).exit_code == 2
    assert "only one" in run("eval", "-", "-", text="{}").stderr


def test_check_counts_what_it_found(tmp_path: Path) -> None:
    """One line at the end says how many errors there are."""
    wrong = {"and": [{"block": "acme.condition.gone"}, {"block": "acme.condition.lost"}]}
    assert run("check", written(tmp_path / "two.json", wrong)).stdout.splitlines()[-1] == "2 errors"
    assert run("check", written(tmp_path / "one.json", {"not": wrong["and"][0]})).stdout.splitlines()[-1] == "1 error"


def test_facts_that_are_no_object_are_told_of(rule: Path, tmp_path: Path) -> None:
    """They are evaluated all the same, and standard error says why everything is unknown; answers stay JSON."""
    listed = written(tmp_path / "list.json", [FACTS])
    result = run("eval", rule, listed, "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (0, "unknown")
    assert result.stderr == f"{listed}: facts are an object; whatever a rule asks of these is unknown\n"
    assert run("eval", rule, written(tmp_path / "facts.json", FACTS)).stderr == ""


def test_blocks_lists_the_catalogue() -> None:
    """--json is the catalogue itself; without, each block has a line with its parameters."""
    assert json.loads(run("blocks", "--json").stdout) == rules.default_registry.catalogue()
    assert "pbb.resource.behaviour_count {action, window_s, item_id?, category?, item_set?}" in run("blocks").stdout


def test_blocks_can_be_listed_by_kind_and_in_another_language() -> None:
    """--kind leaves the others out; --language gives their names too; a language that nobody has is refused."""
    chinese = run("blocks", "--language", "zh", "--kind", "action", "--json")
    wanted = [one for one in rules.default_registry.catalogue("zh") if one["kind"] == "action"]
    assert json.loads(chinese.stdout) == wanted
    lines = run("blocks", "--kind", "condition", "--language", "zh").stdout.splitlines()
    assert lines[lines.index("pbb.condition.exists {value}") + 1].strip().startswith("有值")
    assert not any("pbb.resource" in line or "pbb.action" in line for line in lines)
    refused = run("blocks", "--language", "fr")
    assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", "there are no words in 'fr'; known: en, zh\n")


def test_one_block_is_shown_in_detail() -> None:
    """By its id or the last part of it: what it is, what it gives, and each parameter's type, limits and meaning."""
    for named in ("pbb.resource.behaviour_count", "behaviour_count"):
        shown = " ".join(run("blocks", named).stdout.split())
        assert "pbb.resource.behaviour_count resource" in shown
        assert "gives: number in count" in shown
        assert "window_s integer in s, ≥ 1, ≤ 3153600000 any, number how far back to look, in seconds" in shown
        assert "item_id? text any, text only with this item" in shown
    assert "unit or line" in run("blocks", "item_amount_off").stdout
    assert json.loads(run("blocks", "gift", "--json").stdout)["id"] == "pbb.action.gift"
    assert "in words: 满 {amount_at}" in run("blocks", "amount_at_least", "--language", "zh").stdout


def test_a_block_that_is_not_there_exits_2() -> None:
    """The nearest name is told; a block of another kind is none of this kind."""
    for args, message in (
        (
            ("pbb.resource.order_amont",),
            "there is no block 'pbb.resource.order_amont': did you mean pbb.resource.order_amount?",
        ),
        (("gift", "--kind", "resource"), "there is no resource 'gift'"),
    ):
        result = run("blocks", *args)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(message)


def test_check_of_several_rules(tmp_path: Path) -> None:
    """A file that `price` takes is checked rule by rule, each problem with its place in the file."""
    good = {"so": {"then": [{"block": "pbb.action.order_amount_off", "params": {"amount_minor": 5}}]}}
    bad = {"so": {"then": [{"block": "pbb.action.order_amount_off", "params": {"amount_minor": "5"}}]}}
    at = "/so/then/0/params/amount_minor"
    for given, paths in (
        ([good, {"rule": bad}], [f"/1/rule{at}"]),
        ({"mode": "best", "rules": [bad, {"code": "a", "rule": bad}]}, [f"/rules/0{at}", f"/rules/1/rule{at}"]),
        ({"rules": [good]}, []),
    ):
        file = tmp_path / "several.json"
        file.write_text(json.dumps(given))
        found = CliRunner().invoke(app, ["check", str(file), "--json"])
        answer = json.loads(found.stdout)
        assert [problem["path"] for problem in answer["problems"]] == paths
        assert answer["ok"] is (not paths)
        assert found.exit_code == bool(paths)


def test_explain_says_how_often_an_action_is_given() -> None:
    """An action that is given several times says so, as the effect does."""
    counted = rules.amount_at_least(rules.order_amount(), 300, enable_multiple=True)
    rule = rules.so(counted, rules.order_amount_off(50))
    order = {"lines": [{"price_minor": 700}]}
    assert list(rules.explain(rule, {"order": order}).lines())[-1] == "  → take 50 off the order, 2 times"
