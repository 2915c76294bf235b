"""Stored chains, edited while real workers and visiting processes run: picked up without a restart, kept by what began."""

from __future__ import annotations

from typing import Any

from tactics.flows.chain import disable_chain, import_chains
from tests.delivery.findings import wait_for_the_end
from tests.delivery.plays import ELSEWHERE
from tests.delivery.processes import Visitor
from tests.delivery.stage import SLOT, Stage, behaviour
from tests.delivery.waiting import until

SAVE = ("save_prepared", "record_event", "finish_execution")


def _save(stage: Stage, *steps: str, name: str = "ours", link: str = "prepare", **changes: Any) -> None:
    said = {"chain": name, "template_type": "marked", "link": link, "steps": list(steps), **changes}
    import_chains(stage.app, [said])


def _ran(stage: Stage, user_id: str, link: str = "prepare") -> list[str]:
    query = "SELECT trace FROM execution WHERE user_id = :user AND link = :link"
    return [one["step"] for one in stage.value(query, user=user_id, link=link) if one["step"] != "seen"]


def test_a_running_worker_takes_up_each_change(stage: Stage) -> None:
    """What a worker routes after a change runs the new chain; what the template says comes back with disabling."""
    stage.import_activity()
    stage.start_workers(1, processes=1)
    wanted = []
    for user_id, steps in (("a", ()), ("b", SAVE), ("c", ("leave_mark", "mark_back", *SAVE))):
        if steps:
            _save(stage, *steps)
        stage.submit(behaviour(user_id, user_id))
        wait_for_the_end(stage)
        wanted.append(list(steps or ("leave_mark", "make_trouble", *SAVE)))
    assert [_ran(stage, user_id) for user_id in ("a", "b", "c")] == wanted
    disable_chain(stage.app.runtime, "ours")
    stage.submit(behaviour("d", "d"))
    wait_for_the_end(stage)
    assert _ran(stage, "d") == wanted[0]


def test_a_running_visitor_takes_up_each_change(stage: Stage) -> None:
    """A process that answers placements runs, from the next one on, what another process has saved."""
    stage.import_activity(channels={"prepare": [], "grant": [SLOT]})
    (visitor,) = stage.start_visitors(1)
    assert _outcome(visitor, "a") == "granted"
    _save(stage, "note_mark", "finish_execution", link="grant", channel_codes=[SLOT])
    assert _outcome(visitor, "b") == "not_matched"  # what a chain answers that sets no outcome
    disable_chain(stage.app.runtime, "ours")
    assert _outcome(visitor, "c") == "granted"
    assert _ran(stage, "b", "grant") == ["note_mark", "finish_execution"]


def _outcome(visitor: Visitor, user_id: str) -> str:
    """Let a process visit, and wait for what came of it."""
    assert visitor.process.stdin is not None
    assert visitor.process.stdout is not None
    visitor.process.stdin.write(f"{user_id} {user_id}\n")
    visitor.process.stdin.flush()
    return visitor.process.stdout.readline().strip()


def test_executions_that_hopped_keep_their_version(stage: Stage) -> None:
    """Executions wait elsewhere while their chain is edited and disabled: each ends with the steps that it began with."""
    stage.import_activity()
    stage.start_workers(1, processes=1)
    _save(stage, "mark_elsewhere", "mark_back", *SAVE)
    stage.submit(behaviour("a", "a"))
    until(lambda: stage.waiting(ELSEWHERE) == 1, "it waits elsewhere")
    _save(stage, "mark_elsewhere", *SAVE)
    stage.submit(behaviour("b", "b"))
    until(lambda: stage.waiting(ELSEWHERE) == 2, "both wait elsewhere")
    disable_chain(stage.app.runtime, "ours")
    stage.submit(behaviour("c", "c"))
    stage.start_worker("far", queues=[ELSEWHERE], processes=1).wait_until_ready()
    with stage.sweeping():
        wait_for_the_end(stage)
    assert _ran(stage, "a") == ["mark_elsewhere", "mark_back", *SAVE]
    assert _ran(stage, "b") == ["mark_elsewhere", *SAVE]
    assert _ran(stage, "c") == ["leave_mark", "make_trouble", *SAVE]
    versions = "SELECT v.version FROM execution e LEFT JOIN stored_chain_version v ON v.id = chain_id ORDER BY user_id"
    assert [row["version"] for row in stage.rows(versions)] == [1, 2, None]
