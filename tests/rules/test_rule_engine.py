"""Statuses, ladders, effects and independence of evaluations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tactics import rules
from tactics.rules import Alias, Block, Builder, Facts, Registry, calculate, default_registry, resource, so, tiers
from tactics.rules.engine import Evaluation
from tactics.rules.parameter import anything
from tactics.rules.tree import Mode

FLAG = {name: rules.equals(rules.event_attribute(name), True) for name in "abc"}
LADDER = [so(FLAG[name], rules.send_coupon(name)) for name in "abc"]


def given_benefits(answer: Evaluation) -> list[str]:
    return [effect["params"]["benefit"] for effect in answer.effects]


def test_no_rule_no_block_and_no_match_are_three_answers() -> None:
    """A null rule, a rule with a missing block and a rule that does not match are told apart."""
    nothing = {"block": "acme.condition.gone", "params": {}}
    answers = [calculate(rule, {}) for rule in (None, nothing, ~rules.exists(1))]
    assert [answer.status for answer in answers] == ["null_rule", "invalid", "not_matched"]
    assert [answer.reasons[0].code for answer in answers] == ["null_rule", "unknown_block", "excluded"]
    assert not any(answer.matched or answer.effects for answer in answers)


def test_an_unbound_parameter_or_a_hand_made_wrong_node_is_invalid() -> None:
    """What `check` would refuse is never evaluated, however the rule was made."""
    open_rule = rules.amount_at_least(rules.order_amount(), Alias("least"))
    by_hand = Block("pbb.condition.amount_at_least", {"amount": True, "amount_at": 0})
    assert calculate(open_rule, {}).to_json()["reasons"] == [
        {
            "path": "/params/amount_at",
            "block": None,
            "code": "unbound_alias",
            "text": 'the open parameter "least" has no value yet',
        }
    ]
    assert [reason.path for reason in calculate(by_hand, {}).reasons] == ["/params/amount", "/params/amount_at"]


def test_a_rule_and_its_json_give_the_same_answer() -> None:
    """`calculate` takes a built rule or JSON data."""
    rule = so(FLAG["a"] & ~FLAG["b"], rules.gift("7", 2), rules.give_points(5))
    facts = {"event": {"a": True, "b": False}}
    assert calculate(rule, facts).to_json() == calculate(rules.to_json(rule), facts).to_json()
    assert [effect["block"] for effect in calculate(rule, facts).effects] == [
        "pbb.action.gift",
        "pbb.action.give_points",
    ]


def test_a_so_without_condition_always_matches() -> None:
    """Actions alone are given to everybody, once."""
    assert calculate(so(rules.give_points(5)), None).to_json() == {
        "status": "matched",
        "matched": True,
        "effects": [{"block": "pbb.action.give_points", "params": {"points": 5}, "times": 1}],
        "reasons": [],
    }


# Facts as one letter for each step: + holds, - does not, ? unknown.
WINNERS: list[tuple[Mode, str, str, list[str]]] = [
    ("highest", "+++", "c", []),
    ("highest", "++-", "b", []),
    ("highest", "+-?", "a", ["/tiers/steps/2/so/when"]),
    ("highest", "?+-", "b", []),
    ("first", "+++", "a", []),
    ("first", "-++", "b", []),
    ("first", "?-+", "c", ["/tiers/steps/0/so/when"]),
    ("first", "+?-", "a", []),
    ("all", "+++", "abc", []),
    ("all", "+?+", "ac", ["/tiers/steps/1/so/when"]),
    ("all", "--+", "c", []),
]


@pytest.mark.parametrize(("mode", "states", "winners", "skipped"), WINNERS)
def test_a_ladder_gives_what_its_mode_says(mode: Mode, states: str, winners: str, skipped: list[str]) -> None:
    """Highest is the last listed step that holds, first the first, all every one; unknown ones are skipped, reported."""
    values = {name: state == "+" for name, state in zip("abc", states, strict=True) if state != "?"}
    answer = calculate(tiers(*LADDER, mode=mode), {"event": values})
    assert answer.status == "matched"
    assert given_benefits(answer) == list(winners)
    assert [reason.path for reason in answer.reasons] == skipped


@pytest.mark.parametrize("mode", ["highest", "first", "all"])
@pytest.mark.parametrize(("states", "status"), [("---", "not_matched"), ("-?-", "unknown"), ("???", "unknown")])
def test_a_ladder_without_a_step_that_holds_is_unknown_if_one_is(mode: Mode, states: str, status: str) -> None:
    """None holds: unknown when any step is, else not matched, with the reasons of every step."""
    values = {name: False for name, state in zip("abc", states, strict=True) if state == "-"}
    answer = calculate(tiers(*LADDER, mode=mode), {"event": values})
    assert (answer.status, answer.effects) == (status, ())
    assert [reason.path for reason in answer.reasons] == [f"/tiers/steps/{n}/so/when" for n in range(3)]


def test_each_step_has_its_own_multiplicity() -> None:
    """In a ladder, `times` is that of the step."""
    amount = rules.order_amount()
    steps = [so(rules.amount_at_least(amount, n, enable_multiple=True), rules.give_points(n)) for n in (100, 200)]
    facts = {"order": {"lines": [{"price_minor": 450}]}}
    assert [effect["times"] for effect in calculate(tiers(*steps, mode="all"), facts).effects] == [4, 2]
    assert [effect["times"] for effect in calculate(tiers(*steps), facts).effects] == [2]


def test_effects_carry_values_never_blocks() -> None:
    """A resource as an action's parameter is resolved; when it cannot be, the answer is unknown, not a guess."""
    rule = so(rules.give_points(rules.order_amount(), benefit="p"))
    facts = {"order": {"lines": [{"price_minor": 700}]}}
    assert calculate(rule, facts).effects[0]["params"] == {"points": 700, "benefit": "p"}
    unknown = calculate(rule, {})
    assert (unknown.status, unknown.effects, unknown.reasons[0].path) == ("unknown", (), "/so/then/0")
    half = {"order": {"lines": [{"price_minor": 1, "quantity": 0.5}]}}
    assert (calculate(rule, half).status, calculate(rule, half).reasons[0].code) == ("unknown", "wrong_type")


def test_actions_without_a_selector_mean_the_current_item() -> None:
    """Evaluated per item, an item action that names nothing is for the current item; others are left as they are."""
    actions = [
        rules.item_promotion_price(price_minor=5),
        rules.item_percent_off(sku="s", percent=5),
        rules.give_points(1),
    ]
    effects = calculate(so(*actions), {}, item_id="7").effects
    assert [effect["params"].get("item_id") for effect in effects] == ["7", None, None]
    assert "item_id" not in calculate(so(*actions), {}).effects[0]["params"]


def test_every_failing_condition_is_a_reason_and_only_those() -> None:
    """An operator sees everything that stands in the way, and nothing that does not."""
    rule = so(FLAG["a"] & FLAG["b"] & ~FLAG["c"], rules.give_points(1))
    answer = calculate(rule, {"event": {"a": False, "b": True, "c": True}})
    assert [(reason.path, reason.code) for reason in answer.reasons] == [
        ("/so/when/and/0", "not_met"),
        ("/so/when/and/2/not", "excluded"),
    ]


def two(facts: Facts) -> object:
    return 2


def own_blocks(calls: list[object]) -> tuple[Registry, Builder]:
    @resource(
        "acme.resource.level",
        "The level",
        words="the level",
        gives="number",
        reads=("user",),
        scenes={"cart": two},
    )
    def level(facts: Facts) -> object:
        calls.append(facts)
        found = facts.raw.get("level", 1)
        if found == "boom":
            raise RuntimeError("boom")
        return found

    return Registry([*default_registry, level]), level


def test_scenes_have_their_own_variant_or_the_default() -> None:
    """A block computes as its scene says; where there is no variant for the scene, its default serves."""
    registry, level = own_blocks([])
    rule = rules.equals(level(), 2)
    scenes: list[object] = ["cart", "detail", None, []]
    assert [calculate(rule, {"scene": scene}, registry).matched for scene in scenes] == [
        True,
        False,
        False,
        False,
    ]
    registry.add_scene("acme.resource.level", "detail", two)
    assert calculate(rule, {"scene": "detail"}, registry).matched
    assert calculate(rule, {"scene": "detail"}).status == "invalid"


def test_a_resource_is_computed_at_most_once_and_only_when_needed() -> None:
    """Blocks that say the same share one computation per evaluation; a decided `and` computes no further."""
    calls: list[object] = []
    registry, level = own_blocks(calls)
    rule = so(rules.amount_at_least(level(), 1) & rules.amount_below(level(), 5), rules.give_points(level()))
    assert calculate(rule, {}, registry).matched
    assert len(calls) == 1
    assert calculate(rule, {"level": 3}, registry).effects[0]["params"] == {"points": 3}
    assert len(calls) == 2
    assert calculate(rules.exists(1) | rules.equals(level(), 1), {}, registry).matched
    assert len(calls) == 2


@pytest.mark.parametrize("found", ["boom", None, float("nan"), "text"])
def test_a_block_that_fails_leaves_the_answer_unknown(found: object) -> None:
    """A plugin's resource that raises, or gives no number, never raises at the caller."""
    registry, level = own_blocks([])
    answer = calculate(rules.amount_at_least(level(), 1), {"level": found}, registry)
    assert answer.status == "unknown"
    assert "level" in answer.reasons[0].text


@pytest.mark.parametrize(
    ("found", "status"), [(2, "unknown"), ("yes", "unknown"), (None, "unknown"), (True, "matched")]
)
def test_a_condition_has_to_answer_with_a_truth_value(found: object, status: str) -> None:
    """A plugin's condition that answers anything else is unknown, and so is a number of times it did not declare."""

    @rules.condition("acme.condition.odd", "Odd", {"value": anything("any")}, words="odd", subject="value")
    def odd(value: object) -> object:
        return found

    assert calculate(odd(1), {}, Registry([odd])).status == status


def test_evaluations_are_independent() -> None:
    """Threads that evaluate one rule over different facts never see each other's values; facts stay as they were."""
    rule = so(
        rules.amount_at_least(rules.order_quantity(), 5, enable_multiple=True),
        rules.give_points(rules.order_quantity()),
    )

    def one(pieces: int) -> bool:
        facts = {"order": {"lines": [{"quantity": pieces}]}}
        answer = calculate(rule, facts)
        points = [(effect["params"]["points"], effect["times"]) for effect in answer.effects]
        return facts == {"order": {"lines": [{"quantity": pieces}]}} and points == (
            [(pieces, pieces // 5)] if pieces >= 5 else []
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, list(range(40)) * 25))


def test_an_answer_may_be_changed_without_harm() -> None:
    """Changing what `to_json` gave changes neither the rule nor later answers."""
    rule = so(rules.in_set(1, [1, 2]), rules.give_points(5))
    first = calculate(rule, {}).to_json()
    first["effects"][0]["params"]["points"] = 999
    assert calculate(rule, {}).to_json()["effects"][0]["params"] == {"points": 5}
