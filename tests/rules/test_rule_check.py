"""What `check` answers: its shape, what is an error and what a warning, and that nothing makes it raise or take long."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tactics import rules
from tactics.rules import Alias, Registry, amount_at_least, calculate, check, condition, parse, resource, so, tiers
from tactics.rules.blocks import STANDARD_BLOCKS
from tactics.rules.cases import MAX_CASES, MAX_WORK
from tactics.rules.check import MAX_NODES, MAX_TOLD
from tactics.rules.parameter import flag, number

COUPON = rules.send_coupon("c")
AMOUNT = rules.order_amount()
CONTRADICTION = amount_at_least(AMOUNT, 10) & rules.amount_below(AMOUNT, 10)
IDLE = rules.amount_more_than(AMOUNT, -1)


def codes(rule: object, **more: Any) -> list[tuple[str, str, str]]:
    return [(one["severity"], one["code"], one["path"]) for one in check(rule, **more)["problems"]]


def test_a_rule_with_errors_is_not_ok_and_one_with_warnings_is() -> None:
    """`ok` is false only when there is an error; each problem has path, severity, code and message, no more."""
    assert check(so(amount_at_least(AMOUNT, 10), COUPON)) == {"ok": True, "problems": []}
    for rule, ok, severity in ((CONTRADICTION, False, "error"), (IDLE, True, "warning"), ({"and": []}, False, "error")):
        answer = check(rule)
        assert (answer["ok"], [one["severity"] for one in answer["problems"]]) == (ok, [severity])
        assert [list(one) for one in answer["problems"]] == [["path", "code", "message", "severity"]]


def test_a_rule_that_is_none_is_not_analysed_further() -> None:
    """While the form is wrong, only the form is spoken about."""
    rule = {"and": [CONTRADICTION.to_json(), {"block": "pbb.condition.nothing", "params": {}}]}
    assert codes(rule) == [("error", "unknown_block", "/and/1")]


def test_stored_rules_are_read_whatever_check_thinks_of_them() -> None:
    """Contradictions are refused where rules are saved, never where they are read: nothing stored becomes unreadable."""
    assert not check(CONTRADICTION)["ok"]
    assert parse(CONTRADICTION.to_json()) == CONTRADICTION
    assert calculate(CONTRADICTION, {"order": {"lines": []}}).status == "not_matched"


def test_built_rules_and_their_json_are_judged_alike() -> None:
    """Also JSON whose parameters are left out, and mappings that are no dictionaries."""
    assert codes(CONTRADICTION) == codes(CONTRADICTION.to_json()) == [("error", "never_holds", "")]
    bare = {"block": "pbb.resource.order_amount"}
    full = {"block": "pbb.resource.order_amount", "params": {}}
    parts = [
        {"block": f"pbb.condition.{name}", "params": MappingProxyType({"amount": amount, "amount_at": 10})}
        for name, amount in (("amount_at_least", bare), ("amount_below", full))
    ]
    assert codes(MappingProxyType({"and": parts})) == [("error", "never_holds", "")]


def test_of_open_parameters_nothing_is_claimed_but_that_they_are_one_value() -> None:
    """What a tool leaves open may become anything; the rest of the rule is judged all the same."""
    open_ = amount_at_least(AMOUNT, Alias("least")) & rules.amount_below(AMOUNT, 10)
    assert codes(open_, open_aliases=True) == []
    assert codes(amount_at_least(Alias("what"), 10) & rules.amount_below(Alias("what"), 10), open_aliases=True) == []
    assert codes(rules.exists(Alias("what")), open_aliases=True) == []
    sku = rules.sku_quantity(Alias("sku"))
    assert codes(amount_at_least(sku, 5) & rules.amount_below(sku, 5), open_aliases=True) == []
    assert codes(open_ & CONTRADICTION, open_aliases=True) == [("error", "never_holds", "/and/2")]
    assert codes(open_ & ~open_, open_aliases=True) == [("error", "never_holds", "")]
    steps = so(amount_at_least(AMOUNT, 300), COUPON), so(amount_at_least(AMOUNT, Alias("a")), COUPON)
    assert codes(tiers(*steps), open_aliases=True) == []


def test_two_resources_in_one_condition_are_not_compared() -> None:
    """A condition over two resources has one answer, the same wherever it stands, and no more is known of it."""
    one = rules.amount_more_than(rules.user_attribute("a"), rules.user_attribute("b"))
    assert codes(one & rules.amount_below(rules.user_attribute("a"), 5)) == []
    assert codes(one & ~one) == [("error", "never_holds", "")]


def test_what_resources_have_to_do_with_each_other_is_not_claimed() -> None:
    """That one amount is part of another is not known to `check`."""
    part = rules.item_amount("7")
    assert codes(amount_at_least(part, 10) & rules.amount_below(AMOUNT, 10)) == []
    assert codes(rules.exists(AMOUNT) & ~rules.exists(rules.order_quantity())) == []


@condition("acme.condition.odd", "It is odd", {"amount": number("what")}, words="odd", subject="amount")
def odd(amount: float) -> object:
    return amount % 2 == 1


@resource("acme.resource.balance", "The balance", words="the balance", gives="number", unit="minor")
def balance(facts: rules.Facts) -> object:
    return facts.attribute("user", "balance")


@condition("acme.condition.lucky", "By luck", {"yes": flag("luck")}, words="lucky", subject="yes")
def lucky(yes: bool) -> object:
    return yes


def test_blocks_of_plugins_are_taken_as_they_come() -> None:
    """A plugin's condition holds or does not; a plugin's amount may be below zero; both have one value in one rule."""
    registry = Registry([*STANDARD_BLOCKS, odd, balance, lucky])
    assert codes(odd(balance()) & rules.equals(balance(), 4), registry=registry) == []
    assert codes(odd(balance()) & ~odd(balance()), registry=registry) == [("error", "never_holds", "")]
    assert codes(odd(2), registry=registry) == codes(lucky(yes=False), registry=registry) == []
    assert codes(rules.amount_below(balance(), 0), registry=registry) == []
    poor = rules.amount_below(balance(), 0) & rules.amount_more_than(balance(), 0)
    assert codes(poor, registry=registry) == [("error", "never_holds", "")]


def test_a_block_that_differs_by_scene_is_not_what_it_was() -> None:
    """Where a plugin computes a standard block otherwise in some scene, its usual meaning is no longer claimed."""
    registry = Registry(STANDARD_BLOCKS)
    hour = rules.amount_at_least(rules.hour_of_day(), 24)
    assert codes(hour, registry=registry) == [("error", "never_holds", "")]
    registry.add_scene("pbb.resource.hour_of_day", "space", lambda _: 30)
    assert codes(hour, registry=registry) == []
    registry.add_scene("pbb.condition.amount_at_least", "space", lambda **_: True)
    contradiction = amount_at_least(AMOUNT, 10) & ~amount_at_least(AMOUNT, 5)
    assert codes(contradiction, registry=registry) == []


def told(name: object, to: object) -> dict[str, Any]:
    value = {"block": "pbb.resource.user_attribute", "params": {"name": f"a{name}"}}
    if isinstance(to, list):
        return {"block": "pbb.condition.in_set", "params": {"value": value, "values": to}}
    return {"block": "pbb.condition.equals", "params": {"value": value, "to": to}}


# Each of them would take minutes, or for ever, if every combination were looked at.
LARGE: dict[str, object] = {
    "alternatives of many": {"and": [{"or": [told(i, 1), told(-i - 1, 2)]} for i in range(1900)]},
    "many of alternatives": {"or": [{"and": [told(i, 1), told(-i - 1, 2)]} for i in range(1900)]},
    "a riddle": {"and": [{"or": [told(i * k % 53, (i * k) % 2 == 0) for k in (3, 5, 7)]} for i in range(1400)]},
    "steps": {
        "tiers": {
            "steps": [
                {"so": {"when": {"and": [told(i % 50, 1), told(i, 1)]}, "then": [COUPON.to_json()]}}
                for i in range(1200)
            ]
        }
    },
    "long lists": {"and": [{"not": told("", list(range(i, 60_000 + i)))} for i in range(2)]},
    "many lists": {"and": [{"not": told("", [i * 10 + j for j in range(20)])} for i in range(3000)]},
}


@pytest.mark.parametrize("name", LARGE)
def test_a_search_that_is_cut_short_says_so(name: str) -> None:
    """Combinations are capped; then one warning names the caps, and nothing that was not seen is claimed."""
    answer = check(LARGE[name])
    assert answer["ok"]
    (problem,) = answer["problems"]
    assert (problem["code"], problem["severity"]) == ("not_analysed", "warning")
    assert str(MAX_CASES) in problem["message"]
    assert str(MAX_WORK) in problem["message"]


def test_large_rules_without_riddles_are_checked_whole() -> None:
    """Thousands of conditions are no reason to give up; a contradiction among them is found."""
    flat = [told(i, 1) for i in range(4000)]
    steps = [so(amount_at_least(AMOUNT, at + 1), COUPON) for at in range(2000)]
    assert codes({"and": flat}) == codes({"or": flat}) == codes(tiers(*steps)) == []
    same = {"or": [told("", i) for i in range(1500)]}
    assert codes(same) == []
    assert codes({"and": [*flat, told(77, 2)]}) == [("error", "never_holds", "")]
    assert codes({"and": [{"or": [told(i, 1), told(-i - 1, 2)]} for i in range(20)]}) == []


def test_what_was_found_before_the_search_was_cut_short_is_kept() -> None:
    """A ladder's order needs no search; a contradiction that was found stays an error."""
    asked = [CONTRADICTION.to_json(), LARGE["a riddle"], *(amount_at_least(AMOUNT, at).to_json() for at in (9, 5))]
    found = codes({"tiers": {"steps": [{"so": {"when": part, "then": [COUPON.to_json()]}} for part in asked]}})
    assert found == [
        ("error", "never_holds", "/tiers/steps/0/so/when"),
        ("warning", "not_rising", "/tiers/steps/3"),
        ("warning", "not_analysed", ""),
    ]


def test_a_condition_of_which_too_few_combinations_were_seen_is_left_open() -> None:
    """It can hold, but not in the first combinations: nothing is claimed but that this is not known."""
    wide = [{"or": [told(i, 1), told(-i - 1, 1)]} for i in range(7)]
    late = {"or": [{"and": [told(0, 2), told(name, 1)]} for name in ("x", "y", "z")]}
    assert codes({"and": [*wide, late]}) == [("warning", "not_analysed", "")]
    assert codes({"and": [*wide[:5], late]}) == []


def test_every_code_is_described() -> None:
    """The reference page has a line for each code that a problem of a rule is made with."""
    folder = Path(rules.__file__).parent
    calls = [
        node
        for name in ("check", "analysis", "ladder", "block")
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text()))
        if isinstance(node, ast.Call) and len(node.args) > 2 and ast.unparse(node.func) in {"Problem", "self.add"}
    ]
    made = {node.args[1].value for node in calls if isinstance(node.args[1], ast.Constant)}
    assert {"form", "limit", "type", "unbound_alias", "never_holds", "never_wins", "not_analysed"} <= made
    page = (folder.parents[1] / "docs/reference/rules.md").read_text().split("\n## Checks")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    described = {code for cell in rows for code in re.findall(r"`(\w+)`", cell)}
    assert made - described <= {"declaration"}


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        7,
        [],
        {},
        {"so": None},
        {"tiers": {"steps": [None]}},
        {"and": [{"block": []}]},
        {1: 2},
        {"not": {"not": 1}},
    ],
)
def test_rubbish_ends_in_an_answer(rubbish: object) -> None:
    """Whatever is handed in, `check` answers with errors and raises nothing."""
    answer = check(rubbish)
    assert not answer["ok"]
    assert all(one["severity"] == "error" for one in answer["problems"])


def test_rubbish_in_great_number_is_told_only_in_part() -> None:
    """A machine's million mistakes cost no more than a person's few: strange keys and hints are capped, not the verdict."""
    keys = {f"k{index}": 1 for index in range(3 * MAX_TOLD)}
    for rubbish in (
        {"and": [], **keys},
        {"block": "pbb.condition.exists", "params": {"value": 1, **keys}},
        {"block": "pbb.condition.exists", "params": {"value": 1}, **keys},
    ):
        assert MAX_TOLD <= len(check(rubbish)["problems"]) <= MAX_TOLD + 1
    unknown = {"block": "pbb.condition.amount_at_lest", "params": {}}
    told_ = [one["message"] for one in check({"and": [unknown] * 3 * MAX_TOLD})["problems"]]
    assert len(told_) == 3 * MAX_TOLD
    assert sum("did you mean" in one for one in told_) == MAX_TOLD
    many = [one["code"] for one in check({"and": [unknown] * 3 * MAX_NODES})["problems"]]
    assert (many.count("limit"), many.count("unknown_block")) == (1, MAX_NODES - 1)
