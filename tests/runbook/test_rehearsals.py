"""The runbook's incidents, made to happen: what it says is seen is seen, what it says to do is done, and it is over."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from tactics.flows import asset
from tactics.flows.stock import move_stock
from tests.delivery.waiting import until
from tests.runbook.desk import BANK, LOCAL, SPOILT, WALLET, Desk, activity, desk, steps

UNAVAILABLE = 503
_OLDER = """
    SELECT now() - created_at > make_interval(secs => remembers_s) FROM grant_record, provider
    WHERE user_id = 'waits' AND name = 'bank'
"""
BREAKER = 'tactics_provider_held_back_total{provider="wallet",why="breaker"}'


@pytest.fixture(scope="module")
def at() -> Iterator[Desk]:
    """The desk, everything running."""
    with desk() as made:
        yield made


def test_every_step_is_rehearsed() -> None:
    """No step stands on the page that no rehearsal follows."""
    assert set(re.findall(r'\bfollow\(\s*"([^"]+)"', Path(__file__).read_text())) | {"audit"} == set(steps())


def test_first_look(at: Desk) -> None:
    """On a quiet night the first look is quiet."""
    assert at.visit("early", LOCAL) == "granted"
    until(at.all_ended, "the start is over")
    at.follow("first look")
    at.all_is_well()


def test_provider_down(at: Desk) -> None:
    """Grants wait while it is away, also the one that it gave without a word, and all are there when it is back."""
    given = at.outside.effects().total()
    at.outside.change(next=["commit_then_timeout"])
    assert at.visit("silent", WALLET) == "pending"
    until(lambda: at.outside.effects().total() > given, "it has given it")
    at.outside.kill()
    users = [f"waits-{number}" for number in range(8)]
    assert {at.visit(user, WALLET) for user in users} == {"pending"}
    assert at.visit("elsewhere", LOCAL) == "granted"
    until(lambda: at.metric(BREAKER), "the breaker holds calls back")
    until(lambda: at.metric('tactics_provider_calls_total{outcome="not_sent",provider="wallet"}'), "it is counted")
    until(lambda: at.metric('tactics_grants_open{state="pending"}') >= len(users), "they are counted")
    at.follow("provider down: look", {"PROVIDER": "wallet"})
    until(lambda: '"answer": "not_sent"' in (at.home / "worker.log").read_text(), "it is in the log")
    at.follow("provider down: disable", {"PROVIDER": "wallet"})
    at.outside.start()
    at.follow("provider down: enable", {"PROVIDER": "wallet"})
    until(at.all_ended, "all are settled")
    at.follow("provider down: over", {"PROVIDER": "wallet"})
    assert {at.state_of(user) for user in ["silent", *users]} == {"granted"}
    assert {at.visit(user, WALLET) for user in ["silent", *users]} == {"reused"}
    at.all_is_well()


def test_grants_parked(at: Desk) -> None:
    """What may have happened and is forgotten is parked; its list settles what it gave, the rest is given anew."""
    since = at.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    given = at.bank.effects().total()
    at.bank.change(next=["commit_then_timeout", *["error_before"] * 500])
    assert at.visit("given", BANK) == "pending"
    until(lambda: at.bank.effects().total() > given, "it has given it")
    never = ["never-0", "never-1"]
    assert {at.visit(user, BANK) for user in never} == {"pending"}
    until(lambda: {at.state_of(user) for user in ["given", *never]} == {"parked"}, "it may have forgotten them")
    at.bank.kill()
    assert at.visit("waits", BANK) == "pending"
    until(lambda: at.metric('tactics_grants_open{state="parked"}') == 3, "they are counted")
    given_grant = at.value("SELECT id FROM grant_record WHERE user_id = 'given'")
    at.follow("grants parked: look", {"PROVIDER": "bank", "GRANT": given_grant})
    until(lambda: at.value(_OLDER), "it is older than what it remembers")
    assert at.state_of("waits") == "pending"
    at.bank.start()
    until(lambda: at.state_of("waits") == "granted", "what never reached it is called")
    at.follow("grants parked: reconcile", {"PROVIDER": "bank", "SINCE": since})
    assert [at.state_of(user) for user in ["given", *never]] == ["granted", "parked", "parked"]
    at.follow("grants parked: anew", {"PROVIDER": "bank", "SINCE": since})
    until(lambda: {at.state_of(user) for user in never} == {"granted"}, "they are given anew")
    at.follow("provider down: over", {"PROVIDER": "bank"})
    at.all_is_well()


def test_stock_wrong(at: Desk) -> None:
    """A number that somebody typed is moved back; one that does not add up is counted again, while visits go on."""
    at.load(activity("honey", benefits={"five_off": {"kind": "coupon", "value_minor": 500, "stock": 100}}))
    about = {"ACTIVITY": "honey", "BENEFIT": "five_off"}
    move_stock(at.app.runtime, "honey", "five_off", delta=9900, reason="top up")
    at.follow("stock wrong: typed", about)
    assert at.value("SELECT remaining FROM benefit WHERE activity_code = 'honey'") == 1000
    assert at.visit("first", "honey") == "granted"
    at.run_sql("UPDATE benefit SET remaining = 5 WHERE activity_code = 'honey'")
    at.follow("stock wrong: look", exit_code=1)
    at.follow("stock wrong: recount", about)
    assert at.visit("second", "honey") == "granted"
    assert at.value("SELECT remaining FROM benefit WHERE activity_code = 'honey'") == 998
    at.all_is_well()


def test_redis_lost(at: Desk) -> None:
    """While it is away visits are answered and events accepted; it comes back empty, and everything ends."""
    accepted: list[str | None] = []
    outcomes: list[str] = []

    def come(number: int) -> None:
        outcomes.append(at.visit(f"redis-{number % 60}", LOCAL))
        accepted.append(at.act(f"redis-{number}", "browse"))

    with at.load_on(come):
        until(lambda: len(outcomes) > 10, "the load is on")
        at.lose(at.valkey, signal.SIGKILL)
        before = len(outcomes)
        until(lambda: len(outcomes) > before + 20, "visits go on")
        at.follow("redis lost: look")
        at.bring_back()
        before = len(outcomes)
        until(lambda: len(outcomes) > before + 20, "visits go on")
    assert set(outcomes) <= {"granted", "reused", "busy"}, set(outcomes)
    assert None not in accepted
    until(at.all_ended, "everything ends")
    routed = "SELECT count(*) FROM event WHERE id = ANY(:ids) AND routed_at IS NOT NULL"
    assert at.value(routed, ids=accepted) == len(accepted)
    until(lambda: at.metric("tactics_events_waiting") == 0 == at.metric("tactics_executions_waiting"), "it is counted")
    at.follow("redis lost: over")
    log = (at.home / "api.log").read_text()
    assert "no_lease" in log
    assert "not_published" in log
    at.all_is_well()


def test_postgres_failed_over(at: Desk) -> None:
    """While it is away everybody is told 503; what was answered is there afterwards, and lost moments are found."""
    since = at.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    assert at.visit("lost", WALLET) == "pending"
    until(lambda: at.state_of("lost") == "granted", "it is given")
    outcomes: list[str] = []
    accepted: list[str | None] = []

    def come(number: int) -> None:
        outcomes.append(at.visit(f"postgres-{number}", LOCAL))
        accepted.append(at.act(f"postgres-{number}", "browse"))

    with at.load_on(come):
        until(lambda: len(outcomes) > 10, "the load is on")
        at.lose(at.postgres, signal.SIGQUIT)
        until(lambda: at.ask("GET", "/readyz")[0] == UNAVAILABLE, "it is said")
        at.follow("postgres failed over: look")
        until(lambda: at.metric("tactics_database_up") == 0, "it is counted")
        at.bring_back()
        until(lambda: outcomes[-1] == "granted", "visits are answered again")
    assert set(outcomes) <= {"granted", str(UNAVAILABLE), "error"}, set(outcomes)
    until(at.all_ended, "everything ends")
    stored = [one for one in accepted if one is not None]
    assert at.value("SELECT count(*) FROM event WHERE id = ANY(:ids) AND routed_at IS NOT NULL", ids=stored) == len(
        stored
    )
    at.follow("postgres failed over: over", {"SINCE": since, "PROVIDER": "wallet"})
    _lose_moments(at, "lost")
    at.follow("postgres failed over: lost", {"SINCE": since, "PROVIDER": "wallet"}, exit_code=1)
    assert at.visit("lost", WALLET) == "pending"
    until(lambda: at.state_of("lost") == "granted", "it is here again")
    at.follow("postgres failed over: over", {"SINCE": since, "PROVIDER": "wallet"})
    at.all_is_well()


def _lose_moments(at: Desk, user: str) -> None:
    """Let a user's grant be one that the standby never heard of."""
    tables = ("provider_attempt", "outside_grant", "asset", "grant_record", "execution", "event", "instance")
    deletes = [f"DELETE FROM {table} WHERE user_id = :user" for table in tables]  # noqa: S608  # names of ours
    at.run_sql(*deletes, "UPDATE benefit SET remaining = remaining + 1 WHERE activity_code = 'wallet_tea'", user=user)


def test_a_stuck_activity(at: Desk) -> None:
    """A step that fails parks what comes, and nothing is lost; whoever holds a user's row is found and ended."""
    broken = at.home / "broken"
    broken.touch()
    for number in range(3):
        assert at.act(f"styled-{number}", "like")
    parked = "SELECT count(*) FROM execution WHERE outcome = 'parked'"
    until(lambda: at.value(parked) == 3, "they are parked")
    assert at.visit("styled-0", SPOILT) == "not_prepared"
    until(lambda: at.metric('tactics_step_failures_total{step="ask_stylist"}'), "it is counted")
    execution = at.value("SELECT id FROM execution WHERE outcome = 'parked' LIMIT 1")
    at.follow("a stuck activity: look", {"EXECUTION": execution})
    broken.unlink()
    at.follow("a stuck activity: retry")
    until(lambda: at.value(parked) == 0, "none is parked")
    until(at.all_ended, "they have run")
    assert {at.visit(f"styled-{number}", SPOILT) for number in range(3)} == {"granted"}
    plain = make_url(at.settings.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg.connect(plain, application_name="somebody")) as held:
        held.execute("SELECT FROM instance WHERE user_id = 'styled-0' FOR UPDATE")
        assert at.visit("styled-0", SPOILT) in {"busy", "409", "202"}
        until(lambda: "somebody" in at.follow("a stuck activity: who"), "it is found")
        found = {one["application_name"]: one["pid"] for one in json.loads(at.follow("a stuck activity: who"))}
        at.follow("a stuck activity: end", {"PID": found["somebody"]})
        until(lambda: at.visit("styled-0", SPOILT) == "reused", "the user is served again")
    at.all_is_well()


def test_a_wrong_publish(at: Desk) -> None:
    """The breaker stops it, the version before comes back, and what was given and not redeemed is taken back."""
    right = {"kind": "coupon", "value_minor": 500, "stock": 1000}
    limits = {"cost_per_minute_minor": 200_000}
    at.load(activity("jam", benefits={"five_off": right}, limits=limits))
    assert at.visit("before", "jam") == "granted"
    at.load(activity("jam", benefits={"five_off": {**right, "value_minor": 50_000}}, limits=limits))
    since = at.value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    comers = [f"wrong-{number}" for number in range(12)]
    outcomes = [at.visit(user, "jam") for user in comers]
    given = outcomes.count("granted")
    assert outcomes == ["granted"] * given + ["limit"] * (12 - given)
    until(lambda: at.metric("tactics_activities_tripped") == 1, "it is counted")
    assert "paused_itself" in (at.home / "api.log").read_text()
    assert at.value("SELECT status FROM activity WHERE code = 'jam'") == "paused"
    held = at.value("SELECT id FROM asset WHERE user_id = 'wrong-0'")
    asset.change(at.app.runtime, held, "redeemed")
    about = {"ACTIVITY": "jam", "SINCE": since}
    at.follow("a wrong publish: stop", about)
    at.follow("a wrong publish: back", about)
    at.follow("a wrong publish: who", about)
    at.follow("a wrong publish: revoke", about)
    at.follow("a wrong publish: go on", about)
    assert at.visit("before", "jam") == "reused"
    statuses = "SELECT string_agg(status, ' ' ORDER BY status) FROM asset WHERE user_id LIKE 'wrong-%'"
    assert at.value(statuses) == " ".join(["redeemed"] + ["revoked"] * (given - 1))
    at.all_is_well()


def test_workers_dying(at: Desk) -> None:
    """A worker that is killed with its pool is started again by its supervisor, and what it left is done."""
    pid = at.supervisor.statuses()["worker"].pid
    assert pid is not None
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    assert at.act("orphan", "like")
    until(lambda: at.supervisor.statuses()["worker"].pid not in {None, pid}, "it is started again")
    until(at.all_ended, "what it left is done")
    until(at.worker_answers, "it answers")
    at.follow("workers dying: over")
    at.all_is_well()
