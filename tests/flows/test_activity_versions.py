"""Versions that change while users come: what runs keeps its version, and the books still balance."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tactics import rules
from tactics.errors import BadInput, Conflict
from tactics.flows import activity as activity_flow
from tactics.flows import setup
from tactics.runtime import Runtime
from tactics.store import behaviour_rules
from tactics.store.audit import audit
from tests.driving import Drive, Maker, at_checkout, rule_of, satisfied
from tests.making import bought, document
from tests.plays import playing, step_of

COUPON = {"kind": "coupon", "value_minor": 500}


def _audit(drive: Drive) -> list[str]:
    with drive.runtime.engine.connect() as conn:
        return [one.text for one in audit(conn)]


def _limited(stock: int | None, **changes: Any) -> dict[str, Any]:
    return at_checkout(benefits={"c18": {**COUPON, **({} if stock is None else {"stock": stock})}}, **changes)


def test_visits_keep_the_current_version_until_a_draft_is_published(drive: Drive) -> None:
    """A draft changes nothing for visitors; published it counts from the next visit on, rolled back no more."""
    drive.load(at_checkout())
    nobody = rule_of(rules.send_coupon("c18"), when=rules.equals(rules.user_attribute("vip"), True))
    setup.import_activities(drive.runtime, [at_checkout(rule=nobody)], draft=True)
    assert drive.outcome("ann") == "granted"
    activity_flow.publish(drive.runtime, "camp18")
    assert drive.outcome("bob") == "unknown"
    activity_flow.roll_back(drive.runtime, "camp18")
    assert drive.outcome("bob") == "granted"
    versions = drive.rows("SELECT user_id, activity_version FROM grant_record ORDER BY created_at")
    assert versions == [("ann", 1), ("bob", 3)]
    assert _audit(drive) == []


def test_execution_under_way_ends_under_its_own_version(driven: Maker) -> None:
    """What waits for another worker when the activity is rolled back goes on with the version that it began with."""
    seen: list[tuple[int, int]] = []
    step = step_of(
        "slow_look", lambda ctx, _run: seen.append((ctx.activity.version, ctx.activity.priority)), queue="slow"
    )
    drive = playing(driven, step)
    drive.load(document(template_type="t", priority=2))
    drive.happen(satisfied("ann"))
    assert seen == []
    activity_flow.roll_back(drive.runtime, "camp18")
    drive.happen(satisfied("bob"))
    drive.settle()
    assert sorted(seen) == [(2, 2), (3, 0)]
    rows = drive.rows("SELECT user_id, activity_version, outcome FROM execution ORDER BY 1")
    assert rows == [("ann", 2, "prepared"), ("bob", 3, "prepared")]
    assert _audit(drive) == []


def test_stock_and_limits_stay_right_through_drafts_and_rollbacks(drive: Drive) -> None:
    """However versions come and go between grants, stock and counters are what was granted, and the audit agrees."""
    drive.load(_limited(10, limits={"per_day": 4, "budget_minor": 100_000}))
    assert [drive.outcome(f"a{number}") for number in range(3)] == ["granted"] * 3
    setup.import_activities(drive.runtime, [_limited(20)], draft=True)  # without limits
    activity_flow.publish(drive.runtime, "camp18")
    assert [drive.outcome(f"b{number}") for number in range(3)] == ["granted"] * 3
    assert _audit(drive) == []
    saved = activity_flow.roll_back(drive.runtime, "camp18")
    assert saved.notes == ()
    # Four a day, and six were given: the limit holds against what was given without it.
    assert drive.outcome("c1") == "limit"
    assert drive.rows("SELECT scope, used FROM limit_counter ORDER BY 1") == [("budget", 3000), ("day", 6)]
    assert drive.value("SELECT remaining FROM benefit") == 4
    setup.import_activities(drive.runtime, [_limited(7)], draft=True)
    activity_flow.publish(drive.runtime, "camp18")
    assert [drive.outcome(f"d{number}") for number in range(2)] == ["granted", "sold_out"]
    activity_flow.roll_back(drive.runtime, "camp18", 2)
    assert drive.outcome("d1") == "granted"
    saved = activity_flow.roll_back(drive.runtime, "camp18", 4)
    assert [note for note in saved.notes if "8 are given" in note]
    assert drive.outcome("d2") == "sold_out"
    assert _audit(drive) == []


def test_versions_that_change_while_users_come_lose_nothing(drive: Drive) -> None:
    """Drafts published and rolled back in the middle of grants: stock and counters are right to the last grant."""
    drive.load(_limited(30))
    users = [f"u{number}" for number in range(60)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = [pool.submit(drive.outcome, user) for user in users]
        for round_ in range(6):
            limits = {"per_day": 1000 + round_, "budget_minor": 100_000}
            setup.import_activities(drive.runtime, [_limited(30 + round_, limits=limits)], draft=True)
            activity_flow.publish(drive.runtime, "camp18")
            activity_flow.roll_back(drive.runtime, "camp18", 1)
        found = [one.result() for one in outcomes]
    assert set(found) <= {"granted", "sold_out"}
    assert found.count("granted") == drive.value("SELECT count(*) FROM grant_record WHERE state = 'granted'") >= 30
    assert _audit(drive) == []
    # A last version with limits counts everything that any of them gave.
    setup.import_activities(drive.runtime, [_limited(40, limits={"per_day": 1000})])
    assert drive.value("SELECT used FROM limit_counter WHERE scope = 'day'") == found.count("granted")
    assert _audit(drive) == []


def test_behaviour_rules_come_and_go_with_their_version(runtime: Runtime) -> None:
    """A draft's behaviour rules are defined when it is published, and a rollback defines the earlier ones again."""

    def count() -> object:
        with runtime.engine.connect() as conn:
            (found,) = behaviour_rules.enabled(conn)
            return found.rule["params"]["amount_at"]

    setup.import_activities(runtime, [document(behaviour_rules={"bought": bought(1)})], publish=True)
    setup.import_activities(runtime, [document(behaviour_rules={"bought": bought(2)})], draft=True)
    assert count() == 1
    activity_flow.publish(runtime, "camp18")
    assert count() == 2
    activity_flow.roll_back(runtime, "camp18")
    assert count() == 1
    setup.import_activities(runtime, [document(behaviour_rules={"bought": bought(3)})], draft=True)
    setup.import_activities(runtime, [document(code="other", behaviour_rules={"bought": bought(1)})])
    with pytest.raises(Conflict, match="'bought' is defined differently"):
        activity_flow.publish(runtime, "camp18")
    assert count() == 1


def test_draft_and_publish_exclude_each_other(runtime: Runtime) -> None:
    """An import makes drafts or publishes; behaviour rules alone cannot wait as drafts."""
    with pytest.raises(BadInput, match="leave out one"):
        setup.import_activities(runtime, [document()], draft=True, publish=True)
    with pytest.raises(BadInput, match="no drafts"):
        setup.import_activities(runtime, [{"behaviour_rules": {"bought": bought(1)}}], draft=True)


def test_difference_is_between_what_matters_unless_versions_are_named(runtime: Runtime) -> None:
    """With a draft: what is current and the draft. Without: what was current before, and what is. Else those named."""
    setup.import_activities(runtime, [document(priority=1)])
    with pytest.raises(Conflict, match="nothing to compare"):
        activity_flow.compare(runtime, "camp18")
    setup.import_activities(runtime, [document(priority=2)])
    found = activity_flow.compare(runtime, "camp18")
    assert [one.to_json() for one in found.changes] == [{"path": "/priority", "before": 1, "after": 2}]
    setup.import_activities(runtime, [document(priority=3)], draft=True)
    found = activity_flow.compare(runtime, "camp18")
    assert (found.before, found.after) == (2, 3)
    found = activity_flow.compare(runtime, "camp18", 1, 3)
    assert [one.to_json() for one in found.changes] == [{"path": "/priority", "before": 1, "after": 3}]


def test_difference_after_the_first_version_came_back(drive: Drive) -> None:
    """The version that brings the first one back is compared with the one that it replaced."""
    drive.load(at_checkout(priority=1))
    setup.import_activities(drive.runtime, [at_checkout(priority=2)])
    activity_flow.roll_back(drive.runtime, "camp18")
    found = activity_flow.compare(drive.runtime, "camp18")
    assert (found.before, found.after) == (2, 3)
    assert [(change.path, change.before, change.after) for change in found.changes] == [("/priority", 2, 1)]
