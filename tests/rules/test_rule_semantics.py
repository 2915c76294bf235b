"""The engine says what a slow and plain evaluation says, of any rule over any facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tactics.rules import Registry, calculate, check, default_registry, dumps, loads, parse, to_json
from tests.rules.agreement import disagreement, registry_of
from tests.rules.plain_rule import Variants, plain_answer
from tests.rules.rules_at_random import Json, conditions, facts, item_ids, resources, rules, single_conditions
from tests.rules.test_rule_rubbish import ANY_FACTS

many = settings(max_examples=200)


@many
@given(rules(), facts(), item_ids())
def test_the_engine_says_what_the_plain_evaluation_says(rule: Json, facts: Any, item_id: str | None) -> None:
    """Status, effects with their times, and the steps that were skipped as unknown."""
    assert disagreement(rule, facts, item_id) is None


@settings(max_examples=400)
@given(single_conditions(), facts(), item_ids())
def test_they_agree_on_every_single_condition(condition: Json, facts: Any, item_id: str | None) -> None:
    """Each alone, where no other hides what it says."""
    assert disagreement(condition, facts, item_id) is None


@settings(max_examples=100)
@given(rules(), ANY_FACTS)
def test_they_agree_on_facts_of_any_shape(rule: Json, facts: Any) -> None:
    """Also on facts that nobody would call facts."""
    assert disagreement(rule, facts) is None


@given(resources(), facts(), item_ids())
def test_they_agree_on_every_value(resource: Json, facts: Any, item_id: str | None) -> None:
    """A resource gives the same value to both, as its being given away as the points of an action shows."""
    points = {"block": "pbb.action.give_points", "params": {"points": resource}}
    coupon = {"block": "pbb.action.send_coupon", "params": {"benefit": resource}}
    for action in (points, coupon):
        rule = {"so": {"then": [action]}}
        if check(rule)["ok"]:
            assert disagreement(rule, facts, item_id) is None
    exists = {"block": "pbb.condition.exists", "params": {"value": resource}}
    assert disagreement(exists, facts, item_id) is None


def test_no_rule_is_told_from_a_rule_that_does_not_match() -> None:
    """Both say `null_rule`, with no effects."""
    answer = calculate(None, {})
    assert (answer.status, answer.effects) == (plain_answer(None, {}).status, ())
    assert not answer.matched


@many
@given(rules(), facts(), item_ids())
def test_reasons_point_into_the_rule(rule: Json, facts: Any, item_id: str | None) -> None:
    """A rule that does not hold says why; each reason's path leads to the block it names; it is told in a sentence."""
    answer = calculate(rule, facts, item_id=item_id)
    assert answer.matched or answer.reasons
    for reason in answer.reasons:
        at: Any = rule
        for step in reason.path.split("/")[1:]:
            at = at[int(step) if isinstance(at, list) else step]
        assert at["block"] == reason.block
        assert reason.text


@given(rules(), facts(), item_ids())
def test_the_codec_changes_no_answer(rule: Json, facts: Any, item_id: str | None) -> None:
    """Through text and back, a rule is equal to itself, and answers the same."""
    parsed = parse(rule)
    assert to_json(parsed) == rule
    again = loads(dumps(parsed))
    assert again == parsed
    assert dumps(again) == dumps(parsed)
    answers = [calculate(one, facts, item_id=item_id).to_json() for one in (rule, parsed, again)]
    assert repr(answers[0]) == repr(answers[1])
    assert answers[1]["status"] == answers[2]["status"]
    assert answers[1]["effects"] == answers[2]["effects"]


def always(value: Any) -> Any:
    """A variant that looks at nothing."""
    return lambda *_, **__: value


VARIANTS: Variants = {
    "pbb.resource.order_amount": {"cart": always(100), "detail": always(None)},
    "pbb.resource.item_quantity": {"detail": lambda _, item_id=None: 0.5 if item_id == "7" else float("nan")},
    "pbb.resource.user_attribute": {"cart": lambda _, name: name},
    "pbb.condition.exists": {"cart": lambda value: not isinstance(value, str)},
    "pbb.condition.within": {"detail": lambda **params: "from" in params},
    "pbb.condition.amount_at_least": {"detail": always(3)},
}


@pytest.fixture(scope="module")
def by_scene() -> Registry:
    """The standard blocks with variants for two scenes."""
    return registry_of(VARIANTS, default_registry)


@many
@given(rule=rules(), drawn=facts(), scene=st.sampled_from(["cart", "detail", "nowhere", "", None, 5]))
def test_blocks_compute_as_the_scene_says(by_scene: Registry, rule: Json, drawn: Any, scene: Any) -> None:
    """A block with a variant for the scene uses it; all others, and all in a scene without variants, their default."""
    shown = {**drawn, "scene": scene} if isinstance(drawn, dict) else drawn
    assert disagreement(rule, shown, None, by_scene, VARIANTS) is None
    if scene not in ("cart", "detail") and isinstance(drawn, dict):
        assert calculate(rule, shown, by_scene).effects == calculate(rule, shown).effects


@given(st.lists(conditions(4), min_size=1, max_size=6), st.lists(facts(), min_size=2, max_size=4))
def test_a_rule_that_is_used_again_answers_as_if_it_were_new(parts: list[Json], several: list[Any]) -> None:
    """What one evaluation worked out is never seen by the next."""
    rule = parse({"or": parts})
    used = [calculate(rule, one).to_json() for one in [*several, *reversed(several)]]
    fresh = [calculate({"or": parts}, one).to_json() for one in several]
    assert repr(used) == repr([*fresh, *reversed(fresh)])


def test_random_rules_use_every_standard_block() -> None:
    """A standard block that joins the engine has to join the plain evaluation and the random rules."""
    seen: set[str] = set()

    @settings(max_examples=400, derandomize=True, database=None)
    @given(rules())
    def draw(rule: Json) -> None:
        seen.update(blocks_in(rule))

    draw()
    assert seen == {definition.id for definition in default_registry}


def blocks_in(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "block" in node:
            yield node["block"]
        for part in node.values():
            yield from blocks_in(part)
    elif isinstance(node, list):
        for part in node:
            yield from blocks_in(part)
