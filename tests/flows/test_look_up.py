"""Placements on channels with many activities: those that cannot come to anything are answered without a segment."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from tactics import rules
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.placement import PlacementAnswer
from tactics.errors import Busy, IdempotencyConflict
from tactics.flows import look_up, placement, setup
from tactics.flows.chain import import_chains
from tactics.flows.explain import explain_execution, explain_user
from tactics.flows.placement import PlacementRequest
from tactics.flows.visit import begin
from tactics.gateways.local import LocalUsers
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.check_rule import check_rule
from tactics.processors.finish_execution import finish_execution
from tactics.store import events
from tactics.store.audit import audit
from tactics.template import TacticsTemplate
from tests.driving import NOON, Drive, Maker, acted, after, at_checkout, reasons_of, rule_of, satisfied
from tests.making import document
from tests.plays import step_of

COUPON = rules.send_coupon("c18")
SEGMENTS = ("new", "loyal", "lost")
LOADED = 200
OPENED = "SELECT activity_code FROM instance WHERE user_id = :user ORDER BY 1"
FINISHED = "SELECT count(*) FROM execution WHERE link = 'grant' AND finished_at IS NOT NULL"


def _is(segment: str) -> Any:
    return rules.equals(rules.user_attribute("segment"), segment)


def _for(segment: str) -> dict[str, Any]:
    return rule_of(COUPON, when=_is(segment))


def _order(**pieces: int) -> dict[str, Any]:
    return {
        "lines": [
            {"item_id": name.removeprefix("i"), "quantity": count, "price_minor": 1000}
            for name, count in pieces.items()
        ]
    }


def _has(item_id: int, pieces: int) -> Any:
    return rules.amount_at_least(rules.item_quantity(str(item_id)), pieces)


def _rules(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Give rules of every sort, without end: by user, event, order, time and behaviour; ladders; some give nothing."""
    while True:
        item, pieces = chance.randrange(6), chance.randint(1, 3)
        segment = _is(chance.choice(SEGMENTS))
        page = rules.in_set(rules.event_attribute("page"), ["home", "cart"])
        noon = rules.amount_between(rules.hour_of_day(), 10, 13)
        bought = rules.amount_at_least(rules.behaviour_count("purchase", 3600), pieces)
        big = rules.amount_at_least(rules.order_amount(), 1000 * pieces)
        yield rule_of(COUPON)
        yield rule_of(COUPON, when=_has(item, pieces))
        yield rule_of(COUPON, when=segment & _has(item, pieces))
        yield rule_of(COUPON, when=~segment | page)
        yield rule_of(COUPON, when=noon & segment)
        yield rule_of(COUPON, when=bought | _has(item, pieces))
        yield rule_of(COUPON, when=rules.amount_more_than(rules.user_attribute("age"), 20 + item) & big)
        yield rules.to_json(segment)
        steps = [rules.so(_has(item, count), COUPON) for count in (1, 3)]
        yield rules.to_json(rules.tiers(*steps))
        yield rule_of(rules.item_promotion_price("1", price_minor=800), when=_has(1, pieces))


def _activities(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(18)  # noqa: S311  # the same activities each time
    for number, rule in zip(range(count), _rules(chance), strict=False):
        prepared = chance.random() < 0.4
        yield document(
            code=f"a{number:03}",
            rule=rule,
            template_type=chance.choice(["full_link_v2", "full_link_v3"]),
            channels={"prepare": [chance.choice(["bought", "never"])] if prepared else [], "grant": ["home_banner"]},
            timezone=chance.choice(["UTC", "Asia/Shanghai"]),
            priority=chance.randrange(3),
            benefits={"c18": {"kind": "coupon", "value_minor": chance.randrange(500)}},
            holdout_percent=chance.choice([0, 0, 0, 50]),
        )


def _break(drive: Drive, code: str) -> None:
    drive.run(
        "UPDATE activity_version SET definition = jsonb_set(definition, '{rule}', CAST(:rule AS jsonb))"
        " WHERE activity_code = :code",
        rule='{"so": {"when": {"block": "acme.condition.gone", "params": {}}, "then": []}}',
        code=code,
    )


def _said(answer: PlacementAnswer) -> tuple[list[str], list[Any]]:
    return [part["activity"] for part in answer.results], list(answer.not_shown)


@pytest.fixture
def many(drive: Drive) -> Drive:
    """A channel with activities for three segments, twelve of each; none needs preparation."""
    drive.load(
        *[
            at_checkout(f"{segment}{number:02}", rule=_for(segment), priority=number)
            for segment in SEGMENTS
            for number in range(12)
        ]
    )
    setup.import_users(drive.runtime, [{"user_id": one, "segment": one} for one in SEGMENTS])
    return drive


VISITS: list[dict[str, Any]] = [
    {},
    {"order": _order(i1=3, i2=1), "attributes": {"page": "cart"}},
    {"order": _order(i4=2), "best_only": True, "at": after(hours=8)},
    {"order": {"lines": [{"item_id": 7}]}, "attributes": {"page": 3}},
]


@pytest.mark.parametrize("user", ["1", "2", "nobody"])
def test_answer_is_what_every_segment_would_say(drive: Drive, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without looking up, a visit shows the same activities and gives the same reasons for the others."""
    drive.load(*_activities(LOADED))
    _break(drive, "a042")
    item = {"item_id": "1", "title": "Tea", "price_minor": 1000, "currency": "USD"}
    setup.import_items(drive.runtime, [item])
    setup.import_users(
        drive.runtime, [{"user_id": "1", "segment": "new", "age": 23}, {"user_id": "2", "segment": "lost", "age": "x"}]
    )
    drive.happen(acted("1", item_id="1"), satisfied("1"))
    for options in VISITS:
        with_index = drive.visit(user, **options)
        opened = set(drive.rows(OPENED, user=user))
        with monkeypatch.context() as changed:
            changed.setattr(look_up, "FEW", LOADED)
            without = drive.visit(user, **options)
        assert _said(with_index) == _said(without)
        assert len(opened) < LOADED
        assert {part["activity"] for part in with_index.results} <= {code for (code,) in opened}


def test_only_what_matches_opens_a_segment(many: Drive) -> None:
    """Of 36 activities the 12 for the user's segment run; each of the others has its execution and reason all the same."""
    answer = many.visit("new")
    matching = [f"new{number:02}" for number in range(12)]
    assert sorted(part["activity"] for part in answer.results) == matching
    assert many.rows(OPENED, user="new") == [(code,) for code in matching]
    assert set(reasons_of(answer).values()) == {"not_matched"}
    assert many.value(FINISHED) == len(answer.execution_ids) == len(set(answer.execution_ids)) == 36
    assert [part["activity"] for part in many.visit("nobody").results] == []
    assert many.rows(OPENED, user="nobody") == []
    with many.runtime.engine.connect() as conn:
        assert audit(conn) == []


def test_unprepared_activities_open_no_segment(drive: Drive) -> None:
    """Whatever its rule reads, an activity that nothing has prepared for the user says so without a segment."""
    drive.load(*[document(code=f"a{number}") for number in range(look_up.FEW + 1)])
    answer = drive.visit("1")
    assert set(reasons_of(answer).values()) == {"not_prepared"}
    assert drive.rows(OPENED, user="1") == []
    drive.happen(satisfied("1"))
    assert len(drive.visit("1").results) == look_up.FEW + 1


def test_few_activities_are_not_looked_up(drive: Drive) -> None:
    """As long as a channel has no more than FEW activities, each one's own segment tells."""
    codes = [f"a{number}" for number in range(look_up.FEW)]
    drive.load(*[at_checkout(code, rule=_for("new")) for code in codes])
    drive.visit("1")
    assert [code for (code,) in drive.rows(OPENED, user="1")] == codes


def test_next_visit_sees_what_was_published(many: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running process sees new activities, new versions, pauses and new chains at its next visit, again and again."""
    monkeypatch.setattr(look_up, "MOST_GENERATIONS", 2)
    shown = {f"new{number:02}" for number in range(12)}
    for turn in range(5):
        assert {part["activity"] for part in many.visit("new").results} == shown
        many.load(at_checkout(f"extra{turn}", rule=_for("new")))
        many.load(at_checkout(f"lost{turn:02}", rule=_for("new"), priority=turn))
        setup.pause(many.runtime, f"new{turn:02}")
        shown = (shown | {f"extra{turn}", f"lost{turn:02}"}) - {f"new{turn:02}"}
        assert {part["activity"] for part in many.visit("new").results} == shown
        many.load(at_checkout(f"extra{turn}", rule=_for("loyal")))
        shown -= {f"extra{turn}"}
    assert many.visit("new", at=after(days=90)).results == []
    steps = ["check_event", "load_prepared", "query_asset", "send_benefit", "build_result", "finish_execution"]
    import_chains(many.app, [{"chain": "all", "template_type": "full_link_v3", "link": "grant", "steps": steps}])
    many.visit("nobody")
    assert len(many.rows(OPENED, user="nobody")) == 36 - 5 + 5


def test_key_answers_as_it_did(many: Drive) -> None:
    """The same request under its key gets the same answer and executions, whatever was published; another body conflicts."""
    first = many.visit("new", key="k").to_json()
    many.load(at_checkout("late", rule=_for("new")), at_checkout("lost00", rule=_for("new")))
    assert many.visit("new", key="k").to_json() == first
    assert many.value(FINISHED) == 36
    with pytest.raises(IdempotencyConflict):
        many.visit("new", key="k", scene="cart")


def test_unfinished_visit_is_gone_on_with(many: Drive) -> None:
    """A visit that ended in the middle is completed under its key: what has no part yet is looked up again."""
    whole = many.visit("new", key="k").to_json()
    many.run("DELETE FROM execution WHERE activity_code LIKE 'l%'")
    many.run("UPDATE event SET answer = answer - ARRAY(SELECT k FROM jsonb_object_keys(answer) AS k WHERE k LIKE 'l%')")
    again = many.visit("new", key="k").to_json()
    assert (again["results"], again["not_shown"]) == (whole["results"], whole["not_shown"])
    assert many.value(FINISHED) == 36
    assert len(many.rows(OPENED, user="new")) == 12


def test_what_has_begun_is_left_to_its_execution(many: Drive) -> None:
    """An activity whose execution goes on elsewhere is not passed over when its placement is asked for again."""
    many.visit("new", key="k")
    many.run("DELETE FROM execution WHERE activity_code LIKE 'l%' AND activity_code <> 'lost00'")
    many.run("UPDATE event SET answer = '{}'")
    late = _late(many, "new")
    assert sorted(late.parts) == [f"lost{number:02}" for number in range(1, 12)] + [
        f"loyal{number:02}" for number in range(12)
    ]


def test_best_only_passes_over_and_stops_at_the_first(many: Drive) -> None:
    """What comes before the winner is written down before it opens; what comes after was never tried, and is outranked."""
    answer = many.visit("new", best_only=True, key="k")
    assert [part["activity"] for part in answer.results] == ["new11"]
    reasons = reasons_of(answer)
    assert {code for code, reason in reasons.items() if reason == "not_matched"} == {"lost11", "loyal11"}
    assert sum(reason == "outranked" for reason in reasons.values()) == 33
    rows = "SELECT activity_code, best_only FROM execution ORDER BY finished_at, activity_code"
    assert many.rows(rows) == [("lost11", True), ("loyal11", True), ("new11", True)]
    assert many.visit("new", best_only=True, key="k").to_json() == answer.to_json()


def test_broken_rule_hides_no_other(many: Drive) -> None:
    """An activity whose rule this process does not know answers `error`; all the others answer as ever."""
    _break(many, "new05")
    answer = many.visit("new")
    assert len(answer.results) == 11
    assert [code for code, reason in reasons_of(answer).items() if reason == "error"] == ["new05"]
    assert len(answer.not_shown) == 25


def test_users_that_cannot_be_asked_for(many: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the outer system does not answer, activities that read the user say `error`, each by its own segment."""
    many.load(
        at_checkout("plain", rule=rule_of(COUPON)),
        at_checkout("big", rule=rule_of(COUPON, when=rules.amount_at_least(rules.order_amount(), 1))),
    )

    def fail(*_: object) -> None:
        raise RuntimeError("away")

    monkeypatch.setattr(LocalUsers, "attributes", fail)
    answer = many.visit("new")
    assert [part["activity"] for part in answer.results] == ["plain"]
    reasons = reasons_of(answer)
    assert reasons.pop("big") == "unknown"
    assert set(reasons.values()) == {"error"}
    assert many.rows("SELECT activity_code FROM instance") == [("plain",)]


def test_attributes_that_cannot_be_stored(many: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an outer system says of a user, and no answer can carry, is no reason to lose the answer of others."""
    monkeypatch.setattr(LocalUsers, "attributes", lambda *_: {"segment": "a\x00b"})
    many.load(at_checkout("plain", rule=rule_of(COUPON)))
    answer = many.visit("new")
    assert [part["activity"] for part in answer.results] == ["plain"]
    assert set(reasons_of(answer).values()) == {"error"}


def test_explanation_of_one_that_was_passed_over(many: Drive) -> None:
    """`explain` tells reason and step of an execution that had no segment, by its id and by user and activity."""
    answer = many.visit("new", key="k")
    (part,) = [one for one in answer.not_shown if one["activity"] == "lost03"]
    ids = many.rows("SELECT id FROM execution WHERE activity_code = 'lost03'")
    found = explain_execution(many.runtime, UUID(str(ids[0][0])), app=many.app)
    assert found["execution"]["outcome"] == "not_matched"
    assert found["execution"]["reason"] == part["text"]
    (step,) = found["execution"]["trace"]
    assert (step["step"], step["outcome"]) == ("check_rule", "stopped: not_matched")
    assert "looked up" in step["notes"][0]
    assert part["text"] in found["summary"][0]
    by_user = explain_user(many.runtime, "new", "lost03", NOON, app=many.app)
    assert by_user["execution"]["id"] == found["execution"]["id"]
    assert by_user["visits"][0]["part"] == part


def _late(drive: Drive, user: str) -> Any:
    """Give a visit that began, and has passed over what it can."""
    late = begin(drive.app, PlacementRequest(user, "home_banner", key="k", at=NOON))
    for activity in late.candidates:
        placement._pass_over(late, activity)
    return late


def test_twin_that_was_faster_keeps_its_answer(many: Drive) -> None:
    """Of two requests under one key the slower one is told so, and writes nothing, also where the user changed."""
    late = _late(many, "new")
    setup.import_users(many.runtime, [{"user_id": "new", "segment": "lost"}])
    first = many.visit("new", key="k").to_json()
    with pytest.raises(Busy, match="'k'"):
        placement._record_stopped(late)
    assert many.visit("new", key="k").to_json() == first
    assert many.value(FINISHED) == 36


def test_other_body_under_the_key_conflicts(many: Drive) -> None:
    """A slower request of another user under the same key writes nothing into the first one's answer."""
    late = _late(many, "new")
    first = many.visit("lost", key="k").to_json()
    with pytest.raises(IdempotencyConflict):
        placement._record_stopped(late)
    assert many.visit("lost", key="k").to_json() == first


def test_abandoned_visit_writes_nothing_more(many: Drive) -> None:
    """What was passed over is not written once the placement was given up."""
    late = _late(many, "new")
    with many.runtime.engine.begin() as conn:
        events.abandon(conn, late.event)
    assert not placement._record_stopped(late)
    assert not late.complete
    assert many.value("SELECT count(*) FROM execution") == 0


@pytest.mark.parametrize("best_only", [False, True])
def test_what_cannot_be_recorded_is_an_error(many: Drive, best_only: bool) -> None:
    """Where the database refuses, nobody is told what was not written; with best only nothing opens after it."""
    many.run("ALTER TABLE execution ADD CONSTRAINT refused CHECK (outcome <> 'not_matched')")
    answer = many.visit("new", best_only=best_only, key="k")
    reasons = reasons_of(answer)
    assert (reasons["lost11"], reasons["loyal11"]) == ("error", "error")
    assert len(answer.results) == (0 if best_only else 12)
    many.run("ALTER TABLE execution DROP CONSTRAINT refused")
    again = many.visit("new", best_only=best_only, key="k")
    assert reasons_of(again)["lost11"] == "not_matched"
    assert len(again.results) == (1 if best_only else 12)


class _OwnFacts(TacticsInstanceContext):
    """A context whose rules see more."""

    def facts(self) -> dict[str, Any]:
        """Give a user of its own making."""
        return {**super().facts(), "user": {"segment": "new"}}


def _look_on(ctx: TacticsInstanceContext, _: Any) -> None:
    ctx.notes.append("seen")


CLOSING = (build_result, finish_execution)


@pytest.mark.parametrize(
    ("context", "steps"),
    [
        (_OwnFacts, (check_event, check_rule, *CLOSING)),
        (TacticsInstanceContext, (step_of("look_on", _look_on), check_rule, *CLOSING)),
        (TacticsInstanceContext, (check_event, check_rule, step_of("look_after", _look_on, always=True), *CLOSING)),
        (TacticsInstanceContext, CLOSING),
    ],
    ids=["own facts", "a step before", "always", "no rule"],
)
def test_chains_that_see_or_do_more_run_in_full(driven: Maker, context: Any, steps: Any) -> None:
    """A chain whose outcome cannot be told from outside runs for each placement: own facts, own steps, no rule."""
    drive = driven(templates=[TacticsTemplate("own", context, prepare=(finish_execution,), grant=steps)])
    codes = [f"a{number:02}" for number in range(look_up.FEW + 2)]
    drive.load(*[at_checkout(code, template_type="own", rule=_for("new")) for code in codes])
    drive.visit("1")
    assert [code for (code,) in drive.rows(OPENED, user="1")] == codes
