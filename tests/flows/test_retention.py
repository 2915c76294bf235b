"""Retention: what is old and done goes, what anything still needs stays, and the audit adds up after each part."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from tactics import rules
from tactics.errors import Conflict
from tactics.flows import retention, setup
from tactics.flows.retention import Retained, retain
from tactics.store import partitions
from tactics.store import retention as store
from tactics.store.audit import audit
from tactics.store.audit_log import listing
from tests.driving import Drive, Maker, acted, became
from tests.making import bought, document
from tests.outside import connect

TABLES = ("event", "execution", "grant_record", "asset", "benefit_code", "user_action")
TIMES = {
    "event": ("at", "received_at"),
    "execution": ("created_at", "finished_at"),
    "grant_record": ("created_at", "settled_at"),
    "asset": ("valid_until", "status_at"),
    "user_action": ("at",),
}


def _document(code: str, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    span = {"from": (now - timedelta(days=1)).isoformat(), "to": (now + timedelta(days=9)).isoformat()}
    limits = {"per_user": 5, "per_day": 100, "budget_minor": 100_000}
    return document(code=code, schedule=span, limits=limits, **changes)


def _acted(user: str, **data: Any) -> dict[str, Any]:
    return acted(user, at=datetime.now(UTC), **data)


def _a_year_ago(drive: Drive) -> None:
    """Let everything that has happened have happened a year ago."""
    for table, columns in TIMES.items():
        drive.run(f"UPDATE {table} SET " + ", ".join(f"{one} = {one} - interval '365 days'" for one in columns))  # noqa: S608  # names of ours


def _end(drive: Drive, code: str) -> None:
    drive.run("UPDATE activity SET starts_at = now() - interval '2 years', ends_at = now() - interval '300 days' WHERE code = :code", code=code)  # fmt: skip


def _counts(drive: Drive) -> dict[str, int]:
    return {table: drive.value(f"SELECT count(*) FROM {table}") for table in TABLES}  # noqa: S608  # as above


def _lost(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {table: before[table] - after[table] for table in before if before[table] != after[table]}


def _findings(drive: Drive) -> list[str]:
    with drive.runtime.engine.connect() as conn:
        return [one.text for one in audit(conn)]


def _old_shop(driven: Maker, **settings: Any) -> Drive:
    """Give a shop of a year ago: an activity that is over, one with codes that is over, one that runs; three users."""
    drive = driven(replay=False, keep_events_days=30, **settings)
    drive.load(
        _document("over", behaviour_rules={"bought": bought(1)}),
        _document("codes", benefits={"c18": {"kind": "coupon", "value_minor": 5, "codes": ["K1", "K2", "K3", "K4"]}}),
        _document("runs"),
    )
    for user in ("ann", "bob", "cat"):
        drive.happen(_acted(user, item_id="tea"))
        assert len(drive.visit(user, at=None).results) == 3
    for (asset,) in drive.rows("SELECT id FROM asset"):
        drive.happen(became(str(asset), "redeemed", at=datetime.now(UTC)))
    for code in ("over", "codes"):
        _end(drive, code)
    return drive


def test_what_is_over_goes_and_everything_adds_up(driven: Maker) -> None:
    """Grants of activities long over go with all that led to them; what runs keeps its grants, their executions, and what prepared it."""
    drive = _old_shop(driven)
    _a_year_ago(drive)
    before = _counts(drive)
    assert _findings(drive) == []
    dry = retain(drive.runtime, dry_run=True)
    assert _counts(drive) == before

    done = retain(drive.runtime.acting_as("bo"))

    lost = _lost(before, _counts(drive))
    assert lost == dict(done.rows)
    assert dict(dry.rows) == {name: count for name, count in lost.items() if name != "benefit_code"}
    assert (lost["grant_record"], lost["asset"], lost["benefit_code"]) == (6, 6, 3)
    assert drive.rows("SELECT DISTINCT activity_code FROM grant_record") == [("runs",)]
    # Each user: the event that prepared `runs`; not the visit, the action, and what became of the assets.
    assert drive.rows("SELECT DISTINCT type FROM event") == [("behaviour",)]
    assert drive.value("SELECT count(*) FROM event") == 3
    assert drive.rows("SELECT DISTINCT activity_code, link FROM execution") == [("runs", "grant")]
    assert _findings(drive) == []
    left = drive.rows("SELECT activity_code, remaining, stock_initial FROM benefit ORDER BY 1")
    assert left == [("codes", 1, 4), ("over", 7, 10), ("runs", 7, 10)]
    assert retain(drive.runtime).rows == {}
    with drive.runtime.engine.connect() as conn:
        (entry,) = listing(conn, kind="retention", limit=10)
    assert (entry.actor, entry.after) == ("bo", {"rows": dict(done.rows), "months": []})
    with pytest.raises(Conflict, match="a code of its own"):
        setup.import_activities(drive.runtime, [_document("over", priority=9)])


def test_nothing_goes_that_is_young_unfinished_or_still_of_use(driven: Maker) -> None:
    """What is not old stays; and of what is old: what waits, what is parked, coupons that can be used, grants not settled."""
    drive = _old_shop(driven)
    assert retain(drive.runtime).rows == {}
    drive.accept(_acted("dan"))
    drive.run("UPDATE execution SET outcome = 'parked' WHERE activity_code = 'runs' AND link = 'prepare'")
    drive.run("UPDATE event SET parked_reason = 'no' WHERE type = 'asset'")
    drive.run("UPDATE instance SET prepared_event_id = NULL, prepared_epoch = NULL")
    _a_year_ago(drive)
    drive.run("UPDATE asset SET status = 'claimed', valid_until = now() + interval '1 day' WHERE activity_code = 'over' AND user_id = 'ann'")  # fmt: skip
    drive.run("UPDATE grant_record SET state = 'unknown' WHERE activity_code = 'codes' AND user_id = 'bob'")
    before = _counts(drive)
    retain(drive.runtime)
    # Visits, actions, and the executions that prepared what is over; parked ones keep the events that they began with.
    assert _lost(before, _counts(drive)) == {"event": 6, "execution": 6}
    assert drive.value("SELECT count(*) FROM event WHERE type = 'asset' AND parked_reason = 'no'") == 9
    assert drive.value("SELECT count(*) FROM event WHERE type = 'action'") == 1
    assert drive.value("SELECT count(*) FROM event WHERE type = 'behaviour'") == 3
    assert drive.value("SELECT count(*) FROM execution WHERE outcome = 'parked'") == 3


def test_what_outside_systems_answered_goes_with_the_grants(driven: Maker) -> None:
    """Grants that outside systems gave go with all that settled them, of the activity that is over alone."""
    drive = driven(replay=False, keep_events_days=30)
    connect(drive)
    outside = {"c18": {"kind": "coupon", "value_minor": 500, "stock": 10, "provider": "wallet"}}
    channels = {"grant": ["home_banner"]}
    drive.load(*[_document(code, benefits=outside, channels=channels) for code in ("over", "runs")])
    for user in ("ann", "bob"):
        drive.visit(user, at=None)
    drive.settle()
    tables = ("outside_grant", "provider_attempt")
    assert [drive.value(f"SELECT count(*) FROM {one}") for one in tables] == [4, 4]  # noqa: S608  # as above
    for (asset,) in drive.rows("SELECT id FROM asset"):
        drive.happen(became(str(asset), "redeemed", at=datetime.now(UTC)))
    _end(drive, "over")
    _a_year_ago(drive)
    done = retain(drive.runtime)
    assert {name: done.rows[name] for name in (*tables, "grant_record", "asset")} == {
        "outside_grant": 2,
        "provider_attempt": 2,
        "grant_record": 2,
        "asset": 2,
    }
    left = "SELECT count(*) FROM {} JOIN grant_record ON grant_record.id = grant_id WHERE activity_code = 'runs'"
    assert [drive.value(left.format(one)) for one in tables] == [2, 2]
    assert _findings(drive) == []


def test_events_stay_while_they_may_come_again_or_cool_down(driven: Maker) -> None:
    """An event is remembered for as long as it may be sent again, a behaviour event for as long as its rule's cooldown."""
    drive = driven(replay=False, keep_events_days=1)
    drive.load(_document("runs"), {"behaviour_rules": {"bought": {**bought(1), "cooldown_s": 500 * 86_400}}})
    drive.happen(_acted("ann"))
    drive.run("UPDATE instance SET prepared_event_id = NULL, prepared_epoch = NULL")
    drive.run("UPDATE event SET received_at = now() - interval '2 days'")
    drive.run("UPDATE execution SET finished_at = now() - interval '2 days'")
    found = retain(drive.runtime)
    assert found.rows == {}
    assert "may come again" in found.kept[0]
    _a_year_ago(drive)
    retain(drive.runtime)
    assert drive.rows("SELECT type FROM event") == [("behaviour",)]
    drive.run("UPDATE behaviour_rule SET enabled = false")  # it may be switched on again
    assert retain(drive.runtime).rows == {}
    drive.run("UPDATE behaviour_rule SET cooldown_s = 0")
    retain(drive.runtime)
    assert drive.rows("SELECT type FROM event") == []


def test_grants_go_a_few_users_at_a_time(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each part everything adds up; a run that stopped goes on where it was, and all of them do what one would."""
    drive = _old_shop(driven)
    _a_year_ago(drive)
    monkeypatch.setattr(store, "USERS", 1)
    with drive.runtime.engine.connect() as conn:
        cutoff = datetime.now(UTC) - timedelta(days=30)
        assert store.over_for_long(conn, cutoff) == ["codes", "over"]
    parts = 0
    while True:
        with drive.runtime.engine.begin() as conn:
            gone = store.delete_grants(conn, "over", cutoff)
        assert _findings(drive) == []
        if not gone:
            break
        parts += 1
    assert parts == 3
    found, runs = retain(drive.runtime, at_most_s=0), 1
    assert not found.to_json()["done"]
    clock = count()
    monkeypatch.setattr("tactics.flows.retention.time.monotonic", lambda: float(next(clock)))
    while (place := found.next) is not None:
        found, runs = retain(drive.runtime, at_most_s=4, after=place), runs + 1
    assert runs > 3
    assert _counts(drive)["execution"] == 3
    assert _counts(drive)["event"] == 3


def test_old_notices_leave_the_outbox(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notices older than the setting go, some at a time, also those between young ones; without the setting none does."""
    drive = driven(replay=False, keep_events_days=30)
    monkeypatch.setattr(store, "NOTICES", 2)
    ages = (90, 90, 1, 90, 90, 90, 1)
    for age in ages:
        drive.run("INSERT INTO outbox (topic, key, payload, created_at) VALUES ('t', 'k', '{}', now() - make_interval(days => :age))", age=age)  # fmt: skip
    assert retain(driven(replay=False).runtime).rows == {}
    assert retain(drive.runtime, dry_run=True).to_json()["rows"] == {"outbox": 5}
    assert drive.value("SELECT count(*) FROM outbox") == len(ages)
    assert retain(drive.runtime).to_json()["rows"] == {"outbox": 5}
    assert drive.rows("SELECT id FROM outbox ORDER BY id") == [(3,), (7,)]


def _month_of(drive: Drive, table: str, start: str, end: str) -> str:
    name = f"{table}_p{start.replace('-', '')[:6]}"
    drive.run(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{start}') TO ('{end}')")
    return name


def _months(found: Retained) -> list[str]:
    return sorted(found.months)


def test_old_months_are_dropped_whole(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Months of actions and of the log that are wholly older go; those that a rule looks back on stay, and it is said why."""
    drive = driven(replay=False, keep_actions_days=30, keep_audit_log_days=60)
    day = datetime.now(UTC)
    actions = _month_of(drive, "user_action", "2020-01-01", "2020-02-01")
    log = _month_of(drive, "audit_log", "2020-01-01", "2020-02-01")
    kept = {one for table in partitions.TABLES for one in _names(drive, table)} - {actions, log}
    for at in ("2020-01-15", "2019-01-01"):
        drive.run("INSERT INTO user_action (user_id, at, event_source, event_id, action) VALUES ('ann', :at, 's', 'e', 'a')", at=at)  # fmt: skip

    def rule(block: Any) -> dict[str, Any]:
        return {"behaviour_rules": {"long": {"rule": rules.to_json(rules.amount_at_least(block, 1))}}}

    drive.load(rule(rules.behaviour_count("buy", 3650 * 86_400)))
    found = retain(drive.runtime)
    assert _months(found) == [log]
    assert "behaviour rule 'long' looks back 3650" in found.kept[0]
    drive.load(rule(rules.seconds_since("buy")))
    assert "looks back without end" in retain(drive.runtime).kept[0]
    drive.load(rule(rules.behaviour_count("buy", 3600)))
    loyal = rules.amount_at_least(rules.behaviour_count("buy", 3650 * 86_400), 1)
    drive.load(_document("loyal", rule=rules.to_json(rules.so(loyal, rules.send_coupon("c18")))))
    found = retain(drive.runtime)
    assert (found.months, found.rows) == ([], {})
    assert "activity 'loyal'" in found.kept[0]
    _end(drive, "loyal")
    assert _months(retain(drive.runtime, dry_run=True)) == [actions]
    monkeypatch.setattr(retention, "TRIES", 1)
    with drive.runtime.engine.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM user_action")
        found = retain(drive.runtime)
        assert found.months == []
        assert "was in use" in found.kept[0]
    assert drive.value("SELECT count(*) FROM user_action") == 1
    assert _months(retain(drive.runtime)) == [actions]
    assert drive.value("SELECT count(*) FROM user_action") == 0
    assert {one for table in partitions.TABLES for one in _names(drive, table)} == kept
    assert day.strftime("user_action_p%Y%m") in kept


def _names(drive: Drive, table: str) -> list[str]:
    with drive.runtime.engine.connect() as conn:
        return [one.name for one in partitions.months(conn, table)]


def test_beat_sends_it_only_where_something_is_set(driven: Maker) -> None:
    """Without a setting nothing is sent, and a run does nothing; in replay, whose time is its own, neither."""
    quiet = driven(replay=False)
    assert "retain" not in quiet.app.conf.beat_schedule
    assert quiet.app.settings.keep_audit_log_days == 0
    drive = _old_shop(driven)
    assert drive.app.conf.beat_schedule["retain"]["task"] == "tactics.retain"
    _a_year_ago(drive)
    before = _counts(drive)
    retain(quiet.runtime)
    assert "nothing is old here" in retain(driven(keep_events_days=30).runtime).kept[0]
    assert _counts(drive) == before
    assert drive.deliver("tactics.retain") is None
    assert _counts(drive)["event"] == 3
