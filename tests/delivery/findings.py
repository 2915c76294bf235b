"""What must hold whatever happened: each gives what does not, in words; nothing is good."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tactics.store import audit, instances, prepared
from tests.delivery.stage import Stage
from tests.delivery.waiting import until

_UNENDED = """
SELECT 'event ' || id AS what FROM event WHERE routed_at IS NULL AND parked_reason IS NULL AND abandoned_at IS NULL
UNION ALL
SELECT 'execution ' || link || ' of ' || user_id FROM execution WHERE finished_at IS NULL
"""
_TURNS = """
SELECT link, event_id, epoch, outcome, trace, finished_at FROM execution
WHERE user_id = :user AND activity_code = 'camp18' AND outcome NOT IN ('superseded', 'error', 'parked')
ORDER BY epoch, finished_at
"""


def unended(stage: Stage) -> list[str]:
    """Give events and executions that have not ended."""
    return [row["what"] for row in stage.rows(_UNENDED)]


def wait_for_the_end(stage: Stage) -> None:
    """Wait until everything that was accepted has ended."""
    until(lambda: not unended(stage), f"everything ends; {unended(stage)[:5]}")


def audited(stage: Stage) -> list[str]:
    """Give what the audit finds."""
    with stage.engine.connect() as conn:
        return [f"{one.check}: {one.text}" for one in audit.audit(conn)]


def overwritten(stage: Stage, user_id: str) -> list[str]:
    """Give what an older segment of the user's instance wrote over what a newer one had written."""
    turns = stage.rows(_TURNS, user=user_id)
    found = [
        f"epoch {later['epoch']} ended at {later['finished_at']}, epoch {one['epoch']} at {one['finished_at']}"
        for one, later in pairwise(turns)
        if not (one["epoch"] < later["epoch"] and one["finished_at"] < later["finished_at"])
    ]
    last: Any = None
    for row in turns:
        sights = [step for step in row["trace"] if step["step"] == "seen"]
        wrong = [seen for seen in sights if not seen["used"] == seen["vouched"] == last]
        found += [f"placement {row['epoch']} saw {seen}, prepared was {last}" for seen in wrong]
        if row["outcome"] == "prepared":
            last = row["event_id"]
    epoch = turns[-1]["epoch"]
    with stage.engine.connect() as conn:
        instance = instances.read(conn, user_id, "camp18")
    assert instance is not None
    if (instance.epoch, instance.prepared_event_id) != (epoch, last):
        found.append(f"the instance says {instance}, but {last} was prepared last and {epoch} is the newest epoch")
    text: Any = stage.redis.get(prepared.prepared_key("camp18", user_id))
    kept = prepared.decode(text, instance)
    if kept is not None and kept.data["mark"] != last:
        found.append(f"prepared data is {kept}, but {last} was prepared last")
    return found
