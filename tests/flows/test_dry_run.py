"""Dry runs: what would happen, and that nothing does."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tactics import rules
from tactics.errors import BadInput, NotFound
from tactics.flows import play as play_flow
from tactics.flows import setup
from tactics.flows.dry_run import dry_run, dry_run_document
from tactics.runtime import Runtime
from tactics.store.tables import metadata
from tests.driving import Drive, at_checkout, rule_of
from tests.making import document, from_play, play_document

FACTS: dict[str, Any] = {
    "now": "2017-11-01T12:00:00+00:00",
    "order": {"currency": "USD", "lines": [{"item_id": "7", "quantity": 2, "price_minor": 400}]},
}


def _everything(runtime: Runtime) -> dict[str, list[str]]:
    with runtime.engine.connect() as conn:
        return {
            name: sorted(str(row) for row in conn.execute(text(f'SELECT * FROM "{name}"')))  # noqa: S608  # our tables
            for name in metadata.tables
        }


def test_dry_run_tells_what_a_visit_would_give_and_writes_nothing(drive: Drive) -> None:
    """Status, benefits with their values and limits are those of the visit that follows; no table changed meanwhile."""
    drive.load(at_checkout(limits={"per_user": 3, "per_day": 2, "budget_minor": 1200}))
    assert drive.outcome("ann") == "granted"
    before = _everything(drive.runtime)
    found = dry_run(drive.runtime, "camp18", FACTS).to_json()
    dry_run_document(drive.runtime, at_checkout(priority=1), FACTS)
    assert _everything(drive.runtime) == before
    assert (found["status"], found["would_grant"], found["value_minor"]) == ("matched", True, 500)
    assert found["benefits"] == [
        {"benefit": "c18", "kind": "coupon", "value_minor": 500, "currency": "USD", "details": {}}
    ]
    assert [(one["limit"], one["most"], one["used"], one["asks"], one["enough"]) for one in found["limits"]] == [
        ("per_user", 3, None, 1, True),
        ("per_day", 2, 1, 1, True),
        ("budget_minor", 1200, 500, 500, True),
        ("stock", 10, 1, 1, True),
    ]
    assert drive.outcome("bob") == "granted"
    found = dry_run(drive.runtime, "camp18", FACTS).to_json()
    assert [one["limit"] for one in found["limits"] if not one["enough"]] == ["per_day", "budget_minor"]
    assert not found["would_grant"]
    assert drive.outcome("cid") == "limit"


def test_draft_is_judged_by_its_own_limits(drive: Drive) -> None:
    """A draft's stock and limits are held against what was given under the versions before it."""
    drive.load(at_checkout())
    assert [drive.outcome(user) for user in ("ann", "bob")] == ["granted"] * 2
    less = {"c18": {"kind": "coupon", "value_minor": 500, "stock": 2}}
    setup.import_activities(drive.runtime, [at_checkout(benefits=less, limits={"per_day": 2})], draft=True)
    found = dry_run(drive.runtime, "camp18", FACTS)
    assert found.version == 2
    assert [one.limit for one in found.limits if not one.enough] == ["per_day", "stock"]
    assert dry_run(drive.runtime, "camp18", FACTS, 1).would_grant


def test_reasons_say_why_nothing_would_be_given(runtime: Runtime) -> None:
    """What the facts do not say is unknown, with the reason; outside the schedule nothing would be granted."""
    vip = rule_of(rules.send_coupon("c18"), when=rules.equals(rules.user_attribute("vip"), True))
    found = dry_run_document(runtime, document(rule=vip), FACTS)
    assert (found.evaluation.status, found.would_grant, found.version) == ("unknown", False, None)
    assert "vip" in found.to_json()["reasons"][0]["text"]
    known = {**FACTS, "user": {"vip": True}}
    assert dry_run_document(runtime, document(rule=vip), known).would_grant
    late = dry_run_document(runtime, document(rule=vip), {**known, "now": "2018-01-01T00:00:00Z"})
    assert (late.evaluation.status, late.in_schedule, late.would_grant) == ("matched", False, False)


def test_order_is_priced_where_the_rule_lowers_prices(runtime: Runtime) -> None:
    """A discount shows as what the order would cost; a rule that lowers nothing shows no price."""
    found = dry_run_document(runtime, document(rule=rule_of(rules.order_amount_off(300)), benefits={}), FACTS)
    assert found.prices is not None
    assert found.prices["total_minor"] == 500
    assert dry_run_document(runtime, document(), FACTS).prices is None


def test_document_from_a_play_is_filled_first(runtime: Runtime) -> None:
    """An operator sees what the form comes to before anything is saved; a value that does not fit is named."""
    play_flow.import_plays(runtime, [play_document()])
    assert dry_run_document(runtime, from_play(parameters={"threshold_minor": 800}), FACTS).would_grant
    assert not dry_run_document(runtime, from_play(parameters={"threshold_minor": 801}), FACTS).would_grant
    with pytest.raises(BadInput, match="/parameters/threshold_minor"):
        dry_run_document(runtime, from_play(parameters={"threshold_minor": 1}), FACTS)


@pytest.mark.parametrize("facts", [[], "text", None, {"now": "noon"}, {"now": "2017-11-01T12:00:00"}, {"now": 5}])
def test_facts_that_are_none_are_refused(runtime: Runtime, facts: object) -> None:
    """Facts are an object, and their time has an offset."""
    with pytest.raises(BadInput):
        dry_run_document(runtime, document(), facts)


def test_what_there_is_not_is_not_found(runtime: Runtime) -> None:
    """No such activity, no such version; behaviour rules alone have nothing to run."""
    with pytest.raises(NotFound):
        dry_run(runtime, "camp18", FACTS)
    setup.import_activities(runtime, [document()])
    with pytest.raises(NotFound):
        dry_run(runtime, "camp18", FACTS, 2)
