"""An evaluation changes nothing, and its answer belongs to the caller alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tactics.rules import calculate, dumps, explain, parse
from tests.rules.rules_at_random import Json, facts, item_ids, rules
from tests.rules.test_rule_laws import ALWAYS


def snapshot(value: Any) -> str:
    """Everything that can be seen of it, types included."""
    return repr(value)


def spoilt(value: Any) -> None:
    """Change whatever of it can be changed, all the way down."""
    if isinstance(value, dict):
        for part in list(value.values()):
            spoilt(part)
        value.clear()
        value["spoilt"] = True
    elif isinstance(value, list):
        for part in value:
            spoilt(part)
        value[:] = ["spoilt"]
    elif isinstance(value, tuple):
        for part in value:
            spoilt(part)


@given(rules(), facts(), item_ids())
def test_an_evaluation_changes_neither_facts_nor_rule(rule: Json, facts: Any, item_id: str | None) -> None:
    """JSON data, the built rule and the facts are afterwards as they were before."""
    parsed = parse(rule)
    before = snapshot((rule, facts, dumps(parsed)))
    for evaluate in (calculate, explain):
        evaluate(parsed, facts, item_id=item_id).to_json()
        evaluate(rule, facts, item_id=item_id).to_json()
    assert snapshot((rule, facts, dumps(parsed))) == before


@given(rules(), facts(), item_ids())
def test_an_answer_belongs_to_its_caller(rule: Json, facts: Any, item_id: str | None) -> None:
    """Whatever is done to one answer, its effects and its reasons: no other answer changes, nor do rule and facts."""
    parsed = parse(rule)
    kept = calculate(parsed, facts, item_id=item_id)
    before = snapshot((kept.to_json(), rule, dumps(parsed), facts))
    one = calculate(parsed, facts, item_id=item_id)
    spoilt(one.to_json())
    spoilt(one.effects)
    spoilt([reason.details for reason in one.reasons])
    spoilt(explain(parsed, facts, item_id=item_id).to_json())
    assert snapshot((kept.to_json(), rule, dumps(parsed), facts)) == before
    assert snapshot(calculate(parsed, facts, item_id=item_id).to_json()) == snapshot(kept.to_json())


def test_a_list_among_the_facts_is_not_handed_out() -> None:
    """What an answer says was found is a copy."""
    facts: Json = {"user": {"tags": ["a"]}}
    attribute = {"block": "pbb.resource.user_attribute", "params": {"name": "tags"}}
    rule = parse({"block": "pbb.condition.has_member", "params": {"value": attribute, "member": "b"}})
    found = calculate(rule, facts).reasons[0].details["found"]
    assert found == ["a"]
    spoilt(found)
    assert facts == {"user": {"tags": ["a"]}}


@settings(max_examples=30)
@given(st.lists(rules(6), min_size=1, max_size=4), st.lists(facts(), min_size=1, max_size=4))
def test_threads_answer_as_one_does(several: list[Json], many: list[Any]) -> None:
    """Threads that evaluate the same rules over different facts at once each get the answer that one alone gets."""
    parsed = [parse(rule) for rule in several]
    pairs = [(rule, facts) for rule in parsed for facts in many] * 8
    alone = [snapshot(calculate(rule, facts).to_json()) for rule, facts in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: snapshot(calculate(*pair).to_json()), pairs))
    assert together == alone


def test_a_rule_built_from_data_does_not_change_with_it() -> None:
    """`parse` copies: what is done to the data later is none of the rule's business."""
    data: Json = {"block": "pbb.condition.in_set", "params": {"value": 1, "values": [1, 2]}}
    both: Json = {"and": [data, ALWAYS]}
    rule = parse(both)
    before = dumps(rule)
    data["params"]["values"].append(3)
    both["and"].clear()
    assert dumps(rule) == before
    assert calculate(rule, {}).matched
