"""The sweeper: what waits gets another attempt, one message each, and nobody's trouble is another's."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from kombu.exceptions import OperationalError

from tactics.flows.sweep import sweep
from tests.driving import Drive, Maker, acted, satisfied
from tests.making import document

CLAIM_S = 3600.0


def _half_done(driven: Maker, **options: Any) -> Drive:
    """Drive one event that was never routed, and one execution that never began."""
    publishing = driven(claim_s=CLAIM_S, in_place=False, **options)
    publishing.load(document())
    _, refs = publishing.accept(satisfied("1", id="first"), acted("2", id="second"))
    publishing.route(refs[0])
    publishing.forget()
    return driven(claim_s=CLAIM_S, **options)


def _waiting(drive: Drive) -> list[tuple[Any, ...]]:
    events = "SELECT attempts, next_attempt_at - clock_timestamp() > interval '59 minutes' FROM event"
    return drive.rows(f"{events} WHERE routed_at IS NULL UNION ALL {events.replace('event', 'execution')}")


def test_what_waits_is_left_alone_until_it_is_due(driven: Maker) -> None:
    """An event or execution whose attempt may still be under way is not published again."""
    drive = _half_done(driven)
    assert _waiting(drive) == [(1, True), (1, True)]
    assert not any(sweep(drive.app).values())
    assert drive.work() == []


def test_what_is_due_is_published_once(driven: Maker) -> None:
    """What is due is claimed under the next attempt and published once; a second sweep finds nothing to do."""
    drive = _half_done(driven)
    swept = drive.sweep()
    assert (swept["events"], swept["executions"]) == (1, 1)
    assert _waiting(drive) == [(2, True), (2, True)]
    assert not any(sweep(drive.app).values())
    assert sorted(drive.work()) == ["tactics.query_item", "tactics.route_events"]
    assert drive.rows("SELECT id, outcome FROM event ORDER BY 1") == [("first", "routed"), ("second", "routed")]
    assert drive.rows("SELECT attempts, outcome FROM execution") == [(2, "prepared")]
    assert drive.outcome("1") == "granted"


def test_everything_ends_after_redis_was_emptied_again_and_again(driven: Maker) -> None:
    """However often the broker forgets its messages, what was accepted ends."""
    drive = _half_done(driven)
    for _ in range(3):
        drive.sweep()
        drive.forget()
    drive.settle()
    assert drive.rows("SELECT DISTINCT outcome FROM event") == [("routed",)]
    assert drive.rows("SELECT attempts, outcome FROM execution") == [(5, "prepared")]


def test_attempts_that_never_end_are_parked(driven: Maker) -> None:
    """After the last attempt event and execution are parked with a reason, and never published again."""
    drive = _half_done(driven, max_attempts=2)
    for _ in range(2):
        drive.sweep()
        drive.forget()
    assert drive.rows("SELECT outcome, parked_reason, next_attempt_at FROM event WHERE id = 'second'") == [
        ("parked", "no attempt came to an end", None)
    ]
    assert drive.rows("SELECT outcome, reason, next_attempt_at FROM execution") == [
        ("parked", "no attempt came to an end", None)
    ]
    assert drive.sweep()["executions"] == 0


def test_execution_of_a_template_unknown_here_holds_nobody_up(driven: Maker) -> None:
    """An execution whose template this process lacks is left for another; those beside it are published."""
    drive = _half_done(driven)
    drive.load(document(code="other", template_type="full_link_v2"))
    driven(in_place=False).happen(satisfied("1", id="third"))
    drive.forget()
    known = drive.app.templates.pop("full_link_v3")
    drive.sweep()
    drive.work()
    assert drive.rows("SELECT activity_code, outcome FROM execution WHERE outcome IS NOT NULL") == [
        ("other", "prepared")
    ]
    drive.app.templates["full_link_v3"] = known
    drive.settle()
    assert drive.value("SELECT count(*) FROM execution WHERE outcome = 'prepared'") == 3


def test_broker_that_is_away_costs_attempts_not_events(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that cannot publish raises nothing and claims all the same; a later one publishes."""
    drive = _half_done(driven)
    with monkeypatch.context() as patched:
        patched.setattr(drive.app.amqp, "send_task_message", Mock(side_effect=OperationalError("away")))
        assert drive.sweep()["executions"] == 0
    assert _waiting(drive) == [(2, True), (2, True)]
    drive.settle()
    assert drive.rows("SELECT DISTINCT outcome FROM event") == [("routed",)]
    assert drive.rows("SELECT outcome FROM execution") == [("prepared",)]


def test_sweep_task_does_it(driven: Maker) -> None:
    """The task that beat starts is the sweep, on the queue for operations, and makes the next months' partitions."""
    drive = _half_done(driven)
    drive.run("UPDATE event SET next_attempt_at = now() WHERE routed_at IS NULL")
    assert drive.deliver("tactics.sweep") is None
    assert drive.work() == ["tactics.route_events"]
    assert drive.app.conf.beat_schedule["sweep"]["task"] == "tactics.sweep"
    assert drive.app.conf.beat_schedule["sweep"]["options"]["queue"] == "ops"
    month = "SELECT to_char(now() AT TIME ZONE 'UTC' + make_interval(months => :n), 'YYYYMM')"
    for ahead in range(3):
        name = drive.value(month, n=ahead)
        assert drive.value("SELECT to_regclass(:name) IS NOT NULL", name=f"user_action_p{name}") is True
