"""Load and faults side by side, by one clock: for whatever is under chaos."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.faults import Faults
from tests.chaos.load import Clients
from tests.chaos.pace import Pace
from tests.chaos.shape import Shape


def play(shape: Shape, clients: Clients, faults: Faults, backlog: Callable[[], int]) -> float:
    """Let clients ask and everything fail, until the script and the plan are through.

    Args:
        shape: how long it lasts, and how much may wait before the clock stands.
        clients: who ask.
        faults: what fails.
        backlog: counts what has not ended; may raise while the database is away.

    Returns:
        The seconds by the run's clock.
    """
    with Pace(backlog, shape.backlog, shape.seconds) as pace, ThreadPoolExecutor(1) as failing:
        failed = failing.submit(faults.run, pace)
        try:
            asyncio.run(clients.run(pace, shape.patience_s / 2))
        except BaseException:
            faults.give_up()
            raise
        failed.result()
        return pace.now()
