"""Two workers and a placement race on one instance, again and again: nothing is overwritten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tactics.flows.accepting import accept_events
from tests.delivery.findings import audited, overwritten, unended, wait_for_the_end
from tests.delivery.stage import Stage, behaviour
from tests.delivery.waiting import until

ROUNDS = 1_000
AT_ONCE = 50


def _publish(stage: Stage, rounds: range, users: list[str]) -> None:
    """Publish two behaviour events a round: all the first ones in one message, all the second ones in another."""
    events = [behaviour(users[one % len(users)], f"{one}-{half}") for one in rounds for half in (0, 1)]
    receipts, refs = accept_events(stage.app, events)
    assert {one.status for one in receipts} == {"accepted"}
    for half in (refs[::2], refs[1::2]):
        stage.app.tasks["tactics.route_events"].delay(half)


def _visit(stage: Stage, user_id: str) -> str:
    """Visit, and redeem at once what was granted, so that the next visit can be granted again."""
    part = stage.shown(user_id)
    if part.get("outcome") == "granted":
        stage.redeem(part["assets"][0]["asset_id"])
    return str(part.get("outcome") or part["reason"])


# A held lock makes the others come again later: over one instance alone that would be all that happens.
@pytest.mark.parametrize(("lock", "instances"), [(True, 10), (False, 1)])
def test_two_workers_and_a_placement_race_on_one_instance(
    open_stage: Callable[..., Stage], lock: bool, instances: int
) -> None:
    """In 1,000 rounds epochs only grow, every placement uses what was prepared last, and grants are unique."""
    # Nothing is lost here; on a slow machine messages only take their time. Who is busy is not waited for, to see it.
    stage = open_stage(claim_s=30.0, busy_wait_ms=0)
    stage.import_activity(lock=lock)
    stage.start_workers(2)
    users = [f"u{number}" for number in range(instances)]
    outcomes: Counter[str] = Counter()
    with stage.sweeping():
        for first in range(0, ROUNDS, AT_ONCE):
            rounds = range(first, first + AT_ONCE)
            _publish(stage, rounds, users)
            outcomes.update(_visit(stage, users[one % instances]) for one in rounds)
            until(lambda: len(unended(stage)) < 2 * AT_ONCE, "the workers keep up")
        wait_for_the_end(stage)
    assert not [found for user_id in users for found in overwritten(stage, user_id)]
    assert not audited(stage)
    counts = {row["outcome"]: row["n"] for row in stage.rows("SELECT outcome, count(*) n FROM execution GROUP BY 1")}
    assert counts["prepared"] == 2 * ROUNDS
    assert sum(outcomes.values()) == ROUNDS
    assert outcomes["error"] == 0
    assert outcomes["granted"] == stage.value("SELECT count(*) FROM grant_record") > ROUNDS // 20
    assert (outcomes["busy"] == 0) is not lock
    # No segment that committed shares its epoch, and none that was taken back left a gap.
    assert stage.value("SELECT sum(epoch) FROM instance") == stage.value("SELECT count(*) FROM execution")
