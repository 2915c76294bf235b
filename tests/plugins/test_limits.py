"""A step with its own queue and time limit, on real workers: what it does to its execution, and to no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tactics.config import Settings
from tests.delivery.stage import Stage, behaviour
from tests.delivery.waiting import until

PLUGIN = "tests.plugins.slow_play"


@pytest.fixture
def stage(settings: Settings, environment: dict[str, str], tmp_path: Path) -> Iterator[Stage]:
    """A stage whose processes have the plugin by TACTICS_PLUGINS, and claim again as soon as a killed child is gone."""
    loaded = settings.model_copy(update={"plugins": (PLUGIN,)})
    with Stage(loaded, {**environment, "TACTICS_PLUGINS": PLUGIN}, tmp_path, claim_s=4.0, max_attempts=2) as made:
        yield made


def test_a_step_past_its_time_ends_its_own_execution_alone(stage: Stage) -> None:
    """One that is stopped and one that is killed are tried again and parked with a reason; the others are prepared."""
    stage.import_activity(template_type="slow_play")
    hows = {"u1": "fine", "u2": "slow", "u3": "deaf", "u4": "fine"}
    general = stage.start_worker("general")
    slow = stage.start_worker("slow", queues=["slow"])
    for one in (general, slow):
        one.wait_until_ready()
    stage.submit(*(behaviour(user, user, how=how) for user, how in hows.items()))
    with stage.sweeping():
        until(lambda: stage.value("SELECT count(finished_at) FROM execution") == len(hows), "all have ended")
    found = stage.rows("SELECT user_id, outcome, reason, attempts FROM execution ORDER BY user_id")
    assert [tuple(one.values()) for one in found] == [
        ("u1", "prepared", None, 1),
        ("u2", "parked", "wait_long: TookTooLong: stopped shortly before its limit of 2 s", 2),
        ("u3", "parked", "no attempt at step wait_long came to an end", 2),
        ("u4", "prepared", None, 1),
    ]
    assert [stage.shown(user).get("outcome") for user in ("u1", "u4")] == ["granted", "granted"]
    assert not stage.redis.llen("slow")
