"""Segments: what fails is taken back and tried again; what comes late, finds a lock or was overtaken changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.chain import publish_chain
from tactics.choosing import chain_of
from tactics.run import Run
from tactics.store import executions, lease
from tests.driving import Drive, Maker, after, satisfied
from tests.plays import playing, step_of, trace_of

STATE = "SELECT attempts, step, outcome, finished_at IS NOT NULL FROM execution"


@pytest.mark.parametrize("where", ["body", "when"])
def test_failed_attempt_leaves_nothing_and_is_tried_again(driven: Maker, where: str) -> None:
    """What a failing step and those before it wrote is taken back; the reason is kept, and a later attempt succeeds."""
    broken = [True]

    def fail(_ctx: Any, run: Run | None = None) -> bool:
        if broken[0]:
            raise ValueError("broken\x00 \ud800 thing\nwith more lines")
        return True

    write = step_of("do_write", lambda ctx, run: run.save_prepared(ctx))
    failing = step_of("do_fail", fail) if where == "body" else step_of("do_fail", when=fail)
    drive = playing(driven, write, failing)
    drive.happen(satisfied("1"))
    assert drive.rows(STATE) == [(1, None, None, False)]
    reason, due = drive.rows("SELECT reason, next_attempt_at > created_at FROM execution")[0]
    assert reason.startswith("do_fail: ValueError: broken")
    assert "with more lines" not in reason
    assert due is True
    assert trace_of(drive)[-1] == ("do_fail", "failed")
    assert drive.rows("SELECT * FROM instance") == []
    assert drive.outcome("1") == "not_prepared"
    assert drive.runtime.redis.keys("tactics:lease:*") == []
    broken[0] = False
    drive.settle()
    assert drive.rows(STATE + " WHERE link = 'prepare'") == [(2, None, "prepared", True)]
    assert drive.outcome("1") == "reused"


def test_retries_wait_longer_and_longer_and_end_parked(driven: Maker) -> None:
    """Waits double with each attempt, and after the last one the execution is parked with the reason."""

    def fail(_ctx: Any, _run: Run) -> None:
        raise ValueError("for ever")

    drive = playing(driven, step_of("do_fail", fail), max_attempts=4, retry_base_s=100.0, retry_max_s=300.0)
    drive.happen(satisfied("1"))
    waits = []
    for _ in range(3):
        waits.append(
            float(drive.value("SELECT extract(epoch FROM next_attempt_at - clock_timestamp()) FROM execution"))
        )
        drive.sweep()
        drive.work()
    assert 45 < waits[0] <= 100 < 2 * waits[1] <= 400
    assert 145 < waits[2] <= 300
    assert drive.rows("SELECT attempts, outcome, next_attempt_at FROM execution") == [(4, "parked", None)]
    assert drive.value("SELECT reason FROM execution") == "do_fail: ValueError: for ever"
    assert drive.sweep()["executions"] == 0


def test_what_json_cannot_carry_is_refused_with_its_field(driven: Maker) -> None:
    """A step that puts something else than plain data into the context fails the execution, and the field is named."""

    def spoil(ctx: Any, _: Run) -> None:
        ctx.user = {"seen": {1, 2}}

    drive = playing(driven, step_of("do_spoil", spoil))
    drive.happen(satisfied("1"))
    assert "context field 'user' is not plain data" in drive.value("SELECT reason FROM execution")
    assert drive.rows("SELECT * FROM instance") == []


def test_placement_given_up_at_its_deadline_is_never_finished(driven: Maker) -> None:
    """When nobody finishes a hopped placement in time it is abandoned: its answer is incomplete, and stays so."""
    drive = playing(
        driven, step_of("do_far", queue="slow"), link="grant", placement_deadline_ms=50, placement_deadline_max_ms=50
    )
    drive.happen(satisfied("1"))
    answer = drive.visit("1", key="k")
    assert (answer.complete, len(answer.execution_ids)) == (False, 1)
    assert drive.work()[0] == "tactics.do_far"
    assert drive.rows("SELECT outcome FROM execution WHERE link = 'grant'") == [("abandoned",)]
    assert drive.rows("SELECT outcome, answer FROM event WHERE type = 'placement'") == [("abandoned", {})]
    assert drive.visit("1", key="k").to_json() == answer.to_json()


@pytest.fixture
def hopping(driven: Maker) -> Drive:
    """A drive with one execution that waits before its second segment, the message for it in the broker."""
    drive = playing(driven, step_of("do_far", queue="slow"))
    drive.happen(satisfied("1"))
    return drive


def _deliver(drive: Drive, step: str, attempt: int) -> None:
    """Publish the chain of the execution from this step on, as this attempt, and work it off."""
    with drive.runtime.engine.connect() as conn:
        row = executions.find(conn, drive.value("SELECT id FROM execution"))
    assert row is not None
    steps = chain_of(drive.runtime, drive.app, row)
    names = [one.name for one in steps]
    publish_chain(drive.app, steps[names.index(step) :], row, attempt)
    assert f"tactics.{step}" in drive.work()


def test_message_that_is_not_the_current_one_exits_silently(hopping: Drive) -> None:
    """A message of another attempt or step, or for an execution that ended, runs no step and changes nothing."""
    hopping.forget()
    before = hopping.rows("SELECT * FROM execution")
    for step, attempt in (("do_far", 2), ("do_far", 0), ("query_item", 1), ("save_prepared", 1)):
        _deliver(hopping, step, attempt)
    assert hopping.deliver("tactics.do_far", "0b0e2b3c-6c0e-4f7e-9d0a-2f1f5f5c9a11", 1) is None
    assert hopping.rows("SELECT * FROM execution") == before
    _deliver(hopping, "do_far", 1)
    ended = hopping.rows("SELECT * FROM execution")
    assert hopping.rows("SELECT outcome FROM execution") == [("prepared",)]
    _deliver(hopping, "do_far", 1)
    assert hopping.rows("SELECT * FROM execution") == ended


def test_later_attempt_goes_on_from_the_step(hopping: Drive) -> None:
    """When the message of a hop is lost the sweeper's attempt goes on at that step, not at the first."""
    hopping.forget()
    hopping.settle()
    assert hopping.rows("SELECT attempts, outcome FROM execution") == [(2, "prepared")]
    assert [name for name, _ in trace_of(hopping)].count("query_item") == 1
    assert hopping.rows("SELECT segments, segment_attempts FROM execution") == [([1, 2, 2], [1, 2, 2])]


def test_preparation_that_was_overtaken_starts_anew(hopping: Drive) -> None:
    """A preparation that finds a newer epoch begins again from its first step under an epoch of its own."""
    hopping.happen(satisfied("1", at=after(minutes=1), id="newer"))
    hopping.forget()
    hopping.run("UPDATE instance SET epoch = epoch + 5")
    hopping.settle()
    assert {row[0] for row in hopping.rows("SELECT outcome FROM execution")} == {"prepared"}
    epochs = [row[0] for row in hopping.rows("SELECT epoch FROM execution")]
    assert min(epochs) > 5
    assert hopping.value("SELECT prepared_epoch FROM instance") == max(epochs)
    assert hopping.outcome("1", at=after(minutes=2)) == "reused"


def test_a_hopped_placement_nobody_waits_for_is_abandoned(driven: Maker) -> None:
    """A placement whose caller died is not finished after its deadline: nobody would see what it grants."""
    drive = playing(
        driven, step_of("do_far", queue="slow"), link="grant", placement_deadline_ms=50, placement_deadline_max_ms=50
    )
    drive.happen(satisfied("1"))
    drive.visit("1", key="k")
    drive.run("UPDATE event SET abandoned_at = NULL, outcome = NULL")
    drive.work()
    assert drive.rows("SELECT outcome FROM execution WHERE link = 'grant'") == [("abandoned",)]
    assert drive.rows("SELECT id FROM grant_record") == []


def test_placement_that_was_overtaken_is_superseded(driven: Maker) -> None:
    """A hopped placement that finds a newer epoch is closed as superseded, and its caller is told so."""
    drive = playing(
        driven, step_of("do_far", queue="slow"), link="grant", placement_deadline_ms=50, placement_deadline_max_ms=50
    )
    drive.happen(satisfied("1"))
    drive.visit("1", key="k")
    drive.run("UPDATE event SET abandoned_at = NULL, outcome = NULL, received_at = now() + interval '1 hour'")
    drive.run("UPDATE instance SET epoch = epoch + 1")
    drive.work()
    assert drive.rows("SELECT outcome FROM execution WHERE link = 'grant'") == [("superseded",)]
    assert [part["reason"] for part in drive.visit("1", key="k").not_shown] == ["superseded"]


def test_busy_instance_is_tried_again_until_its_lock_has_fallen(driven: Maker) -> None:
    """A preparation whose instance is locked waits, longer each time: its attempts outlast an orphaned lock."""
    drive = playing(driven)
    key = lease.lease_key("camp18", "1")
    drive.runtime.redis.set(key, "somebody:1:x")
    drive.happen(satisfied("1"))
    assert drive.rows("SELECT attempts, reason, outcome FROM execution") == [(1, "busy", None)]
    drive.runtime.redis.delete(key)
    drive.settle()
    assert drive.rows(STATE) == [(2, None, "prepared", True)]
    config = drive.app.settings
    shortest = [min(config.retry_base_s * 2 ** (n - 1), config.retry_max_s, config.lease_s) / 2 for n in range(1, 25)]
    assert sum(shortest) > config.lease_s


def test_instance_is_free_again_and_kept_between_the_segments(hopping: Drive) -> None:
    """Between its segments an execution keeps the lock, so a placement finds the instance busy; after it, free."""
    assert hopping.outcome("1") == "busy"
    hopping.work()
    assert hopping.outcome("1") == "reused"
