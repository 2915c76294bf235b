"""Each protection taken out makes its scenario's check fail: what the other tests rely on can be seen to matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from tactics import opening
from tactics.domain.event import Event
from tactics.run import Run
from tactics.store import events, executions, instances, segments
from tactics.store.executions import ExecutionRow
from tactics.store.instances import InstanceRow
from tests.delivery import scenarios
from tests.delivery.findings import audited, overwritten, unended
from tests.delivery.stage import Stage

UNIQUE_KEYS = (
    "ALTER TABLE grant_record DROP CONSTRAINT uq_grant_record_count, DROP CONSTRAINT uq_grant_record_execution",
    "DROP INDEX uq_grant_record_best_only, uq_grant_record_open, uq_grant_record_usable",
)


def _drop_unique_keys(stage: Stage) -> None:
    stage.run_sql(*UNIQUE_KEYS)


def _drop_instance_lock(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    """Begin epochs in transactions of their own: they still grow, but nobody is held back."""

    def bump(_: Connection, user_id: str, activity_code: str, **__: object) -> InstanceRow:
        with stage.engine.begin() as own:
            return locking(own, user_id, activity_code)

    def begin(conn: Connection, known: ExecutionRow) -> tuple[InstanceRow, ExecutionRow, Event | None] | None:
        with stage.engine.begin() as own:
            instance = locking(own, known.user_id, known.activity_code)
        row = executions.lock(conn, known.user_id, known.id)
        assert row is not None
        return instance, row, events.find(conn, row.event_source, row.event_id)

    locking = instances.open_epoch
    patch.setattr(instances, "open_epoch", bump)
    patch.setattr(segments, "begin", begin)


def _check_epoch_by_reading(patch: pytest.MonkeyPatch) -> None:
    """Before preparation writes anything, a plain SELECT tells whether its epoch is still the newest."""
    save = Run.save_prepared

    def check_and_save(run: Run, ctx: Any) -> None:
        found = instances.read(run.conn, ctx.user_id, ctx.activity.code)
        if found is not None and found.epoch == run.epoch:
            save(run, ctx)

    patch.setattr(Run, "save_prepared", check_and_save)


@pytest.mark.parametrize("lock", [True, False])
def test_a_slow_preparation_does_not_overwrite_a_newer_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lock: bool
) -> None:
    """Two behaviour events race on an instance: whatever the first does late, the data is of whoever came last."""
    stage.import_activity(lock=lock)
    scenarios.race_of_two_preparations(stage, monkeypatch)
    assert not overwritten(stage, "u1")
    assert not audited(stage)


def test_without_fencing_a_slow_preparation_overwrites_a_newer_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch begun in its own transaction and checked by a plain SELECT, without a lock, loses a race of one."""
    stage.import_activity(lock=False)
    _drop_instance_lock(stage, monkeypatch)
    _check_epoch_by_reading(monkeypatch)
    scenarios.race_of_two_preparations(stage, monkeypatch)
    assert any("e2 was prepared last" in found for found in overwritten(stage, "u1"))


@pytest.mark.parametrize("protections", ["all", "unique keys alone", "instance lock alone"])
def test_two_placements_at_once_grant_once(stage: Stage, monkeypatch: pytest.MonkeyPatch, protections: str) -> None:
    """Two placements of a user end in one grant and one reuse, be it that only one of the two protections is there."""
    stage.import_activity()
    if protections == "unique keys alone":
        _drop_instance_lock(stage, monkeypatch)
    if protections == "instance lock alone":
        _drop_unique_keys(stage)
    answers = scenarios.race_of_two_placements(stage)
    assert sorted(answer["outcome"] for answer in answers) == ["granted", "reused"]
    assert answers[0]["assets"][0]["asset_id"] == answers[1]["assets"][0]["asset_id"]
    assert not audited(stage)


def test_without_unique_keys_and_instance_lock_grants_double(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both protections of the grant gone, the same two placements end in two grants, and the audit sees it."""
    stage.import_activity()
    _drop_instance_lock(stage, monkeypatch)
    _drop_unique_keys(stage)
    answers = scenarios.race_of_two_placements(stage)
    assert [answer["outcome"] for answer in answers] == ["granted", "granted"]
    assert any(found.startswith("grant_count:") for found in audited(stage))


USERS = [f"u{number}" for number in range(50)]


@pytest.mark.parametrize("protections", ["all", "condition alone", "check alone"])
def test_fifty_users_get_a_stock_of_ten(stage: Stage, protections: str) -> None:
    """Fifty users at once for a stock of ten: ten grants, and whatever happens never more."""
    stage.import_activity(stock=10, channels={"grant": ["home_banner"]})
    if protections == "condition alone":
        _drop_stock_check(stage)
    with _without_stock_condition(stage) if protections == "check alone" else nullcontext():
        outcomes = scenarios.rush(stage, USERS)
    assert outcomes.count("granted") == 10
    assert outcomes.count("error" if protections == "check alone" else "sold_out") == 40
    assert stage.value("SELECT remaining FROM benefit") == 0
    assert not audited(stage)


def test_without_condition_and_check_stock_is_oversold(stage: Stage) -> None:
    """With the condition and the CHECK gone, all fifty get one, and the audit sees it."""
    stage.import_activity(stock=10, channels={"grant": ["home_banner"]})
    _drop_stock_check(stage)
    with _without_stock_condition(stage):
        assert scenarios.rush(stage, USERS).count("granted") == 50
    assert any(found.startswith("stock:") for found in audited(stage))


def _drop_stock_check(stage: Stage) -> None:
    stage.run_sql("ALTER TABLE benefit DROP CONSTRAINT ck_benefit_remaining")


@contextmanager
def _without_stock_condition(stage: Stage) -> Iterator[None]:
    with stage.changed_function("tactics_grant_benefit", "(remaining IS NULL OR remaining >= p_needed[n])", "true"):
        yield


@pytest.mark.parametrize("on", [True, False])
def test_what_was_not_published_ends_through_the_sweeper_alone(stage: Stage, on: bool) -> None:
    """Accepted events that nobody heard of end with a sweep; with the sweeper off they stay as they are."""
    stage.import_activity()
    scenarios.publishing_fails_after_acceptance(stage, 20, stage.sweep if on else lambda: None)
    assert len(unended(stage)) == (0 if on else 20)
    assert not audited(stage)


def test_a_late_message_changes_nothing(stage: Stage) -> None:
    """A message that comes after its attempt was given up exits silently; the newer attempt runs, once."""
    stage.import_activity()
    scenarios.late_message(stage)
    found = stage.rows("SELECT attempts, segments, segment_attempts, outcome FROM execution")
    assert found == [{"attempts": 2, "segments": [2], "segment_attempts": [2], "outcome": "prepared"}]
    assert not audited(stage)


def test_without_the_attempt_check_a_late_message_runs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the check gone, the history of segments shows one that ran under an attempt that was not current."""
    check = opening._current

    def any_attempt(row: ExecutionRow, attempt: int, *rest: Any) -> bool:
        return check(replace(row, attempts=attempt), attempt, *rest)

    monkeypatch.setattr(opening, "_current", any_attempt)
    stage.import_activity()
    scenarios.late_message(stage)
    assert any(found.startswith("segments:") for found in audited(stage))
