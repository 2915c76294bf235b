"""Events from producers: accepted, refused, routed to what they prepare, and parked when nothing helps."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock
from uuid import UUID, uuid4

from tactics.celery_app import MASKED, MaskedRequest
from tactics.config import Settings
from tactics.flows.action import submit_events
from tests.driving import NOON, Drive, Maker, acted, after, became, message, satisfied
from tests.making import bought, document

EVENTS = "SELECT id, outcome, parked_reason FROM event ORDER BY id"


def _statuses(drive: Drive, *messages: Any) -> list[str]:
    return [receipt.status for receipt in drive.accept(*messages)[0]]


def _executions(drive: Drive) -> list[tuple[Any, ...]]:
    return drive.rows("SELECT activity_code, outcome FROM execution ORDER BY 1, event_id")


def test_event_is_accepted_once(drive: Drive) -> None:
    """An event is accepted, its repeat is a duplicate, and another body under its source and id is rejected."""
    assert _statuses(drive, acted("1", id="a")) == ["accepted"]
    assert _statuses(drive, acted("1", id="a", at=after(hours=1))) == ["duplicate"]
    assert _statuses(drive, acted("1", id="a", source="other")) == ["accepted"]
    (receipt,), refs = drive.accept(acted("2", id="a"))
    assert (receipt.status, refs) == ("rejected", [])
    assert "accepted before" in (receipt.reason or "")
    assert drive.rows("SELECT source, user_id FROM event ORDER BY 1") == [("other", "1"), ("shop", "1")]


def test_batch_is_answered_in_order(drive: Drive) -> None:
    """A mixed batch gets a receipt for each event in its order; the good ones are stored, the others are not."""
    drive.load(document())
    drive.accept(acted("1", id="old"))
    receipts, refs = drive.accept(
        acted("1", id="new"),
        acted("1", id="bad", quantity=-1),
        acted("1", id="old"),
        "no event",
        acted("1", id="new"),
        acted("1", "view", id="new"),
        satisfied("1", "nobody.asks", id="lost"),
        satisfied("1", id="fine"),
    )
    assert [(one.id, one.status) for one in receipts] == [
        ("new", "accepted"),
        ("bad", "rejected"),
        ("old", "duplicate"),
        ("", "rejected"),
        ("new", "duplicate"),
        ("new", "rejected"),
        ("lost", "rejected"),
        ("fine", "accepted"),
    ]
    assert refs == [("shop", "new", 1), ("shop", "fine", 1)]
    assert [row[0] for row in drive.rows(EVENTS)] == ["fine", "new", "old"]
    reasons = [one.reason or "" for one in receipts]
    assert "/data/quantity" in reasons[1]
    assert "'nobody.asks'" in reasons[6]
    assert receipts[1].to_json() == {"source": "shop", "id": "bad", "status": "rejected", "reason": reasons[1]}


def test_what_cannot_be_stored_does_not_hold_the_batch_up(drive: Drive) -> None:
    """An event that Postgres or the calendar cannot carry is rejected alone, and its neighbours are accepted."""
    bad = [
        acted("a\x00"),
        acted("a", attributes={"x": "\ud800"}),
        acted("a", attributes={"x": float("nan")}),
        acted("a") | {"time": "0001-01-01T00:00:00+05:00"},
        acted("a") | {"time": "9999-12-31T23:59:59-05:00"},
        acted("a", attributes={"x": b"1"}),
    ]
    for one in bad:
        assert _statuses(drive, acted("1"), one, acted("2")) == ["accepted", "rejected", "accepted"]


def test_old_events_are_refused_by_the_clock_alone(driven: Maker) -> None:
    """An event older than the setting allows is rejected; in replay, age plays no part."""
    ancient = acted("1", id="a")
    (receipt,), _ = driven(replay=False).accept(ancient)
    assert (receipt.status, "seconds ago" in (receipt.reason or "")) == ("rejected", True)
    drive = driven(replay=True)
    assert _statuses(drive, ancient) == ["accepted"]
    without_time = acted("1", id="b")
    del without_time["time"]
    assert _statuses(driven(replay=False), without_time) == ["accepted"]


def test_accepted_events_survive_a_broker_that_is_away(settings: Settings, driven: Maker) -> None:
    """With Redis away events are still accepted and nothing is raised; the sweeper has them routed later."""
    drive = driven(redis_url="redis://127.0.0.1:1/0")
    assert [one.status for one in submit_events(drive.app, [acted("1")])] == ["accepted"]
    back = driven()
    assert back.value("SELECT count(*) FROM event WHERE routed_at IS NULL") == 1
    back.settle()
    assert back.value("SELECT count(*) FROM event WHERE routed_at IS NULL") == 0


def test_submitted_events_are_routed_by_one_message_a_batch(driven: Maker) -> None:
    """Events are published in messages of up to `batch_size` references, and each reference is routed."""
    drive = driven(batch_size=2)
    submit_events(drive.app, [acted(str(user)) for user in range(5)])
    assert drive.work() == ["tactics.route_events"] * 3
    assert drive.rows("SELECT count(*), count(routed_at) FROM event") == [(5, 5)]


def test_ingest_task_takes_an_event_to_its_end(drive: Drive) -> None:
    """A published `tactics.ingest_event` accepts, routes and prepares; the same event again changes nothing."""
    drive.load(document())
    event = satisfied("1")
    for _ in range(2):
        drive.app.tasks["tactics.ingest_event"].apply_async((event,))
    drive.work()
    assert _executions(drive) == [("camp18", "prepared")]
    assert drive.deliver("tactics.ingest_event", {**event, "data": {}}).state == "FAILURE"


def test_ingested_event_shows_nowhere(drive: Drive) -> None:
    """What a worker says of an ingested event, to Flower and to its log, has none of its content."""
    app = drive.app
    sent = app.amqp.as_task_v2("1", "tactics.ingest_event", (acted("a-secret-user"),), {})
    delivered = Mock(headers=sent.headers, properties={}, delivery_info={})
    eventer = Mock(enabled=True)
    assert app.tasks["tactics.ingest_event"].Request == "tactics.celery_app:MaskedRequest"
    request = MaskedRequest(delivered, app=app, body=sent.body, decoded=True, headers=sent.headers, eventer=eventer)
    request.send_event("task-received", args=request.argsrepr, kwargs=request.kwargsrepr)
    assert request.argsrepr == request.kwargsrepr == MASKED
    assert "a-secret-user" not in repr(request.info()) + str(eventer.send.mock_calls) + repr(request)


def test_a_poison_event_does_not_hold_the_batch_up(driven: Maker) -> None:
    """One event that cannot be routed leaves its batch to be routed, is tried again, and is parked with the reason."""
    drive = driven(max_attempts=3)
    drive.load(document())
    _, refs = drive.accept(acted("1", id="a"), acted("2", id="poison"), satisfied("3", id="c"))
    # An amount that the sum of a user's items cannot hold: the database refuses it, today and tomorrow.
    drive.run("UPDATE event SET data = data || '{\"quantity\": 9223372036854775808}' WHERE id = 'poison'")
    drive.route(*refs)
    assert drive.rows(EVENTS) == [("a", "routed", None), ("c", "routed", None), ("poison", None, None)]
    assert drive.value("SELECT next_attempt_at > now() FROM event WHERE id = 'poison'") is True
    drive.settle()
    attempts, outcome, reason = drive.rows(
        "SELECT attempts, outcome, parked_reason FROM event WHERE routed_at IS NULL"
    )[0]
    assert (attempts, outcome) == (3, "parked")
    assert "out of range" in reason
    assert _executions(drive) == [("camp18", "prepared")]


def test_stale_attempt_routes_nothing(drive: Drive) -> None:
    """A message whose attempt is not the event's current one changes nothing; the current one is routed once."""
    drive.load(document())
    _, refs = drive.accept(satisfied("1"))
    drive.sweep()
    drive.route(*refs)
    assert _executions(drive) == []
    drive.work()
    drive.work()
    drive.route((refs[0][0], refs[0][1], 2))
    assert _executions(drive) == [("camp18", "prepared")]


def test_behaviour_prepares_every_live_activity_of_its_channel(drive: Drive) -> None:
    """One execution for each activity that is live, in schedule and on the channel's prepare link, and no other."""
    early = {"from": "2017-11-02T00:00:00Z", "to": "2018-01-01T00:00:00Z"}
    drive.load(
        document(code="one", channels={"prepare": ["other", "bought"], "grant": ["home_banner"]}),
        document(code="two", template_type="full_link_v2"),
        document(code="not_yet", schedule=early),
        document(code="grants_on_it", channels={"prepare": [], "grant": ["bought"]}),
        document(code="elsewhere", channels={"prepare": ["other"], "grant": ["home_banner"]}),
    )
    drive.load(document(code="draft"), publish=False)
    event = satisfied("1")
    drive.happen(event)
    assert _executions(drive) == [("one", "prepared"), ("two", "prepared")]
    drive.happen(event)
    drive.happen(satisfied("1", "other", id="again"))
    assert _executions(drive) == [
        ("elsewhere", "prepared"),
        ("one", "prepared"),
        ("one", "prepared"),
        ("two", "prepared"),
    ]
    drive.happen(satisfied("1", at=after(days=2)))
    assert [row[0] for row in _executions(drive)].count("not_yet") == 1


def test_event_without_live_activity_is_done(drive: Drive) -> None:
    """A behaviour event whose activities are all paused is routed, to nobody."""
    drive.load(document(), publish=False)
    drive.happen(satisfied("1"))
    assert drive.rows("SELECT outcome, routed_at IS NOT NULL FROM event") == [("routed", True)]
    assert _executions(drive) == []


def test_prepared_event_is_consumed(drive: Drive) -> None:
    """The behaviour event that prepared an instance is recorded as consumed, and stands in the instance."""
    drive.load(document(behaviour_rules={"bought": bought(1)}))
    drive.happen(acted("1", id="a"))
    assert drive.rows("SELECT type, consumed_at IS NOT NULL FROM event ORDER BY 1") == [
        ("action", False),
        ("behaviour", True),
    ]
    assert drive.rows("SELECT user_id, prepared_source, prepared_event_id, prepared_epoch FROM instance") == [
        ("1", "tactics.behaviour:shop", "bought:1:a", 1)
    ]


def _granted_asset(drive: Drive) -> str:
    drive.load(document())
    drive.happen(satisfied("1"))
    (result,) = drive.visit("1").results
    return str(result["assets"][0]["asset_id"])


def test_asset_events_change_assets(drive: Drive) -> None:
    """Claimed, redeemed, released and revoked events change the asset in turn; a repeat changes nothing."""
    asset_id = _granted_asset(drive)
    seen = []
    for status in ("claimed", "claimed", "redeemed", "released", "revoked", "revoked"):
        drive.happen(became(asset_id, status))
        seen += drive.rows("SELECT status, (SELECT usable FROM grant_record) FROM asset")
    assert seen == [
        ("claimed", True),
        ("claimed", True),
        ("redeemed", False),
        ("available", True),
        ("revoked", False),
        ("revoked", False),
    ]
    assert drive.value("SELECT count(*) FROM event WHERE parked_reason IS NOT NULL") == 0


def test_asset_event_that_cannot_be_applied_is_parked(drive: Drive) -> None:
    """An event for an asset that is not there, spent or expired is parked with the reason, and never tried again."""
    asset_id = _granted_asset(drive)
    drive.happen(
        became(str(uuid4()), "redeemed", id="x1"),
        became(asset_id, "revoked", id="x2"),
        became(asset_id, "redeemed", id="x3"),
    )
    found = drive.rows("SELECT id, outcome, parked_reason, next_attempt_at FROM event WHERE type = 'asset' ORDER BY id")
    assert [(row[0], row[1], row[3]) for row in found] == [
        ("x1", "parked", None),
        ("x2", "routed", None),
        ("x3", "parked", None),
    ]
    assert "there is no asset" in found[0][2]
    assert found[2][2].endswith("is revoked and cannot be redeemed")
    assert drive.rows("SELECT status FROM asset") == [("revoked",)]


def test_an_event_that_comes_before_its_asset_waits_for_it(driven: Maker) -> None:
    """What a benefit system tells of an asset that is not stored yet is tried again, and applied once it is."""
    drive = driven(asset_wait_attempts=3)
    asset_id = _granted_asset(drive)
    early, late = (str(UUID(int=number)) for number in (1, 2))
    drive.happen(became(early, "redeemed", id="early"), became(late, "redeemed", id="late"))
    waiting = (
        "SELECT count(*) FROM event WHERE next_attempt_at IS NOT NULL AND routed_at IS NULL AND parked_reason IS NULL"
    )
    assert drive.value(waiting) == 2
    drive.run("UPDATE asset SET id = :early WHERE id = :held", early=early, held=asset_id)
    drive.settle()
    assert drive.rows("SELECT status FROM asset") == [("redeemed",)]
    assert drive.rows("SELECT id, outcome, attempts FROM event WHERE type = 'asset' ORDER BY id") == [
        ("early", "routed", 2),
        ("late", "parked", 3),
    ]


def test_expired_asset_cannot_be_redeemed(drive: Drive) -> None:
    """Redeeming counts by the event's own time: after the asset's validity it is parked, before it is not."""
    drive.load(document(benefits={"c18": {"kind": "coupon", "value_minor": 500, "validity_s": 3600}}))
    drive.happen(satisfied("1"))
    asset_id = drive.visit("1").results[0]["assets"][0]["asset_id"]
    drive.happen(became(asset_id, "redeemed", at=after(hours=1), id="late"))
    assert "expired" in drive.value("SELECT parked_reason FROM event WHERE id = 'late'")
    drive.happen(became(asset_id, "redeemed", at=after(minutes=59)))
    assert drive.value("SELECT status FROM asset") == "redeemed"


def test_events_reach_the_time_they_happened(drive: Drive) -> None:
    """In replay, what an event causes carries the event's own time, not the clock's."""
    drive.load(document(behaviour_rules={"bought": bought(1)}))
    drive.happen(acted("1", at=after(minutes=5)))
    assert drive.rows("SELECT DISTINCT at FROM event") == [(after(minutes=5),)]
    assert drive.rows("SELECT business_at FROM execution") == [(after(minutes=5),)]
    assert message("action", {}, at=NOON)["time"] == NOON.isoformat()
