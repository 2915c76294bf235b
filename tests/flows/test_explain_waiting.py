"""`explain` of an execution that waits for workers: at which step, and on which queue."""

from __future__ import annotations

import pytest

from tactics.domain.context import ItemContext
from tactics.flows.explain import explain_execution, explain_user
from tactics.processors.query_item import query_item
from tactics.template import TacticsTemplate
from tactics.templates.full_link_v3 import full_link_v3
from tests.driving import NOON, Maker, satisfied
from tests.making import document
from tests.plays import step_of


@pytest.mark.parametrize("first", [True, False], ids=["first step", "later step"])
def test_a_queue_that_nobody_serves_is_named(driven: Maker, first: bool) -> None:
    """Whoever looks at the execution or at the user reads where it waits; once it went on, nothing is said any more."""
    far = step_of("do_far", queue="slow")
    before = (far, query_item) if first else (query_item, far)
    template = TacticsTemplate("t", ItemContext, (*before, *full_link_v3.prepare[-3:]), full_link_v3.grant)
    drive = driven(templates=[template], queues=("slow",))
    drive.load(document(template_type="t"))
    drive.happen(satisfied("1"))
    execution_id = drive.value("SELECT id FROM execution")
    found = explain_execution(drive.runtime, execution_id, app=drive.app)
    assert (found["execution"]["step"], found["execution"]["queue"]) == ("do_far", "slow")
    assert any(sentence.startswith("It waits at step do_far on queue slow,") for sentence in found["summary"])
    of_user = explain_user(drive.runtime, "1", "camp18", NOON, app=drive.app)
    assert [(one["step"], one["queue"]) for one in of_user["executions"]] == [("do_far", "slow")]
    assert any("waiting at step do_far on queue slow" in sentence for sentence in of_user["summary"])
    drive.work()
    found = explain_execution(drive.runtime, execution_id, app=drive.app)
    assert (found["execution"]["outcome"], found["execution"]["queue"]) == ("prepared", None)
    assert not any("on queue" in sentence for sentence in found["summary"])
