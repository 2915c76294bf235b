"""Runs the state machine of grants, on one app or on several side by side."""

from __future__ import annotations

import os
from dataclasses import replace

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tactics.store.audit import audit
from tests.chaos.lives.machine import GrantMachine
from tests.chaos.lives.outside import ScriptedBenefits
from tests.chaos.lives.scene import crashing
from tests.driving import Drive

STEPS = 14


def run_machine(drive: Drive, *, examples: int, shrink: bool = True, seed: int | None = None) -> None:
    """Try so many lives of grants on this app; what is left in its database must pass the audit.

    Args:
        drive: an app in replay mode, whose database nobody else uses.
        examples: how many.
        shrink: look for the shortest story of what is found.
        seed: of what is tried; None: another each time, or always the same under CI.
    """
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])]
    wanted = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=phases,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with crashing() as crash:
        bound = type("Grants", (GrantMachine,), {"drive": drive, "crash": crash, "benefits": _scripted(drive)})
        if seed is not None:
            hypothesis.seed(seed)(bound)
        run_state_machine_as_test(bound, settings=wanted)
    with drive.runtime.engine.connect() as conn:
        found = audit(conn)
    assert found == [], [one.text for one in found[:5]]


def _scripted(drive: Drive) -> ScriptedBenefits:
    """Let the app call benefit systems by script."""
    benefits, runtime = ScriptedBenefits(), drive.runtime
    drive.app._runtime = (os.getpid(), replace(runtime, gateways=replace(runtime.gateways, benefits=benefits)))
    return benefits
