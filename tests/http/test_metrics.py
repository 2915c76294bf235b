"""What happens is counted where it happens, and told to whoever may watch."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tactics import metrics
from tactics.api.counting import NO_ROUTE
from tactics.errors import Busy
from tactics.flows import setup
from tactics.flows.placement import counted
from tactics.store import backlog, lease
from tactics.store.backlog import Backlog
from tests.counting import counting, counts_of
from tests.driving import Drive, Maker, acted, at_checkout, became, satisfied
from tests.making import bought, document
from tests.plays import playing, step_of

ROUTED = "tactics_events_routed_total"
SECONDS = "tactics_placement_seconds_count"
GRANTS = "tactics_grants_total"
FALLBACKS = "tactics_fallbacks_total"
ENDED = "tactics_executions_total"


def test_events_are_counted_from_acceptance_to_their_end(drive: Drive) -> None:
    """Accepted, duplicate and rejected by type; routed with their lag, those of rules here too; what is given up on, parked."""
    drive.load(document(behaviour_rules={"bought": bought(1)}))
    first = acted("ann", id="e1")
    with counting() as changed:
        drive.happen(first, acted("ann", "view"))
        drive.happen(first)
        drive.happen(
            {**first, "data": {"user_id": "ann", "action": "other"}}, {"type": "tactics.action"}, {"type": "x"}, 7
        )
        drive.happen(satisfied("bob", "nobody_knows"), satisfied("bob"))
        drive.happen(became("11111111-1111-4111-8111-111111111111", "redeemed"))
    assert changed == {
        'tactics_events_total{outcome="accepted",type="action"}': 2,
        'tactics_events_total{outcome="duplicate",type="action"}': 1,
        'tactics_events_total{outcome="rejected",type="action"}': 2,
        'tactics_events_total{outcome="rejected",type="unknown"}': 2,
        'tactics_events_total{outcome="rejected",type="behaviour"}': 1,
        'tactics_events_total{outcome="accepted",type="behaviour"}': 1,
        'tactics_events_total{outcome="accepted",type="asset"}': 1,
        f'{ROUTED}{{type="action"}}': 2,
        f'{ROUTED}{{type="behaviour"}}': 2,
        'tactics_routing_lag_seconds_count{type="action"}': 2,
        'tactics_routing_lag_seconds_count{type="behaviour"}': 1,
        f'{ENDED}{{link="prepare",outcome="prepared"}}': 2,
        'tactics_parked_total{what="event"}': 1,
    }


def test_placements_are_counted_by_what_comes_of_them(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grants, reuses and refusals by activity; what was answered without something; who met an instance at work."""
    monkeypatch.setattr(metrics.GRANTS, "most", 100_000)  # other tests of this process have counted their activities
    drive = driven(placement_deadline_ms=10_000)
    drive.load(document(benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": 1}}))
    setup.import_items(drive.runtime, [{"item_id": "7", "title": "Tea"}])
    drive.happen(acted("ann", item_id="7"))
    for breaker in (drive.runtime.recall_breaker, drive.runtime.redis_breaker):
        breaker.pause_s = 60.0
    drive.runtime.recall_breaker.trip()
    with counting() as changed:
        drive.happen(satisfied("ann"), satisfied("bob"))
        assert [drive.outcome(user) for user in ("ann", "ann", "bob", "eve")] == [
            "granted",
            "reused",
            "sold_out",
            "not_prepared",
        ]
        drive.forget()
        drive.assets.failing = True
        drive.outcome("ann")
        drive.runtime.redis_breaker.trip()
        drive.outcome("eve")
    assert changed == {
        'tactics_events_total{outcome="accepted",type="behaviour"}': 2,
        f'{ROUTED}{{type="behaviour"}}': 2,
        'tactics_routing_lag_seconds_count{type="behaviour"}': 2,
        f'{ENDED}{{link="prepare",outcome="prepared"}}': 2,
        f'{ENDED}{{link="grant",outcome="granted"}}': 1,
        f'{ENDED}{{link="grant",outcome="reused"}}': 2,
        f'{ENDED}{{link="grant",outcome="sold_out"}}': 1,
        f'{ENDED}{{link="grant",outcome="not_prepared"}}': 2,
        f'{GRANTS}{{activity="camp18",outcome="granted"}}': 1,
        f'{GRANTS}{{activity="camp18",outcome="reused"}}': 2,
        f'{GRANTS}{{activity="camp18",outcome="sold_out"}}': 1,
        f'{FALLBACKS}{{what="prepared_rebuilt"}}': 1,
        f'{FALLBACKS}{{what="assets_unknown"}}': 1,
        f'{FALLBACKS}{{what="no_redis"}}': 1,
        f'{FALLBACKS}{{what="no_recall"}}': 2,  # prepared, and prepared again
        f'{SECONDS}{{outcome="ok"}}': 6,
    }


def test_waits_and_refusals_are_counted(driven: Maker) -> None:
    """A lease that is taken, a row that is locked, a visit that is refused: each has its own count."""
    drive = driven(placement_deadline_ms=600, busy_wait_ms=0)
    drive.load(at_checkout())
    drive.outcome("ann")
    drive.runtime.redis.set(lease.lease_key("camp18", "ann"), "another:1:x")
    with counting() as leased:
        assert drive.outcome("ann") == "busy"
    drive.forget()
    with counting() as locked, drive.runtime.engine.connect() as conn:
        conn.execute(text("SELECT 1 FROM instance FOR UPDATE"))
        drive.visit("ann")
    with counting() as refused, pytest.raises(LookupError), counted():
        raise LookupError
    with counting() as busy, pytest.raises(Busy), counted():
        raise Busy
    assert leased == {'tactics_lock_waits_total{lock="lease"}': 1, f'{SECONDS}{{outcome="busy"}}': 1}
    assert locked['tactics_lock_waits_total{lock="instance"}'] == 1
    assert refused == {f'{SECONDS}{{outcome="error"}}': 1}
    assert busy == {f'{SECONDS}{{outcome="busy"}}': 1}


def test_failures_and_sweeps_are_counted(driven: Maker) -> None:
    """A step that fails, what is given up on after that, and what the sweeper takes up again."""

    def fail(_ctx: Any, _run: Any) -> None:
        raise ValueError

    drive = playing(driven, step_of("fail_always", fail), max_attempts=2)
    with counting() as changed:
        drive.happen(satisfied("ann"))
        drive.accept(satisfied("bob"))
        drive.settle()
    assert changed['tactics_step_failures_total{step="fail_always"}'] == 4
    assert changed['tactics_parked_total{what="execution"}'] == 2
    assert changed[f'{ENDED}{{link="prepare",outcome="parked"}}'] == 2
    assert changed["tactics_sweeps_total"] >= 1
    assert changed['tactics_swept_total{what="events"}'] == 1
    assert changed['tactics_swept_total{what="executions"}'] >= 1


def test_the_api_counts_its_answers_and_tells_what_waits(driven: Maker, api_of: Any) -> None:
    """Requests by the route's template; and the database's state, as it is when somebody asks."""
    drive = driven(replay=False)
    drive.load(running(at_checkout()))
    api = api_of(drive)
    drive.accept(acted("ann", at=drive.value("SELECT now()")))
    drive.accept(became("11111111-1111-4111-8111-111111111111", "redeemed", at=drive.value("SELECT now()")))
    drive.route(("shop", drive.value("SELECT id FROM event WHERE type = 'asset'"), 1))
    drive.run("UPDATE event SET next_attempt_at = now() - interval '90 seconds' WHERE next_attempt_at IS NOT NULL")
    with counting() as changed:
        assert api.post("/v1/placements/home_banner", json={"user_id": "visitor-7"}).status_code == 200
        assert api.post("/v1/placements/nowhere", json={"user_id": "visitor-7"}).status_code == 404
        assert api.get("/v1/users-of-mine/visitor-7").status_code == 404
        assert api.request("BREW", "/healthz").status_code == 405
        assert api.get("/openapi.json").status_code == 200
    requests = {name: value for name, value in changed.items() if name.startswith("tactics_http")}
    place, strange = 'method="POST",route="/v1/placements/{channel_code}"', 'method="other",route="/healthz"'
    assert requests == {
        f'tactics_http_requests_total{{{place},status="200"}}': 1,
        f'tactics_http_requests_total{{{place},status="404"}}': 1,
        f'tactics_http_requests_total{{method="GET",route="{NO_ROUTE}",status="404"}}': 1,
        f'tactics_http_requests_total{{{strange},status="405"}}': 1,
        f"tactics_http_request_seconds_count{{{place}}}": 2,
        f'tactics_http_request_seconds_count{{method="GET",route="{NO_ROUTE}"}}': 1,
        f"tactics_http_request_seconds_count{{{strange}}}": 1,
        'tactics_http_requests_total{method="GET",route="/openapi.json",status="200"}': 1,
        'tactics_http_request_seconds_count{method="GET",route="/openapi.json"}': 1,
    }
    answer = api.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = counts_of(answer.text)
    assert found["tactics_http_requests_running"] == 1
    assert 90 <= found.pop("tactics_events_overdue_seconds") < 100
    told = {
        "tactics_database_up": 1,
        "tactics_events_waiting": 1,
        "tactics_executions_waiting": 0,
        "tactics_executions_overdue_seconds": 0,
        'tactics_parked_waiting{what="event"}': 1,
        'tactics_parked_waiting{what="execution"}': 0,
        "tactics_unreconciled": 0,
        "tactics_activities_tripped": 0,
        'tactics_grants_open{state="pending"}': 0,
        'tactics_stock_left{activity="camp18",benefit="c18"}': 9,
    }
    assert told.items() <= found.items()
    assert "visitor-7" not in answer.text


def test_the_state_is_read_from_indexes(drive: Drive) -> None:
    """However many events and executions there are, only those that wait are read, and no more of them than are counted."""
    with drive.runtime.engine.connect() as conn:
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        for statement in (backlog._BACKLOG, backlog._OPEN):
            plan = "\n".join(row[0] for row in conn.execute(text(f"EXPLAIN {statement.text}")))
            assert "Seq Scan" not in plan
            assert plan.count("Limit") >= 1
        assert backlog.backlog(conn) == Backlog(0, 0.0, 0, 0.0, 0, 0, 0, 0)
        assert backlog.open_grants(conn) == {"pending": 0, "unknown": 0, "parked": 0}
        assert backlog.stock_left(conn) == []


def running(found: dict[str, Any]) -> dict[str, Any]:
    """Give an activity that is live now."""
    return {**found, "schedule": {"from": "2017-10-30T00:00:00Z", "to": "2100-01-01T00:00:00Z"}}
