"""What may be left out: leaving it out is the same as saying its default."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.rules import calculate
from tests.rules.rules_at_random import Json, facts, orders, rules
from tests.rules.test_rule_laws import ALWAYS

ITEM_RESOURCES = ["item_amount", "item_quantity", "no_batch_item_quantity"]
ITEM_ACTIONS: dict[str, Json] = {
    "item_promotion_price": {"price_minor": 5},
    "item_amount_off": {"amount_minor": 5},
    "item_percent_off": {"percent": 5},
}


def answer(rule: Json, facts: Any, item_id: str | None = None) -> tuple[str, list[Json]]:
    evaluation = calculate(rule, facts, item_id=item_id)
    return evaluation.status, list(evaluation.effects)


def without(node: Any, dropped: Any) -> Any:
    """The rule without the fields that say their default."""
    if isinstance(node, dict):
        return {key: without(value, dropped) for key, value in node.items() if not dropped(key, value)}
    return [without(one, dropped) for one in node] if isinstance(node, list) else node


@given(rules(), facts())
def test_what_says_its_default_may_go(rule: Json, facts: Any) -> None:
    """`highest`, no parameters, and `enable_multiple` of false are what is meant where nothing is said."""
    bare = without(
        rule,
        lambda key, value: (
            (key, value) in [("mode", "highest"), ("params", {})] or (key == "enable_multiple" and value is False)
        ),
    )
    assert answer(bare, facts) == answer(rule, facts)


@given(rules(6), facts())
def test_a_so_without_condition_is_one_that_always_holds(rule: Json, facts: Any) -> None:
    """Leaving `when` out is saying something that holds for everybody."""
    if "so" in rule:
        then = rule["so"]["then"]
        assert answer({"so": {"then": then}}, facts) == answer({"so": {"when": ALWAYS, "then": then}}, facts)


@pytest.mark.parametrize("name", ITEM_RESOURCES)
@given(order=orders(), item_id=st.sampled_from(["1", "2", "7"]), least=st.sampled_from([1, 3, 100]))
def test_an_item_left_out_is_the_current_one(name: str, order: Any, item_id: str, least: int) -> None:
    """Evaluated per item, item resources mean the current item as if it were named."""

    def asked(**params: str) -> Json:
        amount = {"block": f"pbb.resource.{name}", "params": params}
        return {"block": "pbb.condition.amount_at_least", "params": {"amount": amount, "amount_at": least}}

    facts = {"order": order}
    assert answer(asked(), facts, item_id) == answer(asked(item_id=item_id), facts)
    assert answer(asked(item_id=item_id), facts, "another") == answer(asked(item_id=item_id), facts)


@pytest.mark.parametrize("name", ITEM_ACTIONS)
def test_an_item_action_is_for_the_current_item(name: str) -> None:
    """As if it were named; one that names an item keeps it."""

    def rule(**params: str) -> Json:
        return {"so": {"then": [{"block": f"pbb.action.{name}", "params": {**ITEM_ACTIONS[name], **params}}]}}

    assert answer(rule(), {}, "7") == answer(rule(item_id="7"), {})
    assert answer(rule(item_id="8"), {}, "7") == answer(rule(item_id="8"), {})


def spelled_out(line: Any) -> Any:
    if not isinstance(line, dict):
        return line
    return {"quantity": 1, "batch": None, "item_id": None, "sku": None, "category": None, "sales_channel": None, **line}


@given(rules(6), facts())
def test_facts_that_are_left_out_have_their_defaults(rule: Json, facts: Any) -> None:
    """A line without `quantity` has one piece, without `batch` it is of none; without a time zone it is UTC."""
    if not isinstance(facts, dict):
        return
    whole = {"timezone": "UTC", **facts}
    order = facts.get("order")
    if isinstance(order, dict) and isinstance(order.get("lines"), list):
        whole["order"] = {**order, "lines": [spelled_out(line) for line in order["lines"]]}
    assert answer(rule, whole) == answer(rule, facts)


@given(
    rules(6), facts(), st.sampled_from(["user", "event", "order", "behaviours", "now", "timezone", "scene", "items"])
)
def test_null_is_the_same_as_absent(rule: Json, facts: Any, section: str) -> None:
    """A part of the facts that is null is not there."""
    if isinstance(facts, dict):
        absent = {key: value for key, value in facts.items() if key != section}
        assert answer(rule, {**facts, section: None}) == answer(rule, absent)


@given(rules(6), facts(), st.dictionaries(st.sampled_from(["a", "currency", "weather"]), st.none() | st.integers()))
def test_facts_that_no_block_reads_change_nothing(rule: Json, facts: Any, more: Json) -> None:
    """Whatever else a caller sends along."""
    if isinstance(facts, dict):
        assert answer(rule, {**facts, **more}) == answer(rule, facts)
