"""Scenarios that real tests and their broken variants share: each arranges a race or a failure, and lets all of it end.

Races are arranged, not hoped for: one side waits at the dangerous place until the other has passed it, or is held back
from it by a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection

from tactics.flows.accepting import accept_events
from tactics.store import executions, instances
from tests.delivery.stage import Stage, behaviour
from tests.delivery.waiting import until

_LOCKED_OUT = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


# Where a grant was counted, and is about to be written.
_WRITES = "INSERT INTO grant_record ("
# Waits until two are there, or until one is held back by a lock; whoever was there stays counted.
_MEET = """
CREATE OR REPLACE FUNCTION test_meet() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_end timestamptz := clock_timestamp() + interval '20 s';
BEGIN
    PERFORM pg_advisory_lock_shared(815);
    WHILE (SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 815) < 2
        AND NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP
        IF clock_timestamp() > v_end THEN
            RAISE EXCEPTION 'the other one did not come';
        END IF;
        PERFORM pg_sleep(0.005);
    END LOOP;
END
$$"""


def route(stage: Stage, *numbers: object) -> None:
    """Deliver the routing of events here; their executions run here, too."""
    stage.deliver("tactics.route_events", [["test", f"e{number}", 1] for number in numbers])


def accept(stage: Stage, *messages: dict[str, Any]) -> None:
    """Accept events without publishing anything."""
    receipts, _ = accept_events(stage.app, messages)
    assert {one.status for one in receipts} == {"accepted"}, receipts


def race_of_two_preparations(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    """Let a second behaviour event overtake the first, which pauses just before it writes what it prepared."""
    accept(stage, behaviour("u1", 1), behaviour("u1", 2))
    paused, overtaken = threading.Event(), threading.Event()
    write = instances.set_prepared

    def write_late(conn: Connection, *args: Any, **values: Any) -> None:
        if values["event_id"] == "e1" and not paused.is_set():
            paused.set()
            until(lambda: overtaken.is_set() or stage.value(_LOCKED_OUT), "the second has passed or is held back")
        write(conn, *args, **values)

    patch.setattr(instances, "set_prepared", write_late)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(route, stage, 1)
        until(paused.is_set, "the first is about to write")
        route(stage, 2)
        overtaken.set()
        first.result()
    stage.work_until_the_end()


def race_of_two_placements(stage: Stage, *, prepared: bool = False) -> list[dict[str, Any]]:
    """Let two placements of a user both come to the point where they write a grant, if nothing holds one back.

    Returns:
        Their answers.
    """
    if not prepared:
        accept(stage, behaviour("u1", 1))
        route(stage, 1)
    stage.run_sql(_MEET)
    meets_first = f"PERFORM test_meet();\n        {_WRITES}"
    with stage.changed_function("tactics_grant_benefit", _WRITES, meets_first), ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: stage.shown("u1", lock=False), range(2)))


def rush(stage: Stage, users: Sequence[str], threads: int = 10) -> list[str]:
    """Let all users visit at once.

    Returns:
        What came of it for each: outcome, or reason.
    """
    barrier = threading.Barrier(threads)

    def visit(part: Sequence[str]) -> list[str]:
        barrier.wait()
        answers = [stage.shown(user_id) for user_id in part]
        return [str(answer.get("outcome") or answer["reason"]) for answer in answers]

    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(visit, [users[number::threads] for number in range(threads)])
        return [outcome for part in parts for outcome in part]


def publishing_fails_after_acceptance(stage: Stage, users: int, sweep: Callable[[], object]) -> None:
    """Accept events while nothing can be published, then let the sweeper do what it does, until nothing is published."""
    accept(stage, *[behaviour(f"u{number}", number) for number in range(users)])
    assert not stage.published()
    stage.run_sql("UPDATE event SET next_attempt_at = now() WHERE routed_at IS NULL")
    sweep()
    stage.deliver_published()


def late_message(stage: Stage) -> None:
    """Deliver a message only after the sweeper has given its execution another attempt, and then that attempt's."""
    accept(stage, behaviour("u1", 1))
    stage.run_in_place(False)
    route(stage, 1)
    (late,) = stage.published()
    stage.run_in_place(True)
    with stage.engine.begin() as conn:
        row = executions.find(conn, late.execution_id)
        assert row is not None
        executions.postpone(conn, row, attempt=1, wait_s=0, reason="too slow")
    assert stage.sweep()["executions"] == 1
    stage.deliver_message(late)
    stage.deliver_published()
