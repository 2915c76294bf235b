"""The state machine of grants, for a moment; `python -m tests.chaos.lives` runs it for long."""

from __future__ import annotations

from tests.chaos.lives.running import run_machine
from tests.driving import Drive


def test_every_life_of_a_grant_is_as_on_paper(drive: Drive) -> None:
    """Whatever befalls grants, in whatever order, they are what the same story comes to on paper, and all adds up."""
    run_machine(drive, examples=80)
