"""What is delivered more than once has one effect."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.delivery import scenarios
from tests.delivery.findings import audited, unended, wait_for_the_end
from tests.delivery.message import Message
from tests.delivery.stage import Stage, behaviour
from tests.delivery.waiting import until

TIMES = 10


def test_an_event_delivered_ten_times_at_once_has_one_effect(open_stage: Callable[..., Stage]) -> None:
    """Routed, ingested and started ten times at once by four processes, an event is prepared for exactly once."""
    stage = open_stage(claim_s=30.0)
    stage.import_activity()
    one, other = behaviour("u1", 1), behaviour("u2", 2)
    scenarios.accept(stage, one, behaviour("u3", 3))
    stage.run_in_place(False)
    scenarios.route(stage, 3)
    (first_step,) = stage.published()
    stage.run_in_place(True)
    for _ in range(TIMES):
        stage.app.tasks["tactics.route_events"].delay([["test", "e1", 1]])
        stage.app.tasks["tactics.ingest_event"].delay(other)
        stage.publish(first_step)
    stage.start_workers(2, processes=2)
    with stage.sweeping():
        wait_for_the_end(stage)
        until(lambda: not stage.waiting(), "all messages are taken")
    effects = stage.rows("""
        SELECT e.user_id, e.segments, e.outcome, i.epoch, v.consumed_at IS NOT NULL AS consumed
        FROM execution e JOIN instance i USING (user_id) JOIN event v ON v.id = e.event_id ORDER BY 1
    """)
    assert [row.pop("user_id") for row in effects] == ["u1", "u2", "u3"]
    assert effects == [{"segments": [1], "outcome": "prepared", "epoch": 1, "consumed": True}] * 3
    assert not audited(stage)


def test_a_placement_repeated_after_its_asset_was_redeemed_grants_nothing(stage: Stage) -> None:
    """The same request under the same key gets the same answer; the asset stays spent, and no second one is given."""
    stage.import_activity()
    scenarios.accept(stage, behaviour("u1", 1))
    scenarios.route(stage, 1)
    first = stage.visit("u1", key="k")
    assert first.results[0]["outcome"] == "granted"
    stage.redeem(first.results[0]["assets"][0]["asset_id"])
    assert stage.visit("u1", key="k") == first
    stage.redis.flushall()
    assert stage.visit("u1", key="k") == first
    assert stage.rows("SELECT status FROM asset") == [{"status": "redeemed"}]
    assert not audited(stage)


def _granting_messages(stage: Stage, *, last: str) -> tuple[list[Message], Any]:
    """Let a user visit step by step, and deliver up to the message of the step `last`.

    Returns:
        The messages delivered, and what will be the answer.
    """
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(stage.shown, "u1")
        done: list[Message] = []
        while not done or done[-1].task != f"tactics.{last}":
            until(stage.waiting, "the next step is published")
            for message in stage.published():
                stage.deliver_message(message)
                done.append(message)
    return done, answer.result()


def test_messages_redelivered_after_the_asset_was_redeemed_grant_nothing(open_stage: Callable[..., Stage]) -> None:
    """Every message of a chain that granted step by step comes once more after the redemption, and changes nothing."""
    stage = open_stage(in_place=False, placement_deadline_ms=30_000)
    stage.import_activity()
    stage.submit(behaviour("u1", 1))
    stage.deliver_published()
    messages, part = _granting_messages(stage, last="finish_execution")
    assert part["outcome"] == "granted"
    stage.redeem(part["assets"][0]["asset_id"])
    before = stage.rows("SELECT id, outcome, segments FROM execution ORDER BY id")
    for message in messages:
        stage.deliver_message(message)
    assert not stage.published()
    assert stage.rows("SELECT id, outcome, segments FROM execution ORDER BY id") == before
    assert stage.value("SELECT count(*) FROM grant_record") == 1
    assert not audited(stage)


def test_an_unfinished_execution_resumed_after_the_redemption_grants_nothing(open_stage: Callable[..., Stage]) -> None:
    """An execution that granted, lost its next message and was resumed after the redemption keeps its one grant."""
    stage = open_stage(in_place=False, placement_deadline_ms=250, placement_deadline_max_ms=250)
    stage.import_activity()
    stage.submit(behaviour("u1", 1))
    stage.deliver_published()
    assert not stage.visit("u1").complete
    # As if its deadline were still to come.
    stage.run_sql("UPDATE event SET abandoned_at = NULL, received_at = now() + interval '1 hour'")
    granted: Message | None = None
    while granted is None:
        until(stage.waiting, "the next step is published")
        for message in stage.published():
            stage.deliver_message(message)
            granted = message if message.task == "tactics.send_benefit" else None
    stage.published()
    stage.redeem(str(stage.value("SELECT id FROM asset")))
    stage.deliver_message(granted)
    assert unended(stage)
    stage.work_until_the_end()
    assert stage.rows("SELECT outcome, attempts FROM execution WHERE link = 'grant'") == [
        {"outcome": "granted", "attempts": 2}
    ]
    assert stage.rows("SELECT status FROM asset") == [{"status": "redeemed"}]
    assert not audited(stage)
