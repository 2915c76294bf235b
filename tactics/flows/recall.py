"""Learning what goes together, beside the actions: beat starts it, batch by batch, and an operator can begin anew.

Read top-down: a turn → what a rebuild still needs → what has come since. Each batch is one transaction, so whatever ends
this process, every user counts once.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError

from tactics.celery_app import TacticsApp
from tactics.chain import TacticsTask
from tactics.runtime import Runtime
from tactics.store import recall

log = structlog.get_logger()

BATCH = 100
"""So many users in one transaction."""
RUN_S = 1.0
"""A run begins no batch after so long: the sweeper may wait for this worker."""
_AFTER = "recall_after"


def learn(runtime: Runtime, *, at_most_s: float) -> int:
    """Count what users did since it was counted last, until nothing waits or the time is over.

    Users are taken in turn, and a run goes on where this process's last one ended, so nobody waits for ever.

    Args:
        runtime: the database.
        at_most_s: begin no batch after so many seconds.

    Returns:
        How many users were counted; 0 also where somebody else is learning.
    """
    ends_at = time.monotonic() + at_most_s
    counted = 0
    try:
        while time.monotonic() < ends_at:
            found = _learn_batch(runtime)
            if found == 0:
                break
            counted += found
    except OperationalError as error:
        # Actions of these users are being recorded: what has been committed counts, the rest comes with the next run.
        log.info("recall_learns_later", error=str(error.orig).splitlines()[0])
    if counted:
        log.info("recall_learnt", users=counted)
    return counted


def _learn_batch(runtime: Runtime) -> int:
    with runtime.engine.begin() as conn:
        if not recall.take_turn(conn):
            return 0
        anew = recall.learn_anew(conn, users=BATCH)
        if anew:
            return len(anew)
        after = str(runtime.shared.get(_AFTER, ""))
        found = recall.learn_waiting(conn, after, users=BATCH)
        if not found and after:
            found = recall.learn_waiting(conn, "", users=BATCH)
    runtime.shared[_AFTER] = found[-1] if found else ""
    return len(found)


def rebuild(runtime: Runtime) -> int:
    """Forget what was learnt, and learn it anew from what users did. Actions go on being recorded meanwhile.

    It is safe to interrupt: the learner that beat starts goes on with it.

    Args:
        runtime: the database.

    Returns:
        How many users were counted here.
    """
    with runtime.engine.begin() as conn:
        recall.wait_for_turn(conn)
        recall.begin_rebuild(conn)
    counted = 0
    while True:
        with runtime.engine.begin() as conn:
            recall.wait_for_turn(conn)
            found = recall.learn_anew(conn, users=BATCH)
        if not found:
            return counted
        counted += len(found)


def what_goes_with(runtime: Runtime, item_id: str, limit: int) -> dict[str, Any]:
    """Tell what goes with an item, for people.

    Args:
        runtime: the database.
        item_id: which item.
        limit: at most so many others.

    Returns:
        Plain data: `item_id`, `users` who acted on it, `waiting` and `rebuilding` (whether more is to be learnt), and
        `beside`: `item_id`, `title` (null where the catalogue lacks it), `users` in common, `of_users` and `score`.
    """
    with runtime.engine.connect() as conn:
        state = recall.state(conn, item_id)
        beside = recall.beside(conn, item_id, limit)
    return {
        "item_id": item_id,
        "users": state.users or 0,
        "waiting": state.waiting,
        "rebuilding": state.rebuilding,
        "beside": [{**row._mapping, "score": round(row.score, 6)} for row in beside],  # noqa: SLF001  # documented
    }


def register(app: TacticsApp) -> None:
    """Make the task `tactics.learn_recall`."""

    def run_learn(_: TacticsTask) -> None:
        learn(app.runtime, at_most_s=RUN_S)

    app.task(name="tactics.learn_recall", base=TacticsTask, bind=True, shared=False)(run_learn)
    app.send_to("tactics.learn_recall", "ops")
