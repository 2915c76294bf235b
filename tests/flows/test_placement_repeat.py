"""Placements of several activities, the best of them, and requests that are repeated, in flight or given up."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.domain.placement import SOURCE
from tactics.errors import Busy, IdempotencyConflict
from tactics.flows import placement, setup
from tactics.flows.placement import PlacementRequest
from tactics.flows.visit import begin
from tactics.store import events, lease
from tests.driving import (
    NOON,
    Drive,
    after,
    at_checkout,
    became,
    needs_vip,
    reasons_of,
)

COUNTS = "SELECT will_send_count, state, usable FROM grant_record ORDER BY user_id, activity_code, 1"


def test_activities_of_one_placement_do_not_disturb_each_other(drive: Drive) -> None:
    """All activities on the channel run, by priority and code; one that breaks is told as `error`, the rest go on."""
    drive.load(
        *[at_checkout(code, priority=priority) for code, priority in (("b", 1), ("a", 1), ("top", 9), ("bad", 5))]
    )
    drive.run("UPDATE benefit SET remaining = NULL, stock_initial = NULL WHERE activity_code <> 'bad'")
    drive.run("ALTER TABLE benefit ADD CONSTRAINT broken CHECK (activity_code <> 'bad' OR remaining = 10)")
    answer = drive.visit("1")
    assert [part["activity"] for part in answer.results] == ["top", "a", "b"]
    assert reasons_of(answer) == {"bad": "error"}
    assert len(answer.execution_ids) == 4
    ((outcome, reason),) = drive.rows("SELECT outcome, reason FROM execution WHERE activity_code = 'bad'")
    assert outcome == "error"
    assert reason.startswith("send_benefit: IntegrityError")
    assert "broken" not in answer.not_shown[0]["text"]
    drive.run("ALTER TABLE benefit DROP CONSTRAINT broken")
    assert drive.value("SELECT count(*) FROM grant_record WHERE activity_code = 'bad'") == 0
    assert drive.visit("1").results[1]["outcome"] == "granted"


def _order_of(drive: Drive, **options: Any) -> tuple[str | None, dict[str, str]]:
    answer = drive.visit("1", best_only=True, **options)
    return (answer.results[0]["activity"] if answer.results else None), reasons_of(answer)


def test_best_only_takes_priority_then_value_then_code(drive: Drive) -> None:
    """Only the best activity runs: by priority, then by the largest value it can reach, then by code; the rest lose."""

    def one(code: str, priority: int, value: int) -> dict[str, Any]:
        return at_checkout(
            code, priority=priority, benefits={"c18": {"kind": "coupon", "value_minor": value, "stock": 1}}
        )

    drive.load(one("a", 0, 900), one("b", 1, 100), one("d", 1, 700), one("c", 1, 700))
    lost = {"outranked"}
    for user, winner in (("1", "c"), ("2", "d"), ("3", "b"), ("4", "a")):
        answer = drive.visit(user, best_only=True)
        assert [part["activity"] for part in answer.results] == [winner]
        assert {reason for code, reason in reasons_of(answer).items() if code > winner or code == "a"} <= {
            *lost,
            "sold_out",
        }
    assert drive.rows("SELECT activity_code, user_id FROM grant_record ORDER BY 2") == [
        ("c", "1"),
        ("d", "2"),
        ("b", "3"),
        ("a", "4"),
    ]
    assert drive.visit("5", best_only=True).results == []
    assert _order_of(drive) == ("c", {"d": "outranked", "b": "outranked", "a": "outranked"})


def test_best_only_goes_on_after_a_refusal_and_stops_at_an_error(drive: Drive) -> None:
    """Sold out or not matched lets the next one run; an error or a busy instance may still become a grant, so it stops."""
    drive.load(at_checkout("a", priority=2, rule=needs_vip()), at_checkout("b", priority=1), at_checkout("c"))
    assert _order_of(drive) == ("b", {"a": "unknown", "c": "outranked"})
    setup.import_users(drive.runtime, [{"user_id": "1", "vip": True}])
    drive.run("ALTER TABLE asset ADD CONSTRAINT broken CHECK (activity_code <> 'a') NOT VALID")
    assert _order_of(drive) == (None, {"a": "error", "b": "outranked", "c": "outranked"})
    drive.runtime.redis.set(lease.lease_key("a", "1"), "somebody:1:x")
    assert _order_of(drive) == (None, {"a": "busy", "b": "outranked", "c": "outranked"})


def test_same_key_is_answered_the_same(drive: Drive) -> None:
    """The same Idempotency-Key and body give the same answer and grant nothing more, whatever changed meanwhile."""
    drive.load(at_checkout("a"), at_checkout("b", rule=needs_vip()), at_checkout("c", priority=-1))
    first = drive.visit("1", key="k").to_json()
    drive.happen(became(first["results"][0]["assets"][0]["asset_id"], "redeemed"))
    setup.import_users(drive.runtime, [{"user_id": "1", "vip": True}])
    setup.pause(drive.runtime, "c")
    assert drive.visit("1", key="k").to_json() == first
    assert drive.visit("1", key="k", at=after(days=80)).to_json() == first
    assert drive.value("SELECT count(*) FROM execution") == 3
    assert [part["outcome"] for part in drive.visit("1", key="other").results] == ["granted", "granted"]
    assert [part["outcome"] for part in drive.visit("1", key="k", source="another").results] == ["reused", "reused"]


@pytest.mark.parametrize("best_only", [True, False])
def test_same_key_with_best_only(drive: Drive, best_only: bool) -> None:
    """A repeated request keeps winner and losers, though another would win now."""
    drive.load(at_checkout("a", priority=1), at_checkout("b"))
    first = drive.visit("1", key="k", best_only=best_only).to_json()
    drive.load(at_checkout("b", priority=5), at_checkout("late", priority=9))
    assert drive.visit("1", key="k", best_only=best_only).to_json() == first


def test_same_key_with_another_body_conflicts(drive: Drive) -> None:
    """A key that was used for another request, of whatever difference, is refused; the first answer stays."""
    drive.load(at_checkout())
    first = drive.visit("1", key="k").to_json()
    others: list[dict[str, Any]] = [
        {"attributes": {"a": 1}},
        {"order": {"lines": []}},
        {"best_only": True},
        {"placement": "x"},
        {"language": "zh"},
        {"scene": "cart"},
    ]
    for other in others:
        with pytest.raises(IdempotencyConflict, match="'k'"):
            drive.visit("1", key="k", **other)
    with pytest.raises(IdempotencyConflict):
        drive.visit("2", key="k")
    assert drive.visit("1", key="k").to_json() == first


def test_request_in_flight_under_the_same_key_is_refused(drive: Drive) -> None:
    """While a key is being answered its twin is told so, and the mark goes with the answer."""
    drive.load(at_checkout())
    mark = lease.twin_mark(SOURCE, "k")
    drive.runtime.redis.set(mark.key, "another process")
    with pytest.raises(Busy, match="'k'"):
        drive.visit("1", key="k")
    assert drive.value("SELECT count(*) FROM execution") == 0
    drive.runtime.redis.delete(mark.key)
    assert drive.outcome("1", key="k") == "granted"
    assert drive.runtime.redis.exists(mark.key) == 0


def test_twin_that_was_faster_is_answered_from(drive: Drive) -> None:
    """With the mark lost, a request that finds its twin's execution written answers with the twin's answer."""
    drive.load(at_checkout())
    request = PlacementRequest("1", "home_banner", key="k", at=NOON)
    late = begin(drive.app, request)
    first = drive.visit("1", key="k")
    assert placement._run(late, late.candidates[0]) == first.results[0]
    assert [row[0] for row in drive.rows(COUNTS)] == [1]


def test_twin_with_another_body_never_sees_the_first_answer(drive: Drive) -> None:
    """Two requests under one key that began before either was stored: the slower one, of another user, conflicts."""
    drive.load(at_checkout())
    late = begin(drive.app, PlacementRequest("2", "home_banner", key="k", at=NOON))
    drive.visit("1", key="k")
    with pytest.raises(IdempotencyConflict):
        placement._run(late, late.candidates[0])
    assert drive.rows("SELECT user_id FROM grant_record") == [("1",)]


def test_abandoned_placement_writes_nothing_more(drive: Drive) -> None:
    """A placement given up at its deadline grants nothing later, and its key answers as it was answered: incomplete."""
    drive.load(at_checkout())
    late = begin(drive.app, PlacementRequest("1", "home_banner", key="k", at=NOON))
    with drive.runtime.engine.begin() as conn:
        events.abandon_new(conn, late.event)
    placement._run(late, late.candidates[0])
    assert drive.rows(COUNTS) == []
    again = drive.visit("1", key="k")
    assert (again.complete, again.to_json()) == (False, {"execution_ids": []})
    assert drive.value("SELECT remaining FROM benefit") == 10
