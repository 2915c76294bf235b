"""Activity documents, and the decisions of the aggregate."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tactics.domain.activity import BehaviourRule, Channels, Expression, parse_activity
from tactics.domain.behaviour_rule import is_rule_document, parse_behaviour_rules
from tactics.domain.plain import MAX_DEPTH, plain_problem
from tactics.errors import BadInput
from tests.making import activity, bought, document, with_coupon

START = datetime(2017, 10, 30, tzinfo=UTC)
END = datetime(2018, 1, 1, tzinfo=UTC)
COUPON = {"block": "pbb.action.send_coupon", "params": {"benefit": "c18"}}


def _problems(given: object) -> list[str]:
    with pytest.raises(BadInput) as raised:
        parse_activity(given)
    return [problem["path"] for problem in raised.value.fields["problems"]]


def test_what_is_left_out_has_its_default() -> None:
    """A short document means: coupon wording, US dollars, UTC, priority 0, no limits, nobody held out."""
    found = activity()
    assert (found.tool_type, found.currency, found.timezone, found.priority) == ("coupon", "USD", "UTC", 0)
    assert (found.limits.per_user, found.limits.per_day, found.limits.budget_minor) == (None, None, None)
    assert (found.holdout_percent, found.lock, found.version) == (0, None, 0)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"code": "a b"}, "/code"),
        ({"code": ""}, "/code"),
        ({"code": 18}, "/code"),
        ({"surprise": 1}, "/surprise"),
        ({"priority": "1"}, "/priority"),
        ({"priority": True}, "/priority"),
        ({"currency": "usd"}, "/currency"),
        ({"timezone": "Mars/Base"}, "/timezone"),
        ({"schedule": {"from": "2018-01-01T00:00:00Z", "to": "2018-01-01T00:00:00Z"}}, "/schedule"),
        ({"schedule": {"from": "2018-01-01T00:00:00", "to": "2018-01-02T00:00:00Z"}}, "/schedule/from"),
        ({"schedule": {"from": "2018-01-01T00:00:00Z"}}, "/schedule/to"),
        ({"channels": {"grant": ["a/b"]}}, "/channels/grant/0"),
        ({"holdout_percent": 101}, "/holdout_percent"),
        ({"limits": {"per_user": -1}}, "/limits/per_user"),
        ({"limits": {"per_day": 1.0}}, "/limits/per_day"),
        ({"limits": {"grants_per_minute": 0}}, "/limits/grants_per_minute"),
        ({"limits": {"cost_per_minute_minor": -1}}, "/limits/cost_per_minute_minor"),
        ({"behaviour_rules": {"b": {"rule": {"and": []}}}}, "/behaviour_rules/b/rule/and"),
        ({"rule": {"so": {"when": {"block": "pbb.condition.nope"}, "then": [COUPON]}}}, "/rule/so/when"),
        ({"benefits": {}}, "/rule"),
        ({"benefits": {"c/18": {"kind": "coupon"}}}, "/benefits/c~118/[key]"),
    ],
)
def test_wrong_part_is_named_by_its_path(changes: dict[str, Any], path: str) -> None:
    """Each wrong part of a document is refused with its JSON Pointer."""
    assert _problems(document(**changes)) == [path]


def test_every_problem_is_named() -> None:
    """A document with several faults is refused with all of them."""
    assert sorted(_problems(document(priority="1", currency="x"))) == ["/currency", "/priority"]
    assert _problems(["no", "mapping"]) == []


@pytest.mark.parametrize(
    ("benefit", "said"),
    [
        ({"kind": "points", "code": "A"}, "only a coupon has codes"),
        ({"kind": "coupon", "code": "A", "codes": ["B"]}, "not both"),
        ({"kind": "coupon", "codes": ["A", "A"]}, "twice"),
        ({"kind": "coupon", "codes": ["A"], "stock": 2}, "stock 2 is more than the 1 codes"),
        ({"kind": "coupon", "stock": -1}, "greater than or equal to 0"),
        ({"kind": "coupon", "validity_s": 0}, "greater than 0"),
        ({"kind": "coupon", "value_minor": 1.5}, "integer"),
        ({"kind": "voucher"}, "coupon"),
        ({"kind": "coupon", "provider": "my wallet"}, "pattern"),
        ({"kind": "coupon", "provider_params": {"pool": 7}}, "are for an outside benefit system"),
        ({"kind": "price", "provider": "wallet"}, "no outside system gives it"),
        ({"kind": "coupon", "provider": "wallet", "code": "A"}, "come from 'wallet'"),
        ({"kind": "coupon", "provider": "wallet", "codes": []}, "come from 'wallet'"),
    ],
)
def test_benefit_that_contradicts_itself(benefit: dict[str, Any], said: str) -> None:
    """A benefit whose members do not go together is refused with a sentence."""
    with pytest.raises(BadInput, match=said):
        activity(benefits={"c18": benefit})


def _giving(*actions: dict[str, Any], **benefits: str) -> dict[str, Any]:
    made = {name: {"kind": name.rstrip("12"), "provider": provider} for name, provider in benefits.items()}
    return document(rule={"so": {"then": list(actions)}}, benefits=made)


def _send(name: str) -> dict[str, Any]:
    return {"block": "pbb.action.send_coupon", "params": {"benefit": name}}


def test_one_grant_calls_at_most_one_outside_system() -> None:
    """What one evaluation gives names one outside system at most, beside ours; also where an action names no benefit."""
    points = {"block": "pbb.action.give_points", "params": {"points": 3}}
    assert _problems(_giving(_send("coupon1"), _send("coupon2"), coupon1="one", coupon2="two")) == ["/rule/so/then"]
    assert _problems(_giving(_send("coupon"), points, coupon="one", points="two")) == ["/rule/so/then"]
    # Of two benefits of its kind, an action without a name gives neither.
    parse_activity(_giving(_send("coupon"), points, coupon="one", points1="two", points2="two"))
    parse_activity(_giving(_send("coupon1"), _send("coupon2"), coupon1="one", coupon2="one"))
    parse_activity(_giving(_send("coupon1"), _send("coupon2"), coupon1="local", coupon2="one"))


def test_steps_that_apply_together_call_at_most_one_outside_system() -> None:
    """Steps of tiers may differ in their system unless all of them apply; a step that mixes two is named itself."""
    one, two = ({"so": {"then": [_send(name)]}} for name in ("coupon1", "coupon2"))
    both = {"so": {"then": [_send("coupon1"), _send("coupon2")]}}

    def tiers(mode: str, *steps: dict[str, Any]) -> dict[str, Any]:
        return {**_giving(coupon1="one", coupon2="two"), "rule": {"tiers": {"steps": list(steps), "mode": mode}}}

    assert _problems(tiers("all", one, two)) == ["/rule/tiers"]
    assert _problems(tiers("all", one, both)) == ["/rule/tiers/steps/1/so/then"]
    assert _problems(tiers("highest", one, both)) == ["/rule/tiers/steps/1/so/then"]
    for mode, steps in (("highest", (one, two)), ("first", (one, two)), ("all", (one, one))):
        parse_activity(tiers(mode, *steps))


def test_params_are_kept_as_they_are_and_only_where_there_are_some() -> None:
    """What the outside system is told stands in the stored document, nulls too; a document without says nothing of it."""
    params = {"pool": 7, "note": None, "tags": ["a", {"b": None}]}
    told = with_coupon(provider="wallet", provider_params=params).to_json()["benefits"]["c18"]
    assert (told["provider"], told["provider_params"]) == ("wallet", params)
    assert with_coupon().to_json()["benefits"]["c18"] == {"kind": "coupon", "value_minor": 0, "provider": "local"}


@pytest.mark.parametrize(
    ("members", "stock"),
    [({}, None), ({"stock": 0}, 0), ({"codes": ["A", "B"]}, 2), ({"codes": ["A", "B"], "stock": 1}, 1)],
)
def test_initial_stock(members: dict[str, Any], stock: int | None) -> None:
    """Stock is what is declared, else the number of codes, else unlimited."""
    assert with_coupon(**members).benefits["c18"].initial_stock == stock


@pytest.mark.parametrize(
    ("now", "live"),
    [(START - timedelta(microseconds=1), False), (START, True), (END - timedelta(microseconds=1), True), (END, False)],
)
def test_schedule_includes_its_start_and_not_its_end(now: datetime, live: bool) -> None:
    """An activity runs from `from` to before `to`."""
    assert activity().live_at(now) is live


def test_holdout_is_a_fixed_share() -> None:
    """About the percentage is held out, always the same users, and other users in another activity."""
    users = [str(number) for number in range(5000)]
    held = {user for user in users if activity(holdout_percent=20).held_out(user)}
    assert 900 < len(held) < 1100
    assert held == {user for user in users if activity(holdout_percent=20).held_out(user)}
    assert held < {user for user in users if activity(holdout_percent=40).held_out(user)}
    assert held != {user for user in users if activity(code="other", holdout_percent=20).held_out(user)}
    assert not any(activity().held_out(user) for user in users)
    assert all(activity(holdout_percent=100).held_out(user) for user in users)


@pytest.mark.parametrize(
    ("language", "text"), [("zh", "减"), ("zh-TW", "减"), ("en-GB", "off"), ("fr", "off"), ("de-AT", "ab")]
)
def test_words_fall_back_to_english(language: str, text: str) -> None:
    """Words come in the language, else in its first part, else in English."""
    found = activity(expression={"en": "off", "zh": {"title": "t", "text": "减"}, "de-AT": "ab"})
    assert found.words(language) is not None
    assert getattr(found.words(language), "text", None) == text


def test_without_words_there_are_none() -> None:
    """An activity without words in the language or in English has none; a title may be given with the text."""
    assert activity(expression={"zh": "减"}).words("fr") is None
    assert activity(expression={"zh": {"title": "t", "text": "减"}}).words("zh") == Expression(title="t", text="减")


def test_document_reads_back_the_same() -> None:
    """What `to_json` gives reads back as the same activity, its behaviour rules apart."""
    given = activity(expression={"en": "off"}, limits={"per_day": 5}, lock=True, behaviour_rules={"bought": bought(2)})
    again = parse_activity({**given.to_json(), "code": given.code})
    assert again == given.model_copy(update={"behaviour_rules": {}})


def test_channels_of_a_link() -> None:
    """Each link has its own codes."""
    found = Channels(prepare=("a", "b"), grant=("c",))
    assert (found.of("prepare"), found.of("grant")) == (("a", "b"), ("c",))


def test_reading_changes_nothing_of_the_document() -> None:
    """The document handed over stays as it was."""
    given = document(behaviour_rules={"bought": bought(2)})
    before = copy.deepcopy(given)
    parse_activity(given)
    assert given == before


def test_rules_alone() -> None:
    """A document with nothing but behaviour rules defines these; a wrong one is named by its path."""
    assert is_rule_document({"behaviour_rules": {}})
    assert not is_rule_document({"behaviour_rules": {}, "code": "a"})
    found = parse_behaviour_rules({"behaviour_rules": {"b": {**bought(2), "cooldown_s": 5}}})
    assert found == {"b": BehaviourRule(rule=bought(2)["rule"], cooldown_s=5)}
    with pytest.raises(BadInput) as raised:
        parse_behaviour_rules({"behaviour_rules": {"b": {"rule": {"or": []}}, "c": bought(1)}})
    assert [problem["path"] for problem in raised.value.fields["problems"]] == ["/behaviour_rules/b/rule/or"]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, None, True, 0.5, "é", {"b": ""}]}, None),
        ({"a": ["x", "\x00"]}, "/a/1"),
        ({"a/b": {"c~d": "\udfff"}}, "/a~1b/c~0d"),
        ({"\x00": 1}, ""),
        ({"a": {1: 1}}, "/a"),
        ([float("-inf")], "/0"),
        ({"a": START}, "/a"),
        ({"a": b"x"}, "/a"),
    ],
)
def test_only_plain_data_is_stored(value: object, path: str | None) -> None:
    """What JSON or Postgres cannot keep is found, wherever it stands."""
    found = plain_problem(value)
    assert (found and found["path"]) == path


def test_data_that_contains_itself_is_not_plain() -> None:
    """A mapping inside itself is refused as nested too deep; the depth allowed is allowed."""
    loop: dict[str, object] = {}
    loop["a"] = loop
    found = plain_problem(loop)
    assert found is not None
    assert "deeper" in found["message"]
    nested: object = 1
    for _ in range(MAX_DEPTH):
        nested = [nested]
    assert plain_problem(nested) is None
    assert plain_problem([nested]) is not None
