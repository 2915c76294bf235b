"""Plays: what is refused when one is saved, and what filling its form gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics import rules
from tactics.domain.play import Play, parse_play, warnings_of
from tactics.errors import BadInput
from tactics.rules import Alias, Block
from tests.making import play_document


def _paths(error: pytest.ExceptionInfo[BadInput]) -> set[str]:
    return {one["path"] for one in error.value.fields["problems"]}


def _form(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_play_says_the_same_when_it_is_read_again() -> None:
    """What is stored of a play reads back as that play."""
    play = parse_play(play_document())
    assert parse_play({**play.to_json(), "code": play.code}) == play
    assert not play.is_tool


def test_play_without_channels_is_a_tool() -> None:
    """A tool needs no template; empty channels are none."""
    document = play_document(template_type=None, channels={})
    assert parse_play(document).is_tool
    del document["channels"], document["template_type"]
    assert parse_play(document).is_tool


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"parameters": _form(threshold_minor={})}, "/rule/so/then/0/params/benefit"),
        ({"parameters": _form(threshold_minor={}, benefit={}, other={})}, "/parameters/properties/other"),
        ({"parameters": {"type": "objct"}}, "/parameters/type"),
        (
            {"parameters": _form(threshold_minor={"$ref": "http://x/"}, benefit={})},
            "/parameters/properties/threshold_minor/$ref",
        ),
        (
            {"parameters": _form(threshold_minor={"default": "much"}, benefit={})},
            "/parameters/properties/threshold_minor/default",
        ),
        ({"rule": {"so": {"then": [{"block": "no.such"}]}}}, "/rule/so/then/0"),
        ({"rule": {"block": "pbb.action.send_coupon", "params": {"benefit": {"alias": 5}}}}, "/rule"),
        ({"template_type": None}, "/template_type"),
        ({"limits": {"per_user": -1}}, "/limits/per_user"),
        ({"colour": "red"}, "/colour"),
        ({"code": "no spaces"}, "/code"),
    ],
)
def test_play_that_cannot_work_is_refused_at_its_place(changes: dict[str, Any], path: str) -> None:
    """Open parameters that nobody asks for, questions that nothing uses, and what is no form or rule is named by its path."""
    with pytest.raises(BadInput) as raised:
        parse_play(play_document(**changes))
    assert path in _paths(raised)


def test_filled_play_has_its_values_and_defaults() -> None:
    """The rule has every parameter's value where its name stood, and the values tell those that were left out."""
    bound = parse_play(play_document()).bound({"threshold_minor": 700})
    assert bound.parameters == {"threshold_minor": 700, "benefit": "c18"}
    assert bound.rule["so"]["when"]["params"]["amount_at"] == 700
    assert bound.rule["so"]["then"][0]["params"] == {"benefit": "c18"}
    assert rules.check(bound.rule)["ok"]


@pytest.mark.parametrize(
    ("values", "paths"),
    [
        ({}, {"/parameters/threshold_minor"}),
        ({"threshold_minor": 99}, {"/parameters/threshold_minor"}),
        ({"threshold_minor": "100"}, {"/parameters/threshold_minor"}),
        ({"threshold_minor": 100, "threshhold": 1}, {"/parameters/threshhold"}),
        ({"threshold_minor": 100, "benefit": ""}, {"/parameters/benefit"}),
        ({"threshold_minor": 100, "benefit": {"alias": "x"}}, {"/parameters/benefit"}),
        ([1], {"/parameters"}),
        (None, {"/parameters"}),
    ],
)
def test_values_that_do_not_fit_are_named_by_the_parameter(values: object, paths: set[str]) -> None:
    """What the form refuses, and what only the rule's block refuses, is said at the parameter."""
    with pytest.raises(BadInput) as raised:
        parse_play(play_document()).bound(values)
    assert _paths(raised) == paths


def test_value_may_be_a_resource_where_the_form_lets_it() -> None:
    """A block fills a parameter whose schema takes an object; one of the wrong kind is refused at the parameter."""
    form = _form(threshold_minor={"type": "object"}, benefit={"default": "c18"})
    play = parse_play(play_document(parameters=form))
    level = {"block": "pbb.resource.user_attribute", "params": {"name": "level"}}
    assert play.bound({"threshold_minor": level}).rule["so"]["when"]["params"]["amount_at"] == level
    with pytest.raises(BadInput) as raised:
        play.bound({"threshold_minor": {"block": "pbb.action.gift", "params": {"item_id": "7", "quantity": 1}}})
    assert all(path.startswith("/parameters/threshold_minor") for path in _paths(raised))


def test_warnings_are_told_and_refuse_nothing() -> None:
    """A rule that looks wrong and need not be is accepted, with the words of the check."""
    play = parse_play(play_document())
    expected = [one["message"] for one in rules.check(play.rule, open_aliases=True)["problems"]]
    assert [text.split(": ", 1)[1] for text in warnings_of(play)] == expected


def _rule(low: object, high: object, user: object, points: object) -> rules.Rule:
    """Write a rule of every form out by hand; what is handed in is a value, or stands open."""
    amount = rules.order_amount()
    enough: Block = Block("pbb.condition.amount_between", {"amount": amount, "low": low, "high": high}, "condition")  # type: ignore[dict-item]  # what stands open
    vip = Block("pbb.condition.in_set", {"value": rules.user_attribute("level"), "values": user}, "condition")  # type: ignore[dict-item]  # as above
    give = Block("pbb.action.give_points", {"points": points}, "action")  # type: ignore[dict-item]  # as above
    return rules.tiers(rules.so(enough, give), rules.so(enough & ~vip, give, rules.send_coupon("c18")))


@given(
    low=st.integers(0, 50),
    span=st.integers(0, 50),
    levels=st.lists(st.sampled_from(["new", "gold", "silver"]), min_size=1, max_size=3, unique=True),
    points=st.integers(1, 9),
    price=st.integers(0, 120),
    level=st.sampled_from(["new", "gold", None]),
)
def test_filled_rule_is_the_rule_written_by_hand(
    low: int, span: int, levels: list[str], points: int, price: int, level: str | None
) -> None:
    """Filling the form and evaluating gives what the rule with the values written into it gives, whatever the facts."""
    values = {"low": low, "high": low + span, "levels": levels, "points": points}
    names = ("low", "high", "levels", "points")
    play = Play(
        code="p",
        rule=rules.to_json(_rule(*(Alias(name) for name in names))),
        parameters=_form(
            low={"type": "integer"}, high={"type": "integer"}, levels={"type": "array"}, points={"default": 1}
        ),
    )
    filled = play.bound(values).rule
    by_hand = _rule(low, low + span, tuple(levels), points)
    assert filled == rules.to_json(by_hand)
    user = {} if level is None else {"level": level}
    facts = {"user": user, "order": {"lines": [{"item_id": "7", "price_minor": price}]}}
    assert rules.calculate(filled, facts) == rules.calculate(by_hand, facts)
