"""What is stored of activities that were passed over: found again by key, explained, and never written twice."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tactics.errors import Busy, IdempotencyConflict
from tactics.flows import placement, recording, setup
from tactics.flows.explain import explain_execution, explain_user
from tactics.flows.placement import PlacementRequest
from tactics.flows.visit import begin
from tactics.store import events
from tests.crowd import FINISHED, OPENED, given_to, many
from tests.driving import NOON, Drive, at_checkout, reasons_of

__all__ = ["many"]


def test_key_answers_as_it_did(many: Drive) -> None:
    """The same request under its key gets the same answer and executions, whatever was published; another body conflicts."""
    first = many.visit("new", key="k").to_json()
    many.load(at_checkout("late", rule=given_to("new")), at_checkout("lost00", rule=given_to("new")))
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
        recording.record_stopped(late)
    assert many.visit("new", key="k").to_json() == first
    assert many.value(FINISHED) == 36


def test_other_body_under_the_key_conflicts(many: Drive) -> None:
    """A slower request of another user under the same key writes nothing into the first one's answer."""
    late = _late(many, "new")
    first = many.visit("lost", key="k").to_json()
    with pytest.raises(IdempotencyConflict):
        recording.record_stopped(late)
    assert many.visit("lost", key="k").to_json() == first


def test_abandoned_visit_writes_nothing_more(many: Drive) -> None:
    """What was passed over is not written once the placement was given up."""
    late = _late(many, "new")
    with many.runtime.engine.begin() as conn:
        events.abandon_new(conn, late.event)
    assert not recording.record_stopped(late)
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
