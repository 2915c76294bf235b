"""Whatever is killed, emptied or cut off: everything that was accepted ends, and nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tactics.chain import prepare_app
from tactics.flows.accepting import accept_events
from tactics.flows.action import submit_events
from tactics.worker import make_app
from tests.delivery.findings import audited, unended, wait_for_the_end
from tests.delivery.plays import register_plays
from tests.delivery.stage import Stage, behaviour
from tests.delivery.waiting import until

NOWHERE = "redis://127.0.0.1:1/0"
KILLS = 3


def _ended(stage: Stage) -> int:
    return int(stage.value("SELECT count(*) FROM execution WHERE finished_at IS NOT NULL"))


def _each_user_has_one_grant(stage: Stage, users: list[str]) -> None:
    found = stage.rows("SELECT user_id, count(*) AS n FROM grant_record GROUP BY 1 ORDER BY 1")
    assert found == [{"user_id": user_id, "n": 1} for user_id in sorted(users)]
    assert not audited(stage)


def test_workers_killed_in_the_middle_of_chains_lose_and_double_nothing(open_stage: Callable[..., Stage]) -> None:
    """Workers are killed again and again while they prepare and grant step by step: all ends, one grant a user."""
    stage = open_stage(in_place=False, placement_deadline_ms=60_000, lease_s=5)
    stage.import_activity()
    users = [f"u{number}" for number in range(40)]
    _, refs = accept_events(stage.app, [behaviour(user_id, user_id) for user_id in users])
    for first in range(0, len(refs), 4):
        stage.app.tasks["tactics.route_events"].delay(refs[first : first + 4])
    workers = stage.start_workers(2)
    with stage.sweeping(), ThreadPoolExecutor(8) as pool:
        answers = []
        for number in range(KILLS):
            before = _ended(stage)
            until(lambda before=before: _ended(stage) >= min(before + 8, len(users)), "workers get on")  # type: ignore[misc]  # its default is its type
            answers += [pool.submit(stage.shown, user_id) for user_id in users[number * 8 : number * 8 + 8]]
            workers[number % 2].kill()
            workers[number % 2] = stage.start_worker(f"again{number}", processes=1)
        for answer in answers:
            answer.result()
        wait_for_the_end(stage)
        assert {stage.shown(user_id)["outcome"] for user_id in users} <= {"granted", "reused"}
        wait_for_the_end(stage)
    _each_user_has_one_grant(stage, users)


def test_visitors_killed_in_the_middle_of_placements_lose_and_double_nothing(open_stage: Callable[..., Stage]) -> None:
    """Processes are killed while they answer the same users at once; whoever asks again gets the one grant."""
    stage = open_stage(lease_s=2)
    stage.import_activity(channels={"grant": ["home_banner"]})
    users = [f"u{number}" for number in range(120)]
    for kill in range(KILLS):
        visitors = stage.start_visitors(2)
        before = _ended(stage)
        for number, one in enumerate(visitors):
            one.visit(*[(user_id, f"k{kill}-{number}-{user_id}") for user_id in users[kill * 40 :]])
        until(lambda before=before: _ended(stage) > before + 5, "visitors get on")  # type: ignore[misc]  # as above
        for one in visitors:
            one.kill()
    until(lambda: stage.value("SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid'") == 0, "all are gone")
    for user_id in users:
        until(lambda user_id=user_id: stage.shown(user_id).get("outcome") in {"granted", "reused"}, "its lock falls")  # type: ignore[misc]  # as above
    _each_user_has_one_grant(stage, users)


@pytest.mark.parametrize("in_place", [True, False])
def test_redis_emptied_during_a_run_loses_nothing(open_stage: Callable[..., Stage], in_place: bool) -> None:
    """Redis loses everything, messages, locks and prepared data, three times during a run; all ends, beat sees to it."""
    stage = open_stage(in_place=in_place, claim_s=1.0)
    stage.import_activity()
    users = [f"u{number}" for number in range(60)]
    stage.start_beat()
    stage.start_workers(1, processes=2)
    for number in range(3):
        ended = _ended(stage)
        part = users[number * 20 : number * 20 + 20]
        _, refs = accept_events(stage.app, [behaviour(user_id, user_id) for user_id in part])
        for ref in refs:
            stage.app.tasks["tactics.route_events"].delay([ref])
        until(lambda ended=ended: _ended(stage) > ended, "workers get on")  # type: ignore[misc]  # its default is its type
        stage.redis.flushall()
    wait_for_the_end(stage)
    stage.redis.flushall()
    stage.run_in_place(True)
    assert {stage.shown(user_id)["outcome"] for user_id in users} == {"granted"}
    _each_user_has_one_grant(stage, users)


def test_what_could_not_be_published_ends_all_the_same(open_stage: Callable[..., Stage]) -> None:
    """With the broker away events are accepted, and a chain gets as far as its first hop; later everything ends."""
    stage = open_stage(claim_s=0.5)
    stage.import_activity(template_type="roaming")
    cut_off = make_app(stage.settings)
    register_plays(cut_off)
    cut_off.conf.update(broker_url=NOWHERE, task_publish_retry=False)
    receipts = submit_events(cut_off, [behaviour("u1", 1), behaviour("u2", 2)])
    assert {one.status for one in receipts} == {"accepted"}
    prepare_app(cut_off)
    stage.deliver("tactics.route_events", [["test", "e1", 1]], app=cut_off)
    prepare_app(stage.app)
    assert not stage.waiting("prepare", "elsewhere")
    assert sorted(unended(stage)) == ["event e2", "execution prepare of u1"]
    assert stage.rows("SELECT step FROM execution") == [{"step": "mark_elsewhere"}]
    cut_off.runtime.close()
    stage.start_worker(queues=("prepare", "elsewhere"))
    with stage.sweeping():
        wait_for_the_end(stage)
    assert stage.rows("SELECT DISTINCT outcome FROM execution") == [{"outcome": "prepared"}]
    assert not audited(stage)


@pytest.mark.parametrize("trouble", ["hang", "hang_on", "die"])
def test_a_step_that_does_not_come_back_is_tried_again(open_stage: Callable[..., Stage], trouble: str) -> None:
    """A step that hangs is stopped at the soft limit, or killed at the hard one, or dies: another attempt ends it."""
    stage = open_stage(task_time_limit_s=2, claim_s=3.0, lease_s=4)
    stage.import_activity()
    stage.start_workers(1)
    stage.submit(behaviour("u1", 1, trouble=trouble))
    with stage.sweeping():
        wait_for_the_end(stage)
    (found,) = stage.rows("SELECT outcome, attempts, segments, trace FROM execution")
    assert found["outcome"] == "prepared"
    assert found["segments"] == [found["attempts"]]
    assert found["attempts"] >= 2
    assert any(step["outcome"] == "failed" for step in found["trace"]) is (trouble == "hang")
    assert not audited(stage)
