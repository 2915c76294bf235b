"""Two workers and a placement race on one instance, again and again: nothing is overwritten."""

from __future__ import annotations

from collections import Counter

import pytest

from tactics.flows.action import accept_events
from tests.delivery.findings import audited, overwritten, unended, wait_for_the_end
from tests.delivery.stage import Stage, behaviour, until

ROUNDS = 1_000
AT_ONCE = 25


def _publish(stage: Stage, rounds: range) -> None:
    """Publish two behaviour events a round: all the first ones in one message, all the second ones in another."""
    numbers = [number for one in rounds for number in (2 * one, 2 * one + 1)]
    receipts, refs = accept_events(stage.app, [behaviour("u1", number) for number in numbers])
    assert {one.status for one in receipts} == {"accepted"}
    for half in (refs[::2], refs[1::2]):
        stage.app.tasks["tactics.route_events"].delay(half)


@pytest.mark.parametrize("lock", [True, False])
def test_two_workers_and_a_placement_race_on_one_instance(stage: Stage, lock: bool) -> None:
    """In 1,000 rounds epochs only grow, every placement uses what was prepared last, and grants are unique."""
    stage.import_activity(lock=lock)
    stage.start_workers(2)
    outcomes: Counter[str] = Counter()
    with stage.sweeping():
        for first in range(0, ROUNDS, AT_ONCE):
            until(lambda: len(unended(stage)) < 4 * AT_ONCE, "the workers keep up")
            _publish(stage, range(first, first + AT_ONCE))
            for _ in range(AT_ONCE):
                part = stage.shown("u1")
                outcomes[part.get("outcome") or part["reason"]] += 1
                if part.get("outcome") == "granted":
                    stage.redeem(part["assets"][0]["asset_id"])
        wait_for_the_end(stage)
    assert not overwritten(stage, "u1")
    assert not audited(stage)
    counts = {row["outcome"]: row["n"] for row in stage.rows("SELECT outcome, count(*) n FROM execution GROUP BY 1")}
    assert counts.pop("prepared") == 2 * ROUNDS
    assert sum(outcomes.values()) == ROUNDS
    assert outcomes["error"] == 0
    assert outcomes["granted"] == stage.value("SELECT count(*) FROM grant_record") > ROUNDS // 20
    assert (outcomes["busy"] == 0) is not lock
    # No segment that committed shares its epoch, and none that was taken back left a gap.
    assert stage.value("SELECT epoch FROM instance") == stage.value("SELECT count(*) FROM execution")
