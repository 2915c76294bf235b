"""One demo from start to end: plan, servers, workers, replay, summary; everything is stopped and removed afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tactics.demo.choice import Choice
from tactics.demo.interruption import Interruption, interruptible
from tactics.demo.plan import Plan, make_plan
from tactics.demo.replay import Replayed, replay, set_up
from tactics.demo.summary import Summary, summarize
from tactics.local import Local, running_locally

CLAIM_S = 20.0
"""A message that a killed worker took with it is repeated after so long: nobody watches a demo stand still."""
LEDGER = "acknowledged.tsv"


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that has come to its end: what was replayed, what the replay saw, and how it adds up."""

    plan: Plan
    seen: Replayed
    summary: Summary


def run_demo(choice: Choice, console: Console) -> Demo:
    """Replay a choice of the data on servers and workers of its own.

    Args:
        choice: what to replay.
        console: where progress is shown.

    Returns:
        what came of it; servers and workers are gone, and so is their data.

    Raises:
        BadInput: the choice names a campaign that is not in the data.
        NotConfigured: the package with the data is not installed.
        KeyboardInterrupt: Ctrl-C was pressed.
        TacticsError, EmbeddedError, SupervisorError: servers or workers do not start or do not stay up, or something
            accepted does not end.
    """
    with interruptible() as interruption:
        console.print("Reading the Complete Journey: a year of real household shopping …")
        plan = make_plan(choice)
        console.print("Starting Postgres, Valkey, a Celery worker and beat; Ctrl-C stops everything …")
        with running_locally(durable=False, flower=False, notify=console.print, replay=True, claim_s=CLAIM_S) as local:
            interruption.patient = True
            return _run(local, plan, console, interruption)


def _run(local: Local, plan: Plan, console: Console, interruption: Interruption) -> Demo:
    activities = f"{len(plan.activities)} {'activity' if len(plan.activities) == 1 else 'activities'}"
    console.print(f"Importing {len(plan.users):,} users, {len(plan.items):,} items and {activities} …")
    set_up(local.app, plan)

    def check() -> None:
        interruption.check()
        local.supervisor.check()

    seen = _replay(local, plan, console, check)
    return Demo(plan, seen, summarize(local.app.runtime.engine, seen, local.settings.home / LEDGER))


def _replay(local: Local, plan: Plan, console: Console, check: Callable[[], None]) -> Replayed:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("purchases"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("Replaying", total=plan.counts["actions"])

        def tell(day: str, actions: int) -> None:
            progress.update(bar, description=f"Replaying {day}", advance=actions)

        return replay(local.app, plan, local.settings.home / LEDGER, check=check, tell=tell)
