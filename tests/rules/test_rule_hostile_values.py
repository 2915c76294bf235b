"""Input made to hurt: numbers out of range, text that looks like code, and wrong types everywhere.

Refused, or answered, in bounded time.
"""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tactics.rules import (
    Registry,
    RuleError,
    aliases,
    bind,
    calculate,
    check,
    dumps,
    explain,
    loads,
    needs,
    parse,
    price,
)
from tests.rules.agreement import disagreement
from tests.rules.facts_at_random import WRONG_JSON, WRONG_PYTHON
from tests.rules.refusing import POINTS, attribute, equals, exists, refused, refused_everywhere
from tests.rules.rules_at_random import Json

pytestmark = pytest.mark.timeout(60)

HUGE = (10**400, -(10**400), 10**5000, float("inf"), float("-inf"), float("nan"))
NUMERIC: dict[str, Callable[[Any], Json]] = {
    "amount_at": lambda n: {"block": "pbb.condition.amount_more_than", "params": {"amount": 1, "amount_at": n}},
    "amount": lambda n: {"block": "pbb.condition.amount_at_least", "params": {"amount": n, "amount_at": 1}},
    "equals": lambda n: equals(attribute("level"), n),
    "values": lambda n: {"block": "pbb.condition.in_set", "params": {"value": 1, "values": [1, n]}},
    "exists": exists,
    "points": lambda n: {"so": {"then": [{"block": "pbb.action.give_points", "params": {"points": n}}]}},
    "percent": lambda n: {"so": {"then": [{"block": "pbb.action.order_percent_off", "params": {"percent": n}}]}},
    "window": lambda n: exists({"block": "pbb.resource.behaviour_count", "params": {"action": "a", "window_s": n}}),
}


@pytest.mark.parametrize("number", HUGE, ids=["400", "-400", "5000", "inf", "-inf", "nan"])
@pytest.mark.parametrize("place", NUMERIC)
def test_numbers_out_of_range_are_refused(place: str, number: Any) -> None:
    """A rule carries finite numbers with a float beside them; as text, neither 1e400 nor NaN is one."""
    refused_everywhere(NUMERIC[place](number), "type")
    digits = sys.get_int_max_str_digits()
    for text in ("1e400", "-1e400", "NaN", "Infinity", "-Infinity", "9" * 400, "9" * (digits + 1)):
        said = json.dumps(NUMERIC[place](12321)).replace("12321", text)
        refused(partial(loads, said), "type", "json")


@pytest.mark.parametrize("number", HUGE, ids=["400", "-400", "5000", "inf", "-inf", "nan"])
def test_facts_out_of_range_are_unknown(number: Any) -> None:
    """They compare with nothing, count for nothing, and are told in words that JSON can carry."""
    line = {"item_id": "1", "price_minor": 1}
    facts = {
        "user": {"level": number},
        "order": {"lines": [{**line, "price_minor": number}, {**line, "quantity": number}]},
    }
    amount = {"block": "pbb.resource.order_amount", "params": {}}
    quantity = {"block": "pbb.resource.order_quantity", "params": {}}
    for value in (attribute("level"), amount, quantity):
        for name in ("amount_at_least", "amount_more_than", "amount_below"):
            rule = {"block": f"pbb.condition.{name}", "params": {"amount": value, "amount_at": 1}}
            assert calculate(rule, facts).status == "unknown"
            assert disagreement(rule, facts) is None
            json.dumps(explain(rule, facts).to_json(), allow_nan=False)


def test_sums_out_of_range_are_unknown() -> None:
    """Each line may be in range and their sum not."""
    lines = [{"price_minor": 10**308, "quantity": 10**200}, {"price_minor": 10**308, "quantity": 0.5}]
    for chosen in (lines, lines[:1], lines[1:] * 9):
        rule = {
            "block": "pbb.condition.amount_at_least",
            "params": {"amount": {"block": "pbb.resource.order_amount"}, "amount_at": 1},
        }
        assert disagreement(rule, {"order": {"lines": chosen}}) is None
        json.dumps(calculate({"not": rule}, {"order": {"lines": chosen}}).to_json(), allow_nan=False)


CODE = (
    "__import__('builtins').owned.append(1)",
    "');__import__('builtins').owned.append(1)#",
    '");__import__("builtins").owned.append(1)#',
    "\n__import__('builtins').owned.append(1)\n",
    "{__import__('builtins').owned.append(1)}",
    "{0.__class__.__mro__}",
    "{value!r:>1000000}",
    "%(x)s%n",
    "__class__",
    "__builtins__",
    "facts",
    "None",
    "lambda: 0",
    "'''",
    '"""',
    "\\",
    "\\N{BULLET}",
    "\0",
    "\r\n\t\x0b\u2028\u2029",
    "\ud800",
    "\udcff\U0010ffff",
    "\ufb00\uff3f",
    "日本 🎉",
    "../../etc/passwd",
    "/~0~1",
    "-- ; DROP TABLE rule",
)


def with_code(text: str) -> Iterator[Json]:
    """Rules with the text wherever a rule has text."""
    yield equals(attribute(text), text)
    yield {"block": "pbb.condition.in_set", "params": {"value": text, "values": [text, "a"]}}
    yield {"block": "pbb.condition.contains", "params": {"value": attribute(text, "event"), "text": text}}
    yield {"block": "pbb.condition.has_member", "params": {"value": [text], "member": text}}
    counted = {"action": text, "window_s": 60, "item_id": text, "category": text, "item_set": text}
    for name, params in (
        ("behaviour_count", counted),
        ("seconds_since", {"action": text}),
        ("order_amount", {"sales_channel": text}),
        ("item_amount", {"item_id": text}),
        ("sku_quantity", {"sku": text}),
        ("category_quantity", {"category": text}),
    ):
        amount = {"block": f"pbb.resource.{name}", "params": params}
        yield {"block": "pbb.condition.amount_at_least", "params": {"amount": amount, "amount_at": 1}}
    given: list[Json] = [
        {"block": "pbb.action.send_coupon", "params": {"benefit": text}},
        {"block": "pbb.action.item_promotion_price", "params": {"item_id": text, "price_minor": 1, "out_biz_id": text}},
    ]
    yield {"so": {"then": given}}
    step = {"so": {"when": equals(attribute(text), text), "then": given}}
    yield {"tiers": {"mode": "highest", "steps": [step, step]}}


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Not empty once any of the texts was executed."""
    found: list[int] = []
    monkeypatch.setattr(builtins, "owned", found, raising=False)
    return found


@pytest.mark.parametrize("text", CODE, ids=ascii)
def test_text_that_looks_like_code_is_text(text: str, owned: list[int]) -> None:
    """As an id, a name, a constant or a fact it goes through the codec unchanged, means itself, and is never executed."""
    line = {"item_id": text, "sku": text, "category": [text], "sales_channel": text, "price_minor": 5}
    done = {"action": text, "at": "2024-01-01T00:00:00Z", "item_id": text, "category": text, "item_sets": [text]}
    facts = {
        "user": {text: text},
        "event": {text: text},
        "order": {"lines": [line], "currency": text},
        "behaviours": [done],
        "now": "2024-01-01T00:00:30Z",
        "scene": text,
    }
    for rule in with_code(text):
        parsed = parse(rule)
        assert parsed.to_json() == rule
        assert loads(dumps(parsed)) == loads(json.dumps(rule)) == parsed
        for seen in (facts, {}):
            assert disagreement(rule, seen) is None
            answer = explain(parsed, seen)
            json.dumps(answer.to_json())
            list(answer.lines())
        assert calculate(parsed, facts).matched
        calculate(parsed, {**facts, "timezone": text, "now": text}, item_id=text)
        needs(parsed)
    assert not owned


@pytest.mark.parametrize("text", CODE, ids=ascii)
def test_text_that_looks_like_code_is_no_block_and_no_key(text: str, owned: list[int]) -> None:
    """An unknown block, an unknown key, an open alias or a wrong mode of such a name is refused, by its name."""
    then = [POINTS]
    refused_everywhere({"block": text, "params": {}}, "unknown_block")
    refused_everywhere({"block": "pbb.condition.exists", "params": {"value": 1, text: text}}, "unknown_param")
    refused_everywhere({"so": {"then": then}, text: text}, "form")
    refused_everywhere({"tiers": {"mode": text, "steps": [{"so": {"then": then}}]}}, "form")
    opened = parse(equals(attribute("level"), {"alias": text}))
    assert aliases(opened) == {text}
    assert calculate(opened, {}).status == "invalid"
    bound = bind(opened, {text: text})
    assert calculate(bound, {"user": {"level": text}}).matched
    assert not owned


def paths(node: Any) -> Iterator[tuple[Any, ...]]:
    yield ()
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from ((key, *rest) for rest in paths(value))


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = list(node) if isinstance(node, list) else dict(node)
    changed[path[0]] = put(node[path[0]], path[1:], value)
    return changed


WHOLE: Json = {
    "tiers": {
        "mode": "first",
        "steps": [
            {
                "so": {
                    "when": {
                        "and": [
                            {
                                "block": "pbb.condition.amount_at_least",
                                "params": {
                                    "amount": {"block": "pbb.resource.item_amount", "params": {"item_id": "1"}},
                                    "amount_at": 10,
                                    "enable_multiple": True,
                                    "max_multiple": 3,
                                },
                            },
                            {"not": {"or": [equals(attribute("segment"), "blocked")]}},
                        ]
                    },
                    "then": [
                        {
                            "block": "pbb.action.item_percent_off",
                            "params": {"item_id": "1", "percent": 5, "base": "original"},
                        }
                    ],
                }
            }
        ],
    }
}


@pytest.mark.parametrize("path", list(paths(WHOLE)), ids=lambda path: "/".join(map(str, path)) or "rule")
def test_a_wrong_type_anywhere_is_refused_or_means_what_it_says(path: tuple[Any, ...]) -> None:
    """Whatever stands in any place of a rule: `check`, `parse` and `calculate` agree whether that is one."""
    facts = {"user": {"segment": "gold"}, "order": {"lines": [{"item_id": "1", "price_minor": 50}]}}
    for value in (*WRONG_JSON, *WRONG_PYTHON, 10**5000, object(), "__import__('os')", exists(1), WHOLE, POINTS):
        rule = put(WHOLE, path, value)
        try:
            parsed = parse(rule)
        except RuleError as error:
            told = {(one["path"], one["code"]) for one in check(rule, open_aliases=True)["problems"]}
            agreed = {(one.path, one.code) for one in error.problems} <= told
            agreed = agreed and calculate(rule, facts).status == ("null_rule" if rule is None else "invalid")
        else:
            agreed = parse(parsed.to_json()) == parsed and disagreement(parsed.to_json(), facts) is None
        assert agreed, value


@pytest.mark.parametrize(
    "rule",
    [*WRONG_JSON, *WRONG_PYTHON, object(), Registry(), int, lambda: 0],
    ids=lambda one: ascii(one).partition(" at 0x")[0][:30],
)
def test_what_is_no_rule_at_all_is_told_so(rule: Any) -> None:
    """Objects of any type are answered, never raised at."""
    assert not check(rule)["ok"]
    assert (
        calculate(rule, {}).status
        == explain(rule, {}).evaluation.status
        == ("null_rule" if rule is None else "invalid")
    )
    refused(lambda: parse(rule))
    refused(lambda: price({"lines": []}, [rule]))
    if not isinstance(rule, (str, bytes)):
        assert calculate(exists(1), rule).matched
