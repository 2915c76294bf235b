"""Chains: steps in place run one after another, never nested; a step of its own kind hops."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import pytest
from kombu.exceptions import OperationalError

from tactics.chain import prepare_app
from tactics.run import Run
from tests.driving import NOON, Drive, Maker, Working, satisfied
from tests.making import document
from tests.plays import playing, step_of, trace_of

STATE = "SELECT attempts, step, outcome, finished_at IS NOT NULL FROM execution"


def test_steps_run_one_after_another_never_nested(driven: Maker) -> None:
    """Each step begins after the one before has returned, at the same depth of the stack, in one delivery."""
    log: list[tuple[str, int]] = []

    def note(name: str) -> Callable[[Any, Run], object]:
        return lambda _ctx, _run: log.append((name, len(inspect.stack())))

    drive = playing(
        driven, step_of("do_one", note("one")), step_of("do_two", note("two")), step_of("do_three", note("three"))
    )
    drive.happen(satisfied("1"))
    assert [name for name, _ in log] == ["one", "two", "three"]
    assert len({depth for _, depth in log}) == 1
    assert drive.work() == []
    assert trace_of(drive) == [
        (name, "ran")
        for name in ("query_item", "do_one", "do_two", "do_three", "save_prepared", "record_event", "finish_execution")
    ]
    assert drive.rows("SELECT segments, segment_attempts FROM execution") == [([1], [1])]


def test_one_chain_ends_before_the_next_begins(driven: Maker) -> None:
    """Two executions that one delivery starts do not mix: the first one's steps all come before the second one's."""
    log: list[str] = []
    steps = [step_of(f"do_{n}", lambda ctx, _run: log.append(ctx.user_id)) for n in ("one", "two")]
    drive = playing(driven, *steps)
    drive.happen(satisfied("1"), satisfied("2"))
    assert log in (["1", "1", "2", "2"], ["2", "2", "1", "1"])


def test_what_fails_around_a_step_leaves_nothing_held(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Celery fails before it comes to a step's body, that chain's lock and connection are given back at once."""
    drive = playing(driven, step_of("do_it"))
    held: list[int] = []
    pool: Any = drive.runtime.engine.pool

    def fail(*_: object) -> tuple[None, Mock, None, None]:
        held.append(pool.checkedout())
        return None, Mock(retval=None), None, None

    with monkeypatch.context() as patch:
        patch.setattr(drive.app.tasks["tactics.do_it"], "tracer", fail)
        drive.happen(satisfied("1"), satisfied("2"))
    assert held == [1, 1]
    assert (pool.checkedout(), drive.runtime.redis.keys("tactics:lease:*")) == (0, [])
    drive.run("UPDATE execution SET next_attempt_at = now() - interval '1 s'")
    drive.sweep()
    drive.work()
    assert drive.rows("SELECT outcome, count(*) FROM execution GROUP BY 1") == [("prepared", 2)]


def test_step_that_does_not_apply_is_skipped(driven: Maker) -> None:
    """A step whose `when` says no is left out and the trace says so; the chain goes on."""
    drive = playing(driven, step_of("do_it", when=lambda ctx: bool(ctx.items)))
    drive.happen(satisfied("1"))
    assert ("do_it", "skipped") in trace_of(drive)
    assert drive.rows(STATE) == [(1, None, "prepared", True)]


def test_stop_ends_the_chain_but_not_the_execution(driven: Maker) -> None:
    """After a step stopped the chain, later ones pass, the last one runs, and the outcome is the step's reason."""
    drive = playing(driven, step_of("do_stop", lambda ctx, _run: ctx.stop("enough", "that will do")))
    drive.happen(satisfied("1"))
    assert trace_of(drive) == [
        ("query_item", "ran"),
        ("do_stop", "stopped: enough"),
        ("save_prepared", "passed"),
        ("record_event", "passed"),
        ("finish_execution", "ran"),
    ]
    assert drive.rows("SELECT outcome, reason FROM execution") == [("enough", "that will do")]
    assert drive.rows("SELECT consumed_at, prepared_epoch FROM event, instance") == [(None, None)]


@pytest.mark.parametrize("options", [{"queue": "slow"}, {"time_limit_s": 9}, {"rate_limit": "99/s"}])
def test_isolated_step_hops_with_its_context(driven: Maker, options: dict[str, Any]) -> None:
    """A step of its own kind runs by a message that carries ids only, finds the context as it was, and the chain goes on."""
    seen: list[Any] = []

    def fill(ctx: Any, _: Run) -> None:
        ctx.items, ctx.user = [{"item_id": "é"}], {"a": [1, None, 2.5]}

    def look(ctx: Any, run: Run) -> None:
        seen.append((ctx.items, ctx.user, ctx.now, ctx.user_id, run.attempt, run.epoch))

    drive = playing(driven, step_of("do_fill", fill), step_of("do_look", look, **options))
    drive.happen(satisfied("1"))
    assert drive.rows(STATE) == [(1, "do_look", None, False)]
    message = str(drive.runtime.redis.lrange(options.get("queue", "prepare"), 0, -1))
    assert drive.value("SELECT id::text FROM execution") in message
    assert "item_id" not in message
    assert drive.work() == ["tactics.do_look", "tactics.save_prepared"]
    assert seen == [([{"item_id": "é"}], {"a": [1, None, 2.5]}, NOON, "1", 1, 1)]
    assert drive.rows("SELECT outcome, segments, context FROM execution") == [("prepared", [1, 1, 1], None)]
    assert [name for name, _ in trace_of(drive)][:3] == ["query_item", "do_fill", "do_look"]
    assert drive.runtime.redis.keys("tactics:lease:*") == []


def test_step_by_step_gives_what_in_place_gives(driven: Maker) -> None:
    """Published step by step a preparation leaves the same outcome, trace and prepared data, one message a step."""
    left = []
    for in_place in (True, False):
        drive = playing(driven, in_place=in_place)
        drive.forget()
        drive.run("TRUNCATE execution, event, instance")
        drive.happen(satisfied("1", id="same"))
        assert len(drive.work()) == (0 if in_place else 4)
        stored = drive.runtime.redis.get("tactics:prepared:camp18:1")
        left.append((trace_of(drive), drive.rows("SELECT outcome, epoch, attempts FROM execution"), stored))
    assert left[0] == left[1]


def test_placement_that_hops_is_answered_by_the_worker(driven: Maker) -> None:
    """A placement whose chain hops is finished elsewhere, and its caller gets that answer."""
    drive = playing(driven, step_of("do_far", queue="slow"), link="grant", placement_deadline_ms=20_000)
    drive.happen(satisfied("1"))
    with Working(drive):
        answer = drive.visit("1")
    assert [part["outcome"] for part in answer.results] == ["reused"]
    assert trace_of(drive, "grant")[2] == ("do_far", "ran")


def test_steps_show_in_flower_as_tasks_of_one_tree(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Task events of steps run in place are sent in one batch: name, lineage and outcome of each, and no user data."""
    batches: list[list[dict[str, Any]]] = []
    drive = playing(driven, step_of("do_it"))

    @contextmanager
    def dispatcher(*_args: object, **_kwargs: object) -> Iterator[Mock]:
        batch: list[dict[str, Any]] = []
        yield Mock(send=lambda kind, **fields: batch.append({"type": kind, **fields}))
        batches.append(batch)

    monkeypatch.setattr(type(drive.app.events), "default_dispatcher", dispatcher)
    _, refs = drive.accept(satisfied("a-secret-user"))
    drive.deliver("tactics.route_events", [list(ref) for ref in refs], id="root", hostname="w@here")
    (sent,) = [batch for batch in batches if batch]
    received = [one for one in sent if one["type"] == "task-received"]
    assert [one["name"] for one in received] == [
        f"tactics.{name}" for name in ("query_item", "do_it", "save_prepared", "record_event", "finish_execution")
    ]
    assert [one["parent_id"] for one in received[1:]] == [one["uuid"] for one in received[:-1]]
    assert {one["root_id"] for one in received[1:]} == {received[0]["uuid"]}
    assert [one["type"] for one in sent].count("task-succeeded") == 5
    assert "a-secret-user" not in str(sent)


def test_work_goes_on_without_flower_s_events(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that cannot be sent are dropped: what was committed stays, and the delivery ends well."""
    drive = playing(driven)

    def away(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(type(drive.app.events), "default_dispatcher", away)
    _, refs = drive.accept(satisfied("1"))
    assert drive.deliver("tactics.route_events", [list(ref) for ref in refs], hostname="w@here") is None
    assert drive.rows(STATE) == [(1, None, "prepared", True)]


def test_app_may_be_prepared_twice(drive: Drive) -> None:
    """Preparing an app again changes nothing about how its tasks run."""
    prepare_app(drive.app)
    drive.load(document())
    drive.happen(satisfied("1"))
    assert drive.outcome("1") == "granted"
