"""An instance at which another execution works: events wait, placements are told so, and no wait is a failure."""

from __future__ import annotations

from collections.abc import Callable

from tactics.flows.placement import all_busy
from tactics.store.lease import lease_key
from tests.delivery.findings import audited, unended, wait_for_the_end
from tests.delivery.processes import Visitor
from tests.delivery.stage import Stage, behaviour
from tests.delivery.waiting import until

FOREIGN = "0f0f0f0f-0000-4000-8000-000000000000:1:somebody"


def test_a_busy_instance_is_waited_for(open_stage: Callable[..., Stage]) -> None:
    """A behaviour event waits longer than it has attempts and then ends; a placement answers busy meanwhile."""
    stage = open_stage(max_attempts=3)
    stage.import_activity()
    stage.start_workers(1)
    stage.redis.set(lease_key("camp18", "u1"), FOREIGN)
    stage.submit(behaviour("u1", 1))
    with stage.sweeping():
        until(lambda: stage.rows("SELECT 1 FROM execution WHERE attempts > 5"), "it was tried again and again")
        assert unended(stage) == ["execution prepare of u1"]
        answer = stage.visit("u1")
        assert all_busy(answer)
        assert stage.shown("u1", lock=False)["reason"] == "not_prepared"
        assert stage.redis.getdel(lease_key("camp18", "u1")) == FOREIGN.encode()
        wait_for_the_end(stage)
    assert stage.shown("u1")["outcome"] == "granted"
    assert stage.value("SELECT outcome FROM execution WHERE link = 'prepare'") == "prepared"
    assert not audited(stage)


def test_fifty_users_in_five_processes_get_a_stock_of_ten(stage: Stage) -> None:
    """Fifty users from five processes at once for a stock of ten: ten grants, forty sold out."""
    stage.import_activity(stock=10, channels={"grant": ["home_banner"]})
    visitors: list[Visitor] = stage.start_visitors(5)
    for number, one in enumerate(visitors):
        one.visit(*[(f"u{number}-{user}", f"k{number}-{user}") for user in range(10)])
    outcomes = [outcome for one in visitors for outcome in one.outcomes()]
    assert (outcomes.count("granted"), outcomes.count("sold_out")) == (10, 40)
    assert stage.value("SELECT remaining FROM benefit") == 0
    assert not audited(stage)


def test_a_key_used_by_five_processes_at_once_grants_once(stage: Stage) -> None:
    """The same request from five processes at once is one placement: one execution, one grant."""
    stage.import_activity(channels={"grant": ["home_banner"]})
    visitors = stage.start_visitors(5)
    for one in visitors:
        one.visit(*[(f"u{user}", f"k{user}") for user in range(20)])
    outcomes = {outcome for one in visitors for outcome in one.outcomes()}
    assert {"granted"} <= outcomes <= {"granted", "busy"}  # busy: who asks while the answer is being worked out
    assert stage.value("SELECT count(*) FROM execution") == stage.value("SELECT count(*) FROM grant_record") == 20
    assert not audited(stage)
