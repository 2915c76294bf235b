"""Chains: steps in place run one after another in one segment; what fails, hops or comes late is never half done."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import pytest
from kombu.exceptions import OperationalError

from tactics.chain import prepare_app
from tactics.domain.context import ItemContext, TacticsInstanceContext
from tactics.processor import Processor, processor
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.finish_execution import finish_execution
from tactics.processors.load_prepared import load_prepared
from tactics.processors.query_item import query_item
from tactics.processors.record_event import record_event
from tactics.processors.save_prepared import save_prepared
from tactics.segment import Run
from tactics.store import lease
from tactics.template import TacticsTemplate
from tests.driving import NOON, Drive, Maker, Working, after, satisfied
from tests.making import document

TRACE = "SELECT trace FROM execution WHERE link = :link ORDER BY created_at DESC LIMIT 1"
STATE = "SELECT attempts, step, outcome, finished_at IS NOT NULL FROM execution"


def _step(name: str, act: Callable[[Any, Run], object] = lambda _ctx, _run: None, **options: Any) -> Processor[Any]:
    def body(ctx: Any, run: Run) -> None:
        act(ctx, run)

    body.__name__ = name
    return processor(needs=TacticsInstanceContext, **options)(body)


def _show(ctx: Any, _: Run) -> None:
    ctx.outcome = "reused"


def _made(driven: Maker, *steps: Processor[Any], link: str = "prepare", **options: Any) -> Drive:
    """Drive an activity whose chain of a link has these steps before those that close it."""
    show = _step("show_it", _show)
    chains: dict[str, Any] = {
        "prepare": (save_prepared, record_event, finish_execution),
        "grant": (check_event, load_prepared, show, build_result, finish_execution),
    }
    before = (query_item,) if link == "prepare" else (check_event, load_prepared)
    chains[link] = (*before, *steps, *chains[link][len(before) if link == "grant" else 0 :])
    template = TacticsTemplate("t", ItemContext, **chains)
    queues = tuple({step.options["queue"] for step in steps if "queue" in step.options})
    drive = driven(templates=[template], queues=queues, **options)
    drive.load(document(template_type="t"))
    return drive


def _trace(drive: Drive, link: str = "prepare") -> list[tuple[str, str]]:
    return [(one["step"], one["outcome"]) for one in drive.value(TRACE, link=link)]


def test_steps_run_one_after_another_never_nested(driven: Maker) -> None:
    """Each step begins after the one before has returned, at the same depth of the stack, in one delivery."""
    log: list[tuple[str, int]] = []

    def note(name: str) -> Callable[[Any, Run], object]:
        return lambda _ctx, _run: log.append((name, len(inspect.stack())))

    drive = _made(driven, _step("do_one", note("one")), _step("do_two", note("two")), _step("do_three", note("three")))
    drive.happen(satisfied("1"))
    assert [name for name, _ in log] == ["one", "two", "three"]
    assert len({depth for _, depth in log}) == 1
    assert drive.work() == []
    assert _trace(drive) == [
        (name, "ran")
        for name in ("query_item", "do_one", "do_two", "do_three", "save_prepared", "record_event", "finish_execution")
    ]
    assert drive.rows("SELECT segments, segment_attempts FROM execution") == [([1], [1])]


def test_one_chain_ends_before_the_next_begins(driven: Maker) -> None:
    """Two executions that one delivery starts do not mix: the first one's steps all come before the second one's."""
    log: list[str] = []
    steps = [_step(f"do_{n}", lambda ctx, _run: log.append(ctx.user_id)) for n in ("one", "two")]
    drive = _made(driven, *steps)
    drive.happen(satisfied("1"), satisfied("2"))
    assert log in (["1", "1", "2", "2"], ["2", "2", "1", "1"])


def test_step_that_does_not_apply_is_skipped(driven: Maker) -> None:
    """A step whose `when` says no is left out and the trace says so; the chain goes on."""
    drive = _made(driven, _step("do_it", when=lambda ctx: bool(ctx.items)))
    drive.happen(satisfied("1"))
    assert ("do_it", "skipped") in _trace(drive)
    assert drive.rows(STATE) == [(1, None, "prepared", True)]


def test_stop_ends_the_chain_but_not_the_execution(driven: Maker) -> None:
    """After a step stopped the chain, later ones pass, the last one runs, and the outcome is the step's reason."""
    drive = _made(driven, _step("do_stop", lambda ctx, _run: ctx.stop("enough", "that will do")))
    drive.happen(satisfied("1"))
    assert _trace(drive) == [
        ("query_item", "ran"),
        ("do_stop", "stopped: enough"),
        ("save_prepared", "passed"),
        ("record_event", "passed"),
        ("finish_execution", "ran"),
    ]
    assert drive.rows("SELECT outcome, reason FROM execution") == [("enough", "that will do")]
    assert drive.rows("SELECT consumed_at, prepared_epoch FROM event, instance") == [(None, None)]


@pytest.mark.parametrize("where", ["body", "when"])
def test_failed_attempt_leaves_nothing_and_is_tried_again(driven: Maker, where: str) -> None:
    """What a failing step and those before it wrote is taken back; the reason is kept, and a later attempt succeeds."""
    broken = [True]

    def fail(_ctx: Any, run: Run | None = None) -> bool:
        if broken[0]:
            raise ValueError("broken\x00 \ud800 thing\nwith more lines")
        return True

    write = _step("do_write", lambda ctx, run: run.save_prepared(ctx))
    failing = _step("do_fail", fail) if where == "body" else _step("do_fail", when=fail)
    drive = _made(driven, write, failing)
    drive.happen(satisfied("1"))
    assert drive.rows(STATE) == [(1, None, None, False)]
    reason, due = drive.rows("SELECT reason, next_attempt_at > now() FROM execution")[0]
    assert reason.startswith("do_fail: ValueError: broken")
    assert "with more lines" not in reason
    assert due is True
    assert _trace(drive)[-1] == ("do_fail", "failed")
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

    drive = _made(driven, _step("do_fail", fail), max_attempts=4, retry_base_s=100.0, retry_max_s=300.0)
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

    drive = _made(driven, _step("do_spoil", spoil))
    drive.happen(satisfied("1"))
    assert "context field 'user' is not plain data" in drive.value("SELECT reason FROM execution")
    assert drive.rows("SELECT * FROM instance") == []


@pytest.mark.parametrize("options", [{"queue": "slow"}, {"time_limit_s": 9}, {"rate_limit": "99/s"}])
def test_isolated_step_hops_with_its_context(driven: Maker, options: dict[str, Any]) -> None:
    """A step of its own kind runs by a message that carries ids only, finds the context as it was, and the chain goes on."""
    seen: list[Any] = []

    def fill(ctx: Any, _: Run) -> None:
        ctx.items, ctx.user = [{"item_id": "é"}], {"a": [1, None, 2.5]}

    def look(ctx: Any, run: Run) -> None:
        seen.append((ctx.items, ctx.user, ctx.now, ctx.user_id, run.attempt, run.epoch))

    drive = _made(driven, _step("do_fill", fill), _step("do_look", look, **options))
    drive.happen(satisfied("1"))
    assert drive.rows(STATE) == [(1, "do_look", None, False)]
    message = str(drive.runtime.redis.lrange(options.get("queue", "prepare"), 0, -1))
    assert drive.value("SELECT id::text FROM execution") in message
    assert "item_id" not in message
    assert drive.work() == ["tactics.do_look"]
    assert seen == [([{"item_id": "é"}], {"a": [1, None, 2.5]}, NOON, "1", 1, 1)]
    assert drive.rows("SELECT outcome, segments, context FROM execution") == [("prepared", [1, 1], None)]
    assert [name for name, _ in _trace(drive)][:3] == ["query_item", "do_fill", "do_look"]
    assert drive.runtime.redis.keys("tactics:lease:*") == []


def test_step_by_step_gives_what_in_place_gives(driven: Maker) -> None:
    """Published step by step a preparation leaves the same outcome, trace and prepared data, one message a step."""
    left = []
    for in_place in (True, False):
        drive = _made(driven, in_place=in_place)
        drive.forget()
        drive.run("TRUNCATE execution, event, instance")
        drive.happen(satisfied("1", id="same"))
        assert len(drive.work()) == (0 if in_place else 4)
        stored = drive.runtime.redis.get("tactics:prepared:camp18:1")
        left.append((_trace(drive), drive.rows("SELECT outcome, epoch, attempts FROM execution"), stored))
    assert left[0] == left[1]


def test_placement_that_hops_is_answered_by_the_worker(driven: Maker) -> None:
    """A placement whose chain hops is finished elsewhere, and its caller gets that answer."""
    drive = _made(driven, _step("do_far", queue="slow"), link="grant", placement_deadline_ms=20_000)
    drive.happen(satisfied("1"))
    with Working(drive):
        answer = drive.visit("1")
    assert [part["outcome"] for part in answer.results] == ["reused"]
    assert _trace(drive, "grant")[2] == ("do_far", "ran")


def test_placement_given_up_at_its_deadline_is_never_finished(driven: Maker) -> None:
    """When nobody finishes a hopped placement in time it is abandoned: its answer is incomplete, and stays so."""
    drive = _made(driven, _step("do_far", queue="slow"), link="grant", placement_deadline_ms=50)
    drive.happen(satisfied("1"))
    answer = drive.visit("1", key="k")
    assert (answer.complete, len(answer.execution_ids)) == (False, 1)
    assert drive.work() == ["tactics.do_far"]
    assert drive.rows("SELECT outcome FROM execution WHERE link = 'grant'") == [("abandoned",)]
    assert drive.rows("SELECT outcome, answer FROM event WHERE type = 'placement'") == [("abandoned", {})]
    assert drive.visit("1", key="k").to_json() == answer.to_json()


@pytest.fixture
def hopping(driven: Maker) -> Drive:
    """A drive with one execution that waits before its second segment, the message for it in the broker."""
    drive = _made(driven, _step("do_far", queue="slow"))
    drive.happen(satisfied("1"))
    return drive


def _deliver(drive: Drive, step: str, attempt: int) -> Any:
    return drive.deliver(f"tactics.{step}", drive.value("SELECT id::text FROM execution"), attempt)


def test_message_that_is_not_the_current_one_exits_silently(hopping: Drive) -> None:
    """A message of another attempt or step, for an execution that ended or never was, changes nothing and says nothing."""
    before = hopping.rows("SELECT * FROM execution")
    for step, attempt in (("do_far", 2), ("do_far", 0), ("query_item", 1), ("save_prepared", 1)):
        assert _deliver(hopping, step, attempt) is None
    assert hopping.deliver("tactics.do_far", "0b0e2b3c-6c0e-4f7e-9d0a-2f1f5f5c9a11", 1) is None
    assert hopping.rows("SELECT * FROM execution") == before
    hopping.work()
    ended = hopping.rows("SELECT * FROM execution")
    assert ended[0] != before[0]
    assert _deliver(hopping, "do_far", 1) is None
    assert hopping.rows("SELECT * FROM execution") == ended


def test_later_attempt_goes_on_from_the_step(hopping: Drive) -> None:
    """When the message of a hop is lost the sweeper's attempt goes on at that step, not at the first."""
    hopping.forget()
    hopping.settle()
    assert hopping.rows(STATE) == [(2, "do_far", "prepared", True)]
    assert [name for name, _ in _trace(hopping)].count("query_item") == 1
    assert hopping.rows("SELECT segments, segment_attempts FROM execution") == [([1, 2], [1, 2])]


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


def test_placement_that_was_overtaken_is_superseded(driven: Maker) -> None:
    """A hopped placement that finds a newer epoch is closed as superseded, and its caller is told so."""
    drive = _made(driven, _step("do_far", queue="slow"), link="grant", placement_deadline_ms=50)
    drive.happen(satisfied("1"))
    drive.visit("1", key="k")
    drive.run("UPDATE event SET abandoned_at = NULL, outcome = NULL")
    drive.run("UPDATE instance SET epoch = epoch + 1")
    drive.work()
    assert drive.rows("SELECT outcome FROM execution WHERE link = 'grant'") == [("superseded",)]
    assert [part["reason"] for part in drive.visit("1", key="k").not_shown] == ["superseded"]


def test_busy_instance_is_tried_again_until_its_lock_has_fallen(driven: Maker) -> None:
    """A preparation whose instance is locked waits, longer each time: its attempts outlast an orphaned lock."""
    drive = _made(driven)
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


def test_steps_show_in_flower_as_tasks_of_one_tree(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Task events of steps run in place are sent in one batch: name, lineage and outcome of each, and no user data."""
    batches: list[list[dict[str, Any]]] = []
    drive = _made(driven, _step("do_it"))

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
    drive = _made(driven)

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
