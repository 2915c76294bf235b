"""`explain`: the answer to "why did this user get nothing", from real journeys that ended in each way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from tactics.config import Settings
from tactics.domain.context import REASONS, SHOWN
from tactics.errors import GatewayError, NotFound
from tactics.flows import setup
from tactics.flows.explain import explain_execution, explain_user
from tactics.flows.verdict import in_words
from tactics.gateways.local import LocalItems
from tests.journey import Shop, offer, open_shop

GIVEN: dict[str, Any] = {"channels": {"grant": ["home"]}, "behaviour_rules": {}}


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop without activities."""
    opened = open_shop(settings)
    yield opened
    opened.app.runtime.close()


def _asked(shop: Shop, user: str = "ann", code: str = "tea", at: datetime | None = None) -> dict[str, Any]:
    found = explain_user(shop.app.runtime, user, code, at)
    assert json.loads(json.dumps(found)) == found
    return found


def _said(found: dict[str, Any]) -> str:
    return "\n".join(found["summary"])


def _write(shop: Shop, statement: str) -> None:
    with shop.app.runtime.engine.begin() as conn:
        conn.execute(text(statement))


def test_behaviour_rule_tells_found_and_wanted(shop: Shop) -> None:
    """A user who did too little is shown how much was found and how much is wanted."""
    shop.imports(offer())
    shop.buys("ann", 1)
    shop.visits("ann")
    found = _asked(shop)
    (rule,) = found["behaviour_rules"]
    assert (rule["rule_key"], rule["status"], rule["enabled"], rule["actions"]) == (
        "bought_twice",
        "not_matched",
        True,
        1,
    )
    assert [(one["found"], one["wanted"]) for one in rule["reasons"]] == [(1, 2)]
    assert found["execution"]["outcome"] == "not_prepared"
    assert found["instance"]["prepared"] is False
    assert found["prepared_then"] is False
    assert "is 1; at least 2 needed" in _said(found)


def test_execution_shows_steps_grant_and_assets(shop: Shop) -> None:
    """An execution that granted shows its chain with times, its grant with count and assets, and what prepared it."""
    shop.imports(offer())
    shop.buys("ann", 2)
    answer = shop.visits("ann")
    execution_id = answer["execution_ids"][0]
    found = explain_execution(shop.app.runtime, UUID(execution_id))
    assert json.loads(json.dumps(found)) == found
    steps = [(one["step"], one["outcome"]) for one in found["execution"]["trace"]]
    assert steps[0] == ("check_event", "ran")
    assert steps[-1] == ("finish_execution", "ran")
    assert all(one["ms"] >= 0 for one in found["execution"]["trace"][:-1])
    assert (found["execution"]["outcome"], found["execution"]["attempts"]) == ("granted", 1)
    (grant,) = found["grants"]
    assert (grant["will_send_count"], grant["state"], grant["execution_id"]) == (1, "granted", execution_id)
    assert [one["id"] for one in grant["assets"]] == [answer["results"][0]["assets"][0]["asset_id"]]
    assert found["instance"]["prepared_by"]["id"] == "bought_twice:ann:buy-1"
    assert found["prepared_then"] is True
    assert found["behaviour_rules"] == []
    assert "the user got a new benefit" in found["summary"][0]


def test_rule_of_activity_that_does_not_hold(shop: Shop) -> None:
    """Where the activity's rule said no, its reasons are the first thing said."""
    vip = {"block": "pbb.resource.user_attribute", "params": {"name": "vip"}}
    when = {"block": "pbb.condition.equals", "params": {"value": vip, "to": True}}
    points = {"block": "pbb.action.give_points", "params": {"points": 5}}
    shop.imports(offer(rule={"so": {"when": when, "then": [points]}}, **GIVEN))
    setup.import_users(shop.app.runtime, [{"user_id": "ann", "vip": False}])
    shop.visits("ann")
    found = _asked(shop)
    assert found["execution"]["outcome"] == "not_matched"
    assert "the user's vip is false" in found["summary"][0].lower()
    assert "waits for no behaviour" in _said(found)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({}, "paused", "The activity is paused now"),
        ({"schedule": {"from": "2090-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}}, "live", "had not begun"),
        ({"schedule": {"from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}}, "live", "was over"),
    ],
)
def test_activity_that_does_not_run(shop: Shop, changes: dict[str, Any], status: str, said: str) -> None:
    """An activity that is paused, or out of its schedule, is named as the cause; the visit was none of its."""
    shop.imports(offer(**changes))
    if status == "paused":
        setup.pause(shop.app.runtime, "tea")
    shop.visits("ann")
    found = _asked(shop)
    assert found["activity"]["status"] == status
    assert found["execution"] is None
    assert "was not live, or not in its schedule" in found["visits"][0]["text"]
    assert said in _said(found)


def test_control_group(shop: Shop) -> None:
    """A user who is held out is told so, and why nothing was granted."""
    shop.imports(offer(holdout_percent=100, **GIVEN))
    shop.visits("ann")
    found = _asked(shop)
    assert found["activity"]["held_out"] is True
    assert found["execution"]["outcome"] == "holdout"
    assert "control group of 100 %" in _said(found)


def test_rule_satisfied_while_the_activity_was_no_draft_any_more(shop: Shop) -> None:
    """A rule that was satisfied while the activity did not run yet prepared nothing, and that is said."""
    setup.import_activities(shop.app.runtime, [offer()])
    shop.buys("ann", 2)
    setup.publish(shop.app.runtime, "tea")
    shop.visits("ann")
    found = _asked(shop)
    (rule,) = found["behaviour_rules"]
    assert rule["status"] == "matched"
    assert [(one["id"], one["execution"]) for one in rule["events"]] == [("bought_twice:ann:buy-1", None)]
    assert "was satisfied at" in _said(found)
    assert "the activity was not live" in _said(found)


def test_rule_that_holds_without_having_turned(shop: Shop) -> None:
    """A rule over actions from before it was known holds, but has never spoken."""
    shop.buys("ann", 2)
    shop.imports(offer())
    found = _asked(shop)
    assert [(one["status"], one["events"]) for one in found["behaviour_rules"]] == [("matched", [])]
    assert "bought_twice holds, but no action has made it so" in _said(found)
    assert "has not visited a placement of this activity by then (its channels: home)" in _said(found)


def test_rule_that_is_off_or_from_outside(shop: Shop) -> None:
    """A rule that is switched off, and a key that no rule stands behind, are told apart."""
    shop.imports(offer(channels={"prepare": ["bought_twice", "elsewhere"], "grant": ["home"]}))
    shop.buys("ann", 1)
    _write(shop, "UPDATE behaviour_rule SET enabled = false")
    found = _asked(shop)
    assert [(one["rule_key"], one["stored"]) for one in found["behaviour_rules"]] == [
        ("bought_twice", True),
        ("elsewhere", False),
    ]
    assert "bought_twice is switched off" in _said(found)
    assert "elsewhere is no behaviour rule here" in _said(found)


@pytest.mark.parametrize(("max_attempts", "outcome"), [(3, None), (1, "parked")])
def test_preparation_that_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, max_attempts: int, outcome: str | None
) -> None:
    """A preparation that failed says which attempt it is at, when the next one is due, or that there is none."""

    def away(*_: object) -> None:
        raise GatewayError("the catalogue is away")

    monkeypatch.setattr(LocalItems, "of_user", away)
    shop = open_shop(settings.model_copy(update={"max_attempts": max_attempts}))
    shop.imports(offer())
    shop.buys("ann", 2)
    found = _asked(shop)
    started = found["behaviour_rules"][0]["events"][0]["execution"]
    assert started["outcome"] == outcome
    one = explain_execution(shop.app.runtime, UUID(started["id"]))
    assert one["execution"]["reason"] == "query_item: GatewayError: the catalogue is away"
    if outcome is None:
        assert one["execution"]["next_attempt_at"] is not None
        assert "Attempt 1 of 3 is the current one, the next one is due at" in _said(one)
        assert "The last attempt: query_item: GatewayError: the catalogue is away" in _said(one)
        assert one["execution"]["trace"][-1]["outcome"] == "failed"
    else:
        assert one["execution"]["next_attempt_at"] is None
        assert "It was tried 1 times; nothing tries it again." in _said(one)
    shop.app.runtime.close()


def test_outranked(shop: Shop) -> None:
    """Where only the best was asked for, an activity that came second names the first."""
    shop.imports(offer(code="first", priority=9, **GIVEN), offer(**GIVEN))
    shop.visits("ann", best_only=True)
    found = _asked(shop)
    assert found["execution"] is None
    assert found["visits"][0]["text"] == "another activity came first: first"
    assert "another activity came first: first" in found["summary"][0]


def test_visit_given_up_at_its_deadline(shop: Shop) -> None:
    """A visit that was abandoned says so."""
    shop.imports(offer(**GIVEN))
    shop.visits("ann")
    _write(shop, "UPDATE event SET abandoned_at = now(), answer = NULL WHERE type = 'placement'")
    _write(shop, "DELETE FROM execution")
    assert "deadline passed" in _asked(shop)["summary"][0]


def test_waiting_and_parked_events(shop: Shop) -> None:
    """Events of the user that are not routed are shown: what they wait for, or why they were given up."""
    shop.imports(offer())
    shop.buys("ann", 2, route=False)
    _write(shop, "UPDATE event SET parked_reason = 'too often', next_attempt_at = NULL WHERE id = 'buy-0'")
    found = _asked(shop)
    assert {(one["id"], one["parked_reason"]) for one in found["events_not_done"]} == {
        ("buy-0", "too often"),
        ("buy-1", None),
    }
    assert "action event buy-0 was given up: too often" in _said(found)
    assert "wait to be routed (1), such as buy-1, attempt 1, due at" in _said(found)
    shop.buys("bob")
    assert _asked(shop, "bob")["events_not_done"] == []


def test_earlier_moment(shop: Shop) -> None:
    """Asked about a time before it happened, later executions and preparations play no part."""
    shop.imports(offer())
    shop.buys("ann", 2)
    shop.visits("ann")
    before = datetime.now(UTC) - timedelta(days=1)
    found = _asked(shop, at=before)
    assert (found["execution"], found["executions"], found["visits"], found["prepared_then"]) == (None, [], [], False)
    assert [one["status"] for one in found["behaviour_rules"]] == ["not_matched"]
    assert found["instance"]["prepared"] is True


def test_execution_is_judged_by_its_own_version(shop: Shop) -> None:
    """An execution is explained by the version of the activity that it ran under."""
    shop.imports(offer(**GIVEN))
    execution_id = UUID(shop.visits("ann")["execution_ids"][0])
    shop.imports(offer(holdout_percent=100, **GIVEN))
    found = explain_execution(shop.app.runtime, execution_id)
    assert (found["activity"]["version"], found["activity"]["current_version"]) == (1, 2)
    assert found["activity"]["held_out"] is False
    assert _asked(shop)["activity"]["held_out"] is True


def test_what_is_unknown_is_refused(shop: Shop) -> None:
    """An unknown execution, user or activity is an error that names it."""
    shop.imports(offer())
    with pytest.raises(NotFound, match="no execution"):
        explain_execution(shop.app.runtime, uuid4())
    with pytest.raises(NotFound, match="'nobody'"):
        explain_user(shop.app.runtime, "nobody", "tea")
    with pytest.raises(NotFound, match="no activity 'coffee'"):
        explain_user(shop.app.runtime, "ann", "coffee")


def test_every_outcome_has_words() -> None:
    """No outcome that callers can see is left to its code."""
    assert all(in_words(one) != in_words("x").replace("x", one) for one in {*REASONS, *SHOWN, "prepared", "parked"})
