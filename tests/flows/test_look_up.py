"""Placements on channels with many activities: those that cannot come to anything are answered without a segment."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tactics import rules
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.placement import PlacementAnswer
from tactics.flows import look_up, setup
from tactics.flows.chain import import_chains
from tactics.gateways.local import LocalUsers
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.check_rule import check_rule
from tactics.processors.finish_execution import finish_execution
from tactics.store.audit import audit
from tactics.template import TacticsTemplate
from tests.crowd import COUPON, FINISHED, OPENED, SEGMENTS, given_to, is_in, many
from tests.driving import Drive, Maker, acted, after, at_checkout, reasons_of, rule_of, satisfied
from tests.making import document
from tests.plays import step_of

__all__ = ["many"]

LOADED = 200


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
        segment = is_in(chance.choice(SEGMENTS))
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
    """Whatever its rule reads, an activity that nothing has prepared for the user says so, while it waits for that."""
    drive.load(*[document(code=f"a{number}") for number in range(look_up.FEW + 1)])
    answer = drive.visit("1")
    assert set(reasons_of(answer).values()) == {"not_prepared"}
    assert drive.rows(OPENED, user="1") == []
    drive.happen(satisfied("1"))
    assert len(drive.visit("1").results) == look_up.FEW + 1
    drive.load(at_checkout("a3"))
    assert [part["activity"] for part in drive.visit("2").results] == ["a3"]


def test_few_activities_are_not_looked_up(drive: Drive) -> None:
    """As long as a channel has no more than FEW activities, each one's own segment tells."""
    codes = [f"a{number}" for number in range(look_up.FEW)]
    drive.load(*[at_checkout(code, rule=given_to("new")) for code in codes])
    drive.visit("1")
    assert [code for (code,) in drive.rows(OPENED, user="1")] == codes


def test_next_visit_sees_what_was_published(many: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running process sees new activities, new versions, pauses and new chains at its next visit, again and again."""
    monkeypatch.setattr(look_up, "MOST_GENERATIONS", 2)
    shown = {f"new{number:02}" for number in range(12)}

    def seen() -> set[str]:
        return {part["activity"] for part in many.visit("new").results}

    for turn in range(4):
        assert seen() == shown
        many.load(at_checkout(f"lost{turn:02}", rule=given_to("new"), priority=turn))
        shown.add(f"lost{turn:02}")
        assert seen() == shown
        many.load(at_checkout(f"extra{turn}", rule=given_to("new")))
        setup.pause(many.runtime, f"new{turn:02}")
        shown = (shown | {f"extra{turn}"}) - {f"new{turn:02}"}
        assert seen() == shown
        many.load(at_checkout(f"extra{turn}", rule=given_to("loyal")))
        shown.remove(f"extra{turn}")
    assert seen() == shown
    index = many.runtime.shared["placement_indexes"]["home_banner"]  # type: ignore[index]  # what is shared has any type
    assert index.generation <= 2
    assert not {"new00", "new01"} & index.versions.keys()
    assert many.visit("new", at=after(days=90)).results == []
    steps = ["check_event", "load_prepared", "query_asset", "send_benefit", "build_result", "finish_execution"]
    import_chains(many.app, [{"chain": "all", "template_type": "full_link_v3", "link": "grant", "steps": steps}])
    many.visit("nobody")
    assert len(many.rows(OPENED, user="nobody")) == 36 - 4 + 4


def test_visits_at_once_while_activities_are_published(many: Drive) -> None:
    """Threads that visit while others publish are each answered by activities as they are before or after."""
    many.visit("nobody")
    before = {f"new{number:02}" for number in range(12)}
    added = {f"extra{number}" for number in range(6)}

    def keep_visiting(number: int) -> list[set[str]]:
        return [{part["activity"] for part in many.visit(f"new{number}").results} for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        running = threads.map(keep_visiting, range(4))
        for code in sorted(added):
            many.load(at_checkout(code, rule=given_to("new")))
        answers = [shown for each in running for shown in each]
    assert all(before <= shown <= before | added for shown in answers)
    assert {part["activity"] for part in many.visit("new").results} == before | added


def test_broken_rule_hides_no_other(many: Drive) -> None:
    """An activity whose rule this process does not know answers `error`; all the others answer as ever."""
    _break(many, "new05")
    answer = many.visit("new")
    assert len(answer.results) == 11
    assert [code for code, reason in reasons_of(answer).items() if reason == "error"] == ["new05"]
    assert len(answer.not_shown) == 25


def _not_reading_the_user() -> Iterator[dict[str, Any]]:
    yield at_checkout("plain", rule=rule_of(COUPON))
    yield at_checkout("big", rule=rule_of(COUPON, when=rules.amount_at_least(rules.order_amount(), 1)))


def test_users_that_cannot_be_asked_for(many: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the outer system does not answer, activities that read the user say `error`, each by its own segment."""
    many.load(*_not_reading_the_user())

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
    many.load(*_not_reading_the_user())
    answer = many.visit("new")
    assert [part["activity"] for part in answer.results] == ["plain"]
    reasons = reasons_of(answer)
    assert reasons.pop("big") == "unknown"
    assert set(reasons.values()) == {"error"}


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
    drive.load(*[at_checkout(code, template_type="own", rule=given_to("new")) for code in codes])
    drive.visit("1")
    assert [code for (code,) in drive.rows(OPENED, user="1")] == codes
