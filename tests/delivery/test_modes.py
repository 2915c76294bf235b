"""In place and step by step: the same steps with the same results, and chains that go elsewhere and come back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from tests.delivery import scenarios
from tests.delivery.findings import audited, unended, wait_for_the_end
from tests.delivery.plays import roaming
from tests.delivery.stage import Stage, behaviour
from tests.delivery.waiting import until

USERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stopped": {"trouble": "stop"},
    "failing": {"trouble": "fail", "attempts": 2},
    "hopeless": {"trouble": "fail", "attempts": 99},
    "odd": {"trouble": "odd", "attempts": 2},
}
_EXECUTIONS = """
SELECT user_id, link, outcome, attempts, locked, trace, segments = ARRAY[attempts] AS at_once, context IS NULL OR outcome = 'parked' AS clean
FROM execution ORDER BY user_id, link, created_at
"""
_HAD = """
SELECT g.user_id, will_send_count, idempotency_id, state, usable, g.value_minor, a.kind, a.status, a.line
FROM grant_record g JOIN asset a ON a.grant_id = g.id ORDER BY 1, 2, a.line
"""


def _result(stage: Stage) -> dict[str, Any]:
    """Run the same input, and give everything that came of it but ids and times."""
    stage.import_activity()
    stage.start_workers(1, processes=2)
    stage.submit(*[behaviour(user_id, user_id, **attributes) for user_id, attributes in USERS.items()])
    with stage.sweeping():
        wait_for_the_end(stage)
        answers = {user_id: [_plain(stage.shown(user_id)) for _ in range(2)] for user_id in USERS}
        answers["nobody"] = [_plain(stage.shown("plain", attributes={"trouble": "stop"}))]
        wait_for_the_end(stage)
    assert not audited(stage)
    executions = stage.rows(_EXECUTIONS)
    for row in executions:
        row["trace"] = {step["step"]: step["outcome"] for step in row["trace"]}
        assert row.pop("at_once") is (stage.settings.in_place and row["outcome"] != "parked")
    return {"answers": answers, "executions": executions, "had": stage.rows(_HAD)}


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in part.items() if name not in {"execution_id", "assets"}}
    return {**kept, "assets": [(one["kind"], one["status"], one["value_minor"]) for one in part.get("assets", [])]}


def test_in_place_and_step_by_step_give_the_same(open_stage: Callable[..., Stage]) -> None:
    """Outcomes, traces, grants and assets are equal, with chains that stop, steps that are skipped, fail, or never work."""
    common = {"max_attempts": 4, "placement_deadline_ms": 30_000}
    with open_stage(**common) as stage:
        in_place = _result(stage)
        stage.clear()
    step_by_step = _result(open_stage(in_place=False, **common))
    for part, found in step_by_step.items():
        assert found == in_place[part], part
    outcomes = {row["user_id"]: row for row in in_place["executions"] if row["link"] == "prepare"}
    assert {name: (row["outcome"], row["attempts"]) for name, row in outcomes.items()} == {
        "plain": ("prepared", 1),
        "stopped": ("holdout", 1),
        "failing": ("prepared", 3),
        "hopeless": ("parked", 4),
        "odd": ("prepared", 3),
    }


def test_a_message_carries_ids_only(stage: Stage) -> None:
    """What a chain leaves in the broker when it hops names its execution, the attempt and steps, and nothing else."""
    stage.import_activity(template_type="roaming")
    stage.submit(behaviour("a-user-of-ours", "an-event", note="what-they-did"))
    stage.deliver_published()
    (message,) = stage.published("elsewhere")
    (execution_id,) = (str(row["id"]) for row in stage.rows("SELECT id FROM execution"))
    assert message.task == "tactics.mark_elsewhere"
    assert (message.args, message.kwargs) == ([execution_id, 1], {})
    assert [(step["task"], step["args"], step["kwargs"]) for step in reversed(message.chain)] == [
        (f"tactics.{name}", [execution_id, 1], {})
        for name in ("mark_back", "save_prepared", "record_event", "finish_execution")
    ]
    text = json.dumps([message.headers, message.args, message.chain])
    assert not [word for word in ("a-user-of-ours", "an-event", "what-they-did", "camp18") if word in text]


def test_a_chain_goes_elsewhere_and_comes_back(open_stage: Callable[..., Stage]) -> None:
    """An isolated step runs on its own workers, the steps after it where the others ran; a placement is answered."""
    stage = open_stage(placement_deadline_ms=30_000, claim_s=30.0)
    stage.import_activity(template_type="roaming")
    scenarios.accept(stage, behaviour("u1", 1))
    scenarios.route(stage, 1)
    until(lambda: stage.waiting("elsewhere"), "it has hopped")
    assert unended(stage)
    here, there = (
        stage.start_worker("here", processes=1),
        stage.start_worker("there", queues=["elsewhere"], processes=1),
    )
    for one in (here, there):
        one.wait_until_ready()
    with stage.sweeping():
        wait_for_the_end(stage)
        part = stage.shown("u1")
        wait_for_the_end(stage)
    assert part["outcome"] == "granted"
    text: Any = stage.redis.get("tactics:prepared:camp18:u1")
    first, isolated, last = json.loads(text)["data"]["made_by"]
    assert first == os.getpid()
    assert (there.owns(isolated), here.owns(last)) == (True, True)
    steps = stage.rows("SELECT link, trace, segments FROM execution ORDER BY created_at")
    assert [step["step"] for step in steps[0]["trace"]] == [step.name for step in roaming.prepare]
    assert [row["segments"] for row in steps] == [[1, 1, 1], [1, 1, 1]]
    assert not audited(stage)
