"""Counters of limits that a later version of an activity sets."""

from __future__ import annotations

import time
from datetime import date
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, event, text

from tactics.runtime import Runtime
from tactics.store import activities
from tests.driving import Drive, after, asset_of, at_checkout, became
from tests.making import activity, document

BOTH = {"per_day": 3, "budget_minor": 2_000}
DAY = date(2017, 11, 1)
COUNTERS = "SELECT scope, period, used FROM limit_counter WHERE activity_code = 'camp18' ORDER BY scope, period"


@pytest.mark.parametrize(("limits", "left"), [({"per_day": 3}, 1), ({"per_day": 2}, 0), ({"budget_minor": 2_500}, 2)])
def test_later_limit_counts_what_was_given_before(drive: Drive, limits: dict[str, int], left: int) -> None:
    """A limit that a later version sets holds against everything given before, each day for itself."""
    drive.load(at_checkout())
    for user, hours in (("1", 0), ("2", 1), ("3", -24)):
        assert drive.outcome(user, at=after(hours=hours)) == "granted"
    drive.load(at_checkout(limits=limits))
    outcomes = [drive.outcome(user, at=after(hours=2)) for user in "456"]
    assert outcomes == ["granted"] * left + ["limit"] * (3 - left)


def test_limit_set_again_counts_what_was_given_without(drive: Drive) -> None:
    """A limit that was away for a version counts, when it is back, what was given meanwhile, and nothing twice."""
    for limits, user in ((BOTH, "1"), ({}, "2"), (BOTH, "3"), ({**BOTH, "per_user": 5}, None)):
        drive.load(at_checkout(limits=limits))
        if user:
            assert drive.outcome(user) == "granted"
    assert drive.rows(COUNTERS) == [("budget", "", 1_500), ("day", "2017-11-01", 3)]
    assert drive.outcome("4") == "limit"


def test_refused_and_other_activities_grants_do_not_count(drive: Drive) -> None:
    """What counts is what the activity gave: its grants whose benefit system said no do not, nor do others'."""
    drive.load(at_checkout(), document(code="other", channels={"grant": ["elsewhere"]}))
    for user in "12":
        assert drive.outcome(user) == "granted"
    assert drive.outcome("1", "elsewhere") == "granted"
    drive.run("UPDATE grant_record SET state = 'refused' WHERE user_id = '2'")
    drive.load(at_checkout(limits=BOTH))
    assert drive.rows(COUNTERS) == [("budget", "", 500), ("day", "2017-11-01", 1)]


def test_redeemed_grants_count(drive: Drive) -> None:
    """What was redeemed before the limit was set was given all the same."""
    drive.load(at_checkout())
    (result,) = drive.visit("1").results
    drive.happen(became(asset_of(result)["asset_id"], "redeemed"))
    drive.load(at_checkout(limits={"budget_minor": 999}))
    assert drive.outcome("2") == "limit"


@pytest.mark.parametrize("known", [True, False], ids=["counters there", "first of its day"])
@pytest.mark.parametrize("early", [True, False], ids=["before saving", "while saving"])
def test_grant_that_counts_meanwhile_is_counted_once(runtime: Runtime, known: bool, early: bool) -> None:
    """A grant that has counted, and is not committed when the version counts again, is counted once."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(limits=BOTH), publish=True)
        if known:
            _grant(conn, "1")
    with runtime.engine.connect() as granting:
        if early:
            _grant(granting, "2")
        saving = Thread(target=_save, args=(runtime, None if early else granting))
        saving.start()
        _until_blocked_or_done(runtime, saving)
        granting.commit()
        saving.join()
    with runtime.engine.connect() as conn:
        stored = {row.scope: row.used for row in conn.execute(text(COUNTERS))}
    given = 2 if known else 1
    assert stored == {"day": given, "budget": 500 * given}


def _save(runtime: Runtime, granting: Connection | None) -> None:
    """Save another version; where a connection is given, a grant is made on it after the first look at the counters."""
    waiting = [granting] if granting else []

    def interfere(conn: Any, cursor: Any, statement: str, *rest: object) -> None:
        if waiting and statement.startswith("INSERT INTO limit_counter"):
            _grant(waiting.pop(), "2")

    with runtime.engine.begin() as conn:
        event.listen(conn, "after_cursor_execute", interfere)
        activities.save(conn, activity(limits={**BOTH, "per_user": 9}))
    assert not waiting


def _until_blocked_or_done(runtime: Runtime, saving: Thread) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    until = time.monotonic() + 10
    while saving.is_alive():
        with runtime.engine.connect() as conn:
            if conn.execute(text(query)).scalar_one():
                return
        assert time.monotonic() < until
        time.sleep(0.01)


def _grant(conn: Connection, user: str) -> None:
    """Write a grant and count it, in the order in which granting does."""
    new: dict[str, Any] = {"id": uuid4(), "user": user, "execution": uuid4(), "day": DAY}
    conn.execute(
        text(
            "INSERT INTO grant_record (id, user_id, activity_code, activity_version, will_send_count, idempotency_id,"
            " execution_id, event_source, event_id, state, lines, value_minor, day, business_at)"
            " VALUES (:id, :user, 'camp18', 1, 1, :user, :execution, 'shop', 'e', 'granted', '[]', 500, :day, now())"
        ),
        new,
    )
    count = text("SELECT tactics_count_within('camp18', :scope, :period, :add, :limit)")
    for scope, period, add, limit in (("day", DAY.isoformat(), 1, 3), ("budget", "", 500, 2_000)):
        given = {"scope": scope, "period": period, "add": add, "limit": limit}
        assert conn.execute(count, given).scalar_one()
