"""The short run of the chaos suite: every kind of fault once at least, and nothing that does not hold."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tactics.embedded.home import temporary
from tests.chaos.plan import KILLED, SERVERS, STOPPED, make_plan
from tests.chaos.scene import write_script
from tests.chaos.seed import run_seed
from tests.chaos.shape import Shape

SHORT = Shape().scaled(0.05)


@pytest.fixture
def home() -> Path:
    """A folder that the servers' account may enter; it stays where something does not hold."""
    return temporary()


def test_nothing_is_lost_or_given_twice_while_everything_fails(home: Path) -> None:
    """Under every kind of fault, all that was accepted ends, within its time, and nobody gets anything twice."""
    result = run_seed(SHORT, 1, home)
    found = [f"{one.check}: {one.text}" for one in result.findings]
    assert found == [], f"the histories are in {home}"
    assert result.accepted >= SHORT.events
    kinds = {fault.kind for fault in make_plan(1, SHORT)} - {"clock_jump"}
    assert kinds <= result.faults.keys()
    states = {name.partition(" ")[0] for name in result.figures["grants"]}
    assert {"stocked", "unlocked", "better", "outside"} <= states, result.figures


def test_a_plan_is_its_seeds_alone() -> None:
    """The same seed makes the same plan and load, whatever was drawn before; another seed another."""
    shape = Shape()
    first = (make_plan(3, shape), write_script(3, shape))
    random.seed(7)
    assert (make_plan(3, shape), write_script(3, shape)) == first
    assert make_plan(4, shape) != first[0]


def test_a_whole_plan_has_what_was_promised() -> None:
    """As many faults of each kind as the shape says; half of the cuts last, every role and both servers are hit."""
    shape = Shape()
    plan = make_plan(1, shape)
    assert len(plan) == shape.faults
    assert plan == sorted(plan)
    cuts = [one for one in plan if one.kind == "cut"]
    lasting = [one.for_s for one in cuts if one.for_s]
    assert len(lasting) * 2 == len(cuts)
    assert all(0.3 <= for_s <= 2.0 for for_s in lasting)
    assert {one.target for one in cuts} == set(SERVERS)
    assert {one.target for one in plan if one.kind == "kill"} == set(KILLED)
    assert {one.target for one in plan if one.kind == "stop"} == set(STOPPED)
    outlasted = (shape.lease_s, shape.visibility_timeout_s, shape.claim_s, shape.task_time_limit_s)
    assert all(one.for_s > max(outlasted) for one in plan if one.kind == "stop")


def test_a_script_asks_for_what_was_promised() -> None:
    """The shares of repeated and late events, and more than the stock has."""
    shape = Shape()
    script = write_script(1, shape)
    assert len(script.events) == shape.events
    repeated = sum(len(one.sent_s) > 1 for one in script.events)
    late = sum(one.sent_s[0] > one.happened_s for one in script.events)
    assert repeated == pytest.approx(shape.events * shape.duplicated, rel=0.1)
    assert late == pytest.approx(shape.events * shape.reordered, rel=0.15)
    assert len({one.user_id for one in script.events}) == shape.users
    assert script.demand("home") > 500
