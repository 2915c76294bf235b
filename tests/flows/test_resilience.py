"""What is wrong in one place stays there, and nobody waits for longer than was said."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from tactics.domain.context import ItemContext
from tactics.errors import InvalidTemplate
from tactics.flows.behaviour import remaining_steps
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.finish_execution import finish_execution
from tactics.processors.load_prepared import load_prepared
from tactics.runtime import connect_redis
from tactics.segment import backoff_s
from tactics.store import executions
from tactics.template import TacticsTemplate
from tests.driving import Drive, Maker, acted, at_checkout, satisfied
from tests.making import bought, document
from tests.plays import playing, step_of

NOWHERE = "redis://127.0.0.1:1/0"


def _spoil(drive: Drive, code: str) -> None:
    drive.run(
        "UPDATE activity_version SET definition = definition || jsonb_build_object('of_a_newer_version', 1)"
        " WHERE activity_code = :code",
        code=code,
    )


def test_an_activity_that_cannot_be_read_stops_only_itself(drive: Drive) -> None:
    """A process that cannot read one activity answers, routes and sweeps for all the others."""
    drive.load(document(code="a", behaviour_rules={"bought": bought(1)}), document(code="b"))
    _spoil(drive, "a")
    drive.happen(acted("1"))
    assert drive.rows("SELECT count(*) FROM user_action") == [(1,)]
    assert drive.rows("SELECT activity_code, outcome FROM execution ORDER BY 1") == [("a", None), ("b", "prepared")]
    answer = drive.visit("1")
    assert [part["activity"] for part in answer.results] == ["b"]
    assert [(part["activity"], part["reason"]) for part in answer.not_shown] == [("a", "error")]
    drive.sweep()
    assert drive.value("SELECT reason FROM execution WHERE activity_code = 'a'").startswith("version 1 of activity 'a'")


def test_an_answer_outlives_what_can_be_read(drive: Drive) -> None:
    """A repeated request is answered as before, also by a process that cannot read the activity any more."""
    drive.load(at_checkout())
    first = drive.visit("1", key="k")
    _spoil(drive, "camp18")
    drive.runtime._activities.clear()
    assert drive.visit("1", key="k").to_json() == first.to_json()


def test_a_placement_waits_for_a_lock_no_longer_than_its_deadline(driven: Maker) -> None:
    """An instance that somebody keeps locked in Postgres is busy once the deadline passed."""
    drive = driven(placement_deadline_ms=200)
    drive.load(document(behaviour_rules={"bought": bought(1)}))
    drive.happen(satisfied("1"))
    with drive.runtime.engine.begin() as conn:
        conn.execute(text("SELECT 1 FROM instance FOR UPDATE"))
        started = time.monotonic()
        assert drive.outcome("1") == "busy"
        assert time.monotonic() - started < 5
    assert drive.outcome("1") == "granted"


def test_a_hop_without_a_broker_keeps_the_deadline(driven: Maker) -> None:
    """A placement whose next step cannot be published is answered at its deadline, not after many tries."""
    template = TacticsTemplate(
        "t",
        ItemContext,
        prepare=(finish_execution,),
        grant=(check_event, step_of("do_far", queue="slow"), finish_execution),
    )
    drive = driven(templates=[template], redis_url=NOWHERE, placement_deadline_ms=300)
    drive.load(at_checkout(template_type="t"))
    started = time.monotonic()
    assert not drive.visit("1").complete
    assert time.monotonic() - started < 8


def test_redis_that_does_not_answer_is_asked_once(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one failure a visit goes on without Redis: its other activities neither lock nor save there."""
    drive.load(document(code="a"), document(code="b"), document(code="c"))
    drive.happen(satisfied("1"))
    asked: list[object] = []
    broken = connect_redis(NOWHERE, 0.2)
    execute: Any = broken.execute_command

    def counted(*args: object, **options: object) -> object:
        asked.append(args[0])
        return execute(*args, **options)

    monkeypatch.setattr(broken, "execute_command", counted)
    working = drive.runtime
    drive.app._runtime = (os.getpid(), replace(working, redis=broken))
    assert [part["outcome"] for part in drive.visit("1").results] == ["granted"] * 3
    assert len(asked) == 1


def test_waiting_for_a_busy_instance_uses_up_no_attempts(driven: Maker) -> None:
    """However often an execution met a busy instance, its first real failure is not its last chance."""
    drive = driven(max_attempts=3)
    drive.load(document())
    receipts, refs = drive.accept(satisfied("1"))
    assert receipts[0].status == "accepted"
    drive.route(*refs)
    drive.run("UPDATE execution SET finished_at = NULL, outcome = NULL, next_attempt_at = now()")
    with drive.runtime.engine.connect() as conn:
        execution_id = conn.execute(text("SELECT id FROM execution")).scalar_one()
    for attempt in range(1, 9):
        with drive.runtime.engine.begin() as conn:
            row = executions.find(conn, execution_id)
            assert row is not None
            executions.postpone(conn, row, attempt=attempt, wait_s=-1, reason=executions.BUSY, waits=True)
            claims = executions.claim_due(conn, limit=9, claim_s=-1, max_attempts=3)
            assert [claim.attempt for claim in claims] == [attempt + 1]
    assert drive.rows("SELECT attempts, waits, outcome FROM execution") == [(9, 8, None)]
    assert backoff_s(drive.runtime, 9) > 0


def test_rebuilding_ends_where_the_chain_saves_even_if_that_step_is_elsewhere(driven: Maker) -> None:
    """A saving step on another worker is left out of rebuilding, and nothing after it runs inside the placement."""
    save_far = step_of("save_far", lambda ctx, run: run.save_prepared(ctx), queue="slow", saves=True)
    show = step_of("show_it", lambda ctx, _run: setattr(ctx, "outcome", "reused"))
    template = TacticsTemplate(
        "t",
        ItemContext,
        prepare=(save_far, finish_execution),
        grant=(check_event, load_prepared, show, build_result, finish_execution),
    )
    drive = driven(templates=[template], queues=("slow",))
    drive.load(document(template_type="t"))
    drive.happen(satisfied("1"))
    drive.work()
    drive.forget()
    answer = drive.visit("1")
    assert [part["outcome"] for part in answer.results] == ["reused"]
    assert "save_far, which runs elsewhere" in answer.results[0]["notes"][0]


def test_a_step_that_left_its_chain_is_named(driven: Maker) -> None:
    """An execution that waits at a step which the chain no longer has says so, and is not started elsewhere."""
    drive = playing(driven, step_of("do_far", queue="slow"))
    drive.happen(satisfied("1"))
    drive.run("UPDATE execution SET step = 'do_gone', finished_at = NULL, outcome = NULL, next_attempt_at = now()")
    with drive.runtime.engine.connect() as conn:
        row = executions.find(conn, conn.execute(text("SELECT id FROM execution")).scalar_one())
    assert row is not None
    with pytest.raises(InvalidTemplate, match=r"'do_gone'.*no longer"):
        remaining_steps(drive.app, row)
    drive.sweep()
    assert "no longer in its chain" in drive.value("SELECT reason FROM execution")
