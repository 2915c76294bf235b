"""How long the sweeper waits before it takes a message for lost."""

from __future__ import annotations

import pytest

from tests.delivery import scenarios
from tests.delivery.stage import Stage, behaviour


@pytest.mark.parametrize("table", ["event", "execution"])
def test_each_claim_lasts_longer_than_the_one_before(stage: Stage, table: str) -> None:
    """A message that only waits in a long queue is repeated ever more rarely, so that the queue does not grow by it."""
    stage.import_activity()
    scenarios.accept(stage, behaviour("u1", 1))
    if table == "execution":
        stage.run_in_place(False)
        scenarios.route(stage, 1)
    waits = []
    for _ in range(7):
        stage.run_sql(f"UPDATE {table} SET next_attempt_at = now() - interval '1 s'")  # noqa: S608  # ours
        stage.sweep()
        left = f"SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float FROM {table}"  # noqa: S608  # ours
        waits.append(round(stage.value(left) / stage.settings.claim_s))
    assert waits == [2, 4, 8, 16, 32, 32, 32]
    assert len(stage.published()) >= 7
