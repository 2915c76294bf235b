"""Input made to hurt: rules too deep, too wide and too big.

Refused, or answered, in bounded time.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from tactics.rules import Not, Rule, bind, calculate, check, explain, loads, parse, price
from tests.rules.agreement import disagreement
from tests.rules.plain_rule import plain_answer
from tests.rules.refusing import POINTS, attribute, equals, exists, refused, refused_everywhere
from tests.rules.rules_at_random import Json

pytestmark = pytest.mark.timeout(60)

MIB = 1024 * 1024
DEPTHS = (65, 1000, 100_000)


def nested(depth: int, *forms: str) -> Json:
    """A condition under so many nodes of these forms, taken in turn; without forms, resources in resources."""
    node = exists(attribute("level")) if forms else attribute("level")
    for turn in range(depth):
        form = forms[turn % len(forms)] if forms else ""
        node = {form: node if form == "not" else [node]} if form else attribute(node)
    return node if forms else exists(node)


@pytest.mark.parametrize("forms", [("not",), ("and",), ("or",), ("not", "and", "or"), ()])
@pytest.mark.parametrize("depth", DEPTHS)
def test_rules_far_too_deep_are_refused_as_data(depth: int, forms: tuple[str, ...]) -> None:
    """Whatever they are nested of, wherever they stand, and whoever reads them."""
    deep = nested(depth, *forms)
    refused_everywhere(deep, "limit")
    if forms:
        refused_everywhere({"so": {"when": deep, "then": [POINTS]}}, "limit")
        refused_everywhere({"tiers": {"mode": "all", "steps": [{"so": {"when": deep, "then": [POINTS]}}]}}, "limit")
    refused(lambda: bind(parse(exists({"alias": "open"})), {"open": attribute(deep)}), "limit", "form", "type", "kind")


@pytest.mark.parametrize("start", ['{"not":', '{"and":[', '{"so":{"when":', '{"block":"a","params":{"x":', "[", '{"":'])
@pytest.mark.parametrize("closed", [True, False])
def test_text_far_too_deep_is_refused(start: str, closed: bool) -> None:
    """With its brackets closed or not, up to the size that is read at all."""
    end = "".join({"{": "}", "[": "]"}.get(letter, "") for letter in reversed(start))
    for depth in (1000, MIB // (len(start) + len(end)) - 1):
        text = start * depth + "1" + (end * depth if closed else "")
        assert len(text) <= MIB
        refused(partial(loads, text))
        refused(partial(loads, text.encode()))


@pytest.mark.parametrize("depth", DEPTHS)
def test_values_far_too_deep_are_no_constants(depth: int) -> None:
    """A list of lists of lists is no constant, nor is an object of objects."""
    lists: Any = 1
    objects: Any = {}
    for _ in range(depth):
        lists, objects = [lists], {"a": objects}
    for value in (lists, objects):
        refused_everywhere(equals(attribute("level"), value), "type")
        refused_everywhere(
            {"so": {"then": [{"block": "pbb.action.send_coupon", "params": {"benefit": value}}]}}, "type"
        )
        for condition in (exists(attribute("level")), equals(attribute("level"), 1)):
            facts: Json = {"user": {"level": value}, "order": value, "behaviours": [value], "scene": value}
            assert disagreement(condition, facts) is None
            json.dumps(explain(condition, facts).to_json())


def test_rules_that_hold_themselves_are_refused() -> None:
    """Data that JSON text cannot say, and Python can."""
    turning: Json = {}
    turning["not"] = turning
    refused_everywhere(turning, "limit")
    around: list[Any] = []
    around.append({"or": around})
    refused_everywhere({"and": around}, "limit")
    around = []
    around.append(around)
    refused_everywhere(equals(attribute("level"), around), "type")


@pytest.mark.parametrize("depth", DEPTHS)
def test_rules_built_far_too_deep_are_refused(depth: int) -> None:
    """Also nodes that were put above each other in Python, where nobody checked them on the way."""
    rule: Rule = parse(exists(attribute("level")))
    for _ in range(depth):
        rule = Not(rule)  # type: ignore[arg-type]  # a condition
    assert [one["code"] for one in check(rule)["problems"]] == ["limit"]
    assert calculate(rule, {}).status == explain(rule, {}).evaluation.status == "invalid"
    refused(lambda: price({"lines": []}, [rule]), "limit")


@pytest.mark.parametrize("forms", [("not",), ("and",), ("or",), ("not", "and"), ("not", "or", "and"), ()])
def test_rules_as_deep_as_may_be_are_answered(forms: tuple[str, ...]) -> None:
    """The limit is no promise that breaks: 64 levels work, in every form, also below a step of a ladder."""
    step = {"so": {"when": nested(60, *forms), "then": [POINTS]}}
    limits = [
        nested(62, *forms),
        {"so": {"when": nested(61, *forms), "then": [POINTS]}},
        {"tiers": {"mode": "highest", "steps": [step, step]}},
    ]
    every: list[Json] = [{"user": {"level": "level"}}, {"user": {}}, {}]
    for rule in limits:
        parse(rule)
        for facts in every:
            assert disagreement(rule, facts) is None
            assert explain(rule, facts).evaluation.status == calculate(rule, facts).status


WIDE: dict[str, Json] = {
    "or": {"or": [equals(attribute(f"n{n}"), n) for n in range(4999)]},
    "and": {"and": [equals(attribute(f"n{n}"), n) for n in range(4999)]},
    "the same": {"or": [equals(attribute("n1"), 1)] * 4999},
    "steps": {
        "tiers": {
            "mode": "all",
            "steps": [{"so": {"when": equals(attribute(f"n{n}"), n), "then": [POINTS]}} for n in range(2499)],
        }
    },
    "actions": {"so": {"then": [POINTS] * 9998}},
    "groups": {"and": [nested(60, "not")] * 161},
    "in_set": {"block": "pbb.condition.in_set", "params": {"value": attribute("n1"), "values": list(range(100_000))}},
}


@pytest.mark.parametrize("name", WIDE)
def test_rules_as_wide_as_may_be_are_answered(name: str) -> None:
    """10,000 nodes, and constants of a hundred thousand members, give an answer."""
    rule = parse(WIDE[name])
    for facts in ({"user": {f"n{n}": n for n in range(0, 5000, 2)}}, {"user": {"n1": 99_999}}, {}):
        answer, plain = calculate(rule, facts), plain_answer(WIDE[name], facts)
        assert (answer.status, list(answer.effects)) == (plain.status, plain.effects)
    assert explain(rule, {}).evaluation.status == plain.status


@pytest.mark.parametrize(
    "obj",
    [
        {"and": [exists(1)] * 1_000_000},
        {"and": [10**9] * 1_000_000},
        {"so": {"then": [POINTS] * 300_000}},
        equals(attribute("level"), "x" * 10 * MIB),
        equals(attribute("x" * 10 * MIB), 1),
        {"block": "x" * 10 * MIB, "params": {}},
        {"x" * 10 * MIB: 1},
        {"block": "pbb.condition.in_set", "params": {"value": attribute("level"), "values": [10**9] * MIB}},
        exists({"alias": "x" * 10 * MIB}),
    ],
    ids=["conditions", "numbers", "actions", "constant", "name", "block", "key", "values", "alias"],
)
def test_ten_megabytes_are_refused(obj: Json) -> None:
    """As data, as text and as bytes."""
    assert not check(obj, open_aliases=True)["ok"]
    refused(lambda: parse(obj))
    text = json.dumps(obj)
    assert len(text) >= 5 * MIB
    refused(lambda: loads(text), "limit")
    refused(lambda: loads(text.encode()), "limit")


@pytest.mark.parametrize(
    "text", ["[" * 10 * MIB, " " * 10 * MIB, '"' + "\\" * 10 * MIB, "1" * 10 * MIB, "\ud800" * MIB]
)
def test_ten_megabytes_of_nothing_are_refused(text: str) -> None:
    """Before a single letter is read."""
    refused(lambda: loads(text), "limit")
    refused(lambda: loads(text.encode("utf-8", "surrogatepass")), "limit")


def test_ten_thousand_unknown_blocks_are_refused() -> None:
    """Also when their names are near those of others, which takes a look at each."""
    near = {"and": [{"block": f"pbb.condition.amount_at_l{n}", "params": {}} for n in range(9_999)]}
    answer = check(near)
    assert not answer["ok"]
    assert {one["code"] for one in answer["problems"]} <= {"unknown_block", "limit"}
