"""The loss breaker: an activity that gives too much within a minute pauses itself, and goes on without loss."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from tactics.domain.context import TacticsInstanceContext
from tactics.errors import Conflict
from tactics.flows import activity as activity_flow
from tactics.flows import sweep as sweeping
from tactics.flows.behaviour import route_behaviours
from tactics.flows.explain import explain_execution, explain_user
from tactics.flows.resume import resume
from tactics.flows.retry import list_parked, retry_parked
from tactics.loss_breaker import ACTOR, pause_itself, trip_of
from tactics.processors.check_rule import check_rule
from tactics.processors.finish_execution import finish_execution
from tactics.processors.send_benefit import send_benefit
from tactics.store import activities, events, limits, trips
from tactics.store.audit import audit
from tactics.store.trips import Trip
from tactics.template import TacticsTemplate
from tests.counting import counting
from tests.driving import Drive, Maker, after, at_checkout, satisfied
from tests.making import activity, document

STATE = "SELECT status, tripped_reason FROM activity WHERE code = 'camp18'"
PARKED = "SELECT user_id FROM execution WHERE outcome = 'parked' ORDER BY 1"
TOLD = (
    "SELECT topic, payload ->> 'activity', payload ->> 'limit' FROM outbox WHERE topic ~ 'paused|resumed' ORDER BY id"
)
CHANGES = (
    "SELECT actor, after ->> 'status', after ->> 'tripped_reason' FROM audit_log WHERE kind = 'activity' ORDER BY id"
)
PAUSED, RESUMED = ("tactics.paused", "camp18", "grants_per_minute"), ("tactics.resumed", "camp18", None)
REASON = "2 grants a minute are the most"
_STEPS = (check_rule, send_benefit, finish_execution)
DIRECT = TacticsTemplate("direct", TacticsInstanceContext, _STEPS, _STEPS)
BUSY = {"benefits": {"c18": {"kind": "coupon", "value_minor": 500, "stock": 10_000}}}


def _trip(drive: Drive) -> Trip:
    """Give a trip of a transaction that begins now."""
    with drive.runtime.engine.begin() as conn:
        return trip_of(conn, activity(limits={"grants_per_minute": 2}), "grants_per_minute")


def _consistent(drive: Drive) -> None:
    with drive.runtime.engine.connect() as conn:
        assert audit(conn) == []


def test_an_activity_that_grants_too_much_pauses_itself_and_loses_nothing(drive: Drive) -> None:
    """The grant past the limit is refused and pauses the activity once; what comes then is answered, or kept until it runs."""
    drive.load(document(limits={"grants_per_minute": 2}))
    drive.happen(*[satisfied(user) for user in "abcd"])
    with counting() as counted, capture_logs() as logged:
        assert [drive.outcome(user) for user in "abcd"] == ["granted", "granted", "limit", "limit"]
    assert drive.rows(STATE) == [("paused", REASON)]
    assert counted['tactics_activity_trips_total{activity="camp18",limit="grants_per_minute"}'] == 1
    assert [one["activity"] for one in logged if one["event"] == "paused_itself"] == ["camp18"]
    assert drive.rows(TOLD) == [PAUSED]
    assert drive.rows(CHANGES)[-1] == (ACTOR, "paused", REASON)

    later = drive.visit("a", at=after(minutes=5))  # also who holds something: a paused activity shows nothing
    assert later.not_shown == [
        {"activity": "camp18", "reason": "limit", "text": f"the activity paused itself: {REASON}"}
    ]
    assert drive.rows("SELECT outcome FROM execution WHERE id = :id", id=UUID(later.execution_ids[0])) == [("limit",)]
    assert activity_flow.pause(drive.runtime, "camp18").change == "unchanged"  # an operator's pause loses nothing of it

    drive.happen(satisfied("d", at=after(minutes=5)), satisfied("e", at=after(minutes=5)))
    assert drive.rows(PARKED) == [("d",), ("e",)]
    assert drive.outcome("e", at=after(minutes=5)) == "limit"
    (first, second) = list_parked(drive.app, 10)
    assert {first["reason"], second["reason"]} == {f"the activity paused itself: {REASON}"}
    assert retry_parked(drive.app, None) == retry_parked(drive.app, [first["id"]]) == 0
    drive.sweep()
    assert drive.work() == []

    told = " ".join(explain_user(drive.runtime, "e", "camp18", at=after(minutes=6))["summary"])
    tripped_at = drive.value("SELECT tripped_at FROM activity")
    assert f"The activity paused itself at {tripped_at:%Y-%m-%d}" in told
    assert f"{REASON}. Placements get nothing" in told
    assert "`tactics activity resume camp18`" in told
    waiting = explain_execution(drive.runtime, UUID(first["id"]))
    assert waiting["summary"][0].endswith(
        f"it waits until the activity runs again (the activity paused itself: {REASON})."
    )
    assert not any("nothing tries it again" in line for line in waiting["summary"])

    assert (resume(drive.app, "camp18").change, resume(drive.app, "camp18").change) == ("updated", "unchanged")
    assert drive.rows(STATE) == [("live", None)]
    assert drive.rows(TOLD) == [PAUSED, RESUMED]
    drive.settle()
    assert drive.rows(PARKED) == []
    assert [drive.outcome(user, at=after(minutes=6)) for user in "de"] == ["granted", "granted"]
    _consistent(drive)
    # The limit still holds, and publishing lets it go on as resuming does.
    assert drive.outcome("c", at=after(minutes=6)) == "limit"
    drive.happen(satisfied("f", at=after(minutes=6)))
    activity_flow.publish(drive.runtime, "camp18")
    drive.sweep()
    drive.settle()
    assert drive.outcome("f", at=after(minutes=7)) == "granted"
    assert drive.rows(TOLD) == [PAUSED, RESUMED, PAUSED, RESUMED]


def test_the_cost_of_a_minute_pauses_it_too(drive: Drive) -> None:
    """What is given may cost no more within a minute than the limit; in the next minute it counts anew."""
    drive.load(at_checkout(limits={"cost_per_minute_minor": 1_200}))
    assert [drive.outcome(user) for user in "ab"] == ["granted", "granted"]
    assert drive.outcome("c", at=after(minutes=1)) == "granted"
    assert drive.outcome("d", at=after(seconds=59)) == "limit"
    assert drive.rows(STATE) == [("paused", "a cost of 1200 a minute is the most")]
    assert drive.rows("SELECT scope, used FROM limit_counter ORDER BY period") == [
        ("minute_cost", 1000),
        ("minute_cost", 500),
    ]
    _consistent(drive)
    # Counters of minutes long over go, of other limits they stay; what is left is no more compared.
    drive.run("INSERT INTO limit_counter VALUES ('camp18', 'day', '2017-11-01', 0)")
    with drive.runtime.engine.begin() as conn:
        conn.execute(text("INSERT INTO limit_counter SELECT 'camp18', 'minute', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI'), 0"))  # fmt: skip
        assert limits.forget_minutes(conn) == 2
    assert drive.rows("SELECT scope FROM limit_counter ORDER BY 1") == [("day",), ("minute",)]
    _consistent(drive)


def test_the_sweeper_forgets_minutes_now_and_then(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old counters go by themselves, not at every sweep; in replay, where minutes of long ago are now, never."""
    live, replaying = driven(replay=False), driven()
    live.load(document())
    old = "INSERT INTO limit_counter VALUES ('camp18', 'minute', '2017-11-01T12:00', 1)"
    count = "SELECT count(*) FROM limit_counter"
    live.run(old)
    replaying.sweep()
    assert live.value(count) == 1
    live.sweep()
    assert live.value(count) == 0
    live.run(old)
    live.sweep()
    assert live.value(count) == 1
    monkeypatch.setattr(sweeping, "FORGET_EVERY_S", 0)
    live.sweep()
    assert live.value(count) == 0


def test_many_who_find_out_at_once_pause_it_once(drive: Drive) -> None:
    """Of many trips at the same moment one pauses; one that was overtaken by a resume, or meets a draft, changes nothing."""
    drive.load(at_checkout("quiet"), publish=False)
    drive.load(at_checkout())
    old = _trip(drive)
    assert not pause_itself(drive.runtime, "quiet", old)
    with pytest.raises(Conflict, match="is a draft: `tactics activity publish quiet`"):
        resume(drive.app, "quiet")
    with ThreadPoolExecutor(8) as pool:
        paused = list(pool.map(lambda _: pause_itself(drive.runtime, "camp18", old), range(24)))
    assert paused.count(True) == 1
    assert drive.rows(TOLD) == [PAUSED]
    resume(drive.app, "camp18")
    assert not pause_itself(drive.runtime, "camp18", old)
    with drive.runtime.engine.begin() as conn:
        assert not trips.pause(conn, "camp18", old)
    assert pause_itself(drive.runtime, "camp18", _trip(drive))
    assert drive.rows(TOLD) == [PAUSED, RESUMED, PAUSED]


def test_who_dies_before_the_pause_leaves_it_to_the_next(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant past the limit is refused also where nobody can pause the activity; the next one that is refused does it."""
    drive.load(at_checkout(limits={"grants_per_minute": 1}))
    with drive.runtime.engine.begin() as conn:  # somebody sets activities up all the while
        activities.serialize(conn)
        monkeypatch.setattr("tactics.loss_breaker.PATIENCE_MS", 20)
        with capture_logs() as logged:
            assert [drive.outcome(user) for user in "ab"] == ["granted", "limit"]
    assert [one["activity"] for one in logged if one["event"] == "not_paused"] == ["camp18"]
    assert drive.rows(STATE) == [("live", None)]
    assert drive.outcome("c") == "limit"
    assert drive.rows(STATE)[0][0] == "paused"


def test_a_grant_that_nobody_waits_for_waits_for_its_activity(driven: Maker) -> None:
    """A preparation that grants is taken back at the limit, waits, and grants in the minute in which it is let go."""
    drive = driven(replay=False, templates=[DIRECT])
    span = {"schedule": {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}}
    channels = {"prepare": ["bought"], "grant": []}
    drive.load(document(template_type="direct", channels=channels, limits={"grants_per_minute": 1}, **span))
    # Within one minute, whatever the clock says.
    drive.happen(satisfied("a", at=datetime.now(UTC)))
    drive.run(
        "UPDATE limit_counter SET period = to_char((now() + interval '1 minute') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI')"
    )
    drive.run(
        "INSERT INTO limit_counter SELECT 'camp18', 'minute', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI'), 1"
    )
    drive.happen(satisfied("b", at=datetime.now(UTC)))
    assert drive.rows("SELECT user_id, outcome FROM execution ORDER BY 1") == [("a", "granted"), ("b", "parked")]
    assert drive.rows(STATE) == [("paused", "1 grants a minute are the most")]
    assert drive.value("SELECT count(*) FROM instance WHERE user_id = 'b'") == 0
    drive.run("DELETE FROM limit_counter")
    drive.run("UPDATE grant_record SET business_at = business_at - interval '1 hour'")
    drive.run("UPDATE execution SET business_at = business_at - interval '1 hour'")
    with drive.runtime.engine.begin() as conn:  # and whoever resumes it dies at once
        trips.resume(conn, "camp18")
    drive.sweep()
    drive.settle()
    assert drive.rows("SELECT user_id, outcome FROM execution ORDER BY 1") == [("a", "granted"), ("b", "granted")]
    assert drive.value("SELECT now() - business_at < interval '10 minutes' FROM grant_record WHERE user_id = 'b'")
    _consistent(drive)


def test_no_order_of_trips_resumes_and_events_loses_anything(drive: Drive) -> None:
    """Whatever comes between whatever, each behaviour prepares its user in the end, and every pause was ended once."""
    chance = random.Random(1)  # noqa: S311  # no secret
    drive.load(document(limits={"grants_per_minute": 1}, **BUSY))
    users: list[str] = []
    granted: set[str] = set()
    minute = 0

    def happens(*, while_it_resumes: bool = False) -> None:
        users.append(f"u{len(users)}")
        if not while_it_resumes:
            drive.happen(satisfied(users[-1], at=after(minutes=minute)))
            return
        _, refs = drive.accept(satisfied(users[-1], at=after(minutes=minute)))
        with drive.runtime.engine.begin() as conn:  # it was routed before, and is committed after
            route_behaviours(drive.app, conn, events.lock_unrouted(conn, refs))
            events.mark_routed(conn, [one.key for one in events.lock_unrouted(conn, refs)], "routed")
            resume(drive.app, "camp18")

    def visits() -> None:
        user = chance.choice([one for one in users if one not in granted] or ["nobody"])
        if drive.outcome(user, at=after(minutes=minute)) == "granted":
            granted.add(user)

    for _ in range(50):
        what = chance.randrange(9)
        if what < 3:
            happens(while_it_resumes=what == 1)
        elif what < 6:
            visits()
        elif what == 6:
            minute += chance.randrange(2)
        elif what == 7:
            drive.work() if chance.random() < 0.5 else drive.sweep()
        else:
            resume(drive.app, "camp18") if chance.random() < 0.5 else activity_flow.publish(drive.runtime, "camp18")
    resume(drive.app, "camp18")
    drive.settle()
    prepared = drive.rows("SELECT user_id, outcome FROM execution WHERE link = 'prepare' ORDER BY 1")
    assert prepared == [(user, "prepared") for user in sorted(users)]
    topics = [topic for topic, *_ in drive.rows(TOLD)]
    assert topics == ["tactics.paused", "tactics.resumed"] * (len(topics) // 2)
    assert sorted(granted) == [user for (user,) in drive.rows("SELECT user_id FROM grant_record ORDER BY 1")]
    assert len(topics) > 2
    _consistent(drive)
