"""Open parameters: a rule with its aliases bound is the rule with values in their places."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tactics.rules import RuleError, aliases, bind, calculate, check, parse, to_json
from tests.rules.agreement import disagreement
from tests.rules.rules_at_random import Json, conditions, facts, item_ids, open_rules, rules

Open = tuple[Json, Json, Json]


@given(open_rules(), facts(), item_ids())
def test_a_bound_rule_is_the_rule_with_its_values(drawn: Open, facts: Any, item_id: str | None) -> None:
    """It is equal to it, answers the same, and the open rule is as open as before."""
    opened, values, closed = drawn
    rule = parse(opened)
    bound = bind(rule, values)
    assert bound == parse(closed)
    assert disagreement(to_json(bound), facts, item_id) is None
    assert to_json(rule) == opened
    assert aliases(rule) == values.keys()
    assert aliases(bound) == set()


@given(open_rules(), st.randoms(use_true_random=False))
def test_parameters_may_be_bound_one_after_the_other(drawn: Open, random: Any) -> None:
    """In any order, or all at once; what is not bound stays open."""
    opened, values, closed = drawn
    names = random.sample(sorted(values), len(values))
    rule = parse(opened)
    for done, name in enumerate(names):
        rule = bind(rule, {name: values[name]})
        assert aliases(rule) == set(names[done + 1 :])
    assert rule == parse(closed)


@given(open_rules(), facts())
def test_an_open_rule_is_never_evaluated(drawn: Open, facts: Any) -> None:
    """With an alias left open the answer is `invalid`, with a reason for each place, and no effects."""
    opened, values, _ = drawn
    assume(values)
    answer = calculate(opened, facts)
    assert (answer.status, answer.effects) == ("invalid", ())
    assert {reason.code for reason in answer.reasons} == {"unbound_alias"}
    assert len(answer.reasons) == str(opened).count("'alias'")
    formal = [one["code"] for one in check(opened, open_aliases=True)["problems"] if one["severity"] == "error"]
    assert "unbound_alias" not in formal


@given(open_rules(), st.sampled_from(["nobody", "", "open_99"]))
def test_a_name_that_is_not_open_is_refused(drawn: Open, name: str) -> None:
    """A value for an alias that the rule does not have is a mistake, not a value for nobody."""
    opened, values, _ = drawn
    with pytest.raises(RuleError) as caught:
        bind(parse(opened), {**values, name: 1})
    assert [(one.path, one.code) for one in caught.value.problems] == [(f"/{name}", "unknown_alias")]


@given(conditions(3) | rules(3))
def test_only_values_can_be_bound(part: Json) -> None:
    """Neither a condition nor a whole rule can be smuggled in as a parameter's value."""
    opened = parse({"block": "pbb.condition.exists", "params": {"value": {"alias": "open"}}})
    with pytest.raises(RuleError):
        bind(opened, {"open": part})
