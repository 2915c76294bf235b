"""Grants of outside benefit systems: each is given once and settled once, whatever the provider and the workers do."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tactics import settling
from tactics.domain.provider import LineAnswer, ProviderAnswer
from tactics.flows.erasure import erase_user
from tactics.flows.settle import settle_grant
from tactics.store import outside_grants, provider_gate
from tactics.store.audit import audit
from tests.driving import Drive, Maker, Working, after, asset_of, at_checkout, became
from tests.outside import connect

GRANTS = "SELECT state, usable, reason IS NOT NULL FROM grant_record ORDER BY will_send_count"
LEFT = "SELECT remaining FROM benefit"


def _coupon(**changes: Any) -> dict[str, Any]:
    return {"kind": "coupon", "value_minor": 500, "validity_s": 86_400, "stock": 10, "provider": "wallet", **changes}


def _play(drive: Drive, **changes: Any) -> None:
    drive.load(at_checkout(benefits={"c18": _coupon()}, **changes))


def _audited(drive: Drive) -> list[str]:
    with drive.runtime.engine.connect() as conn:
        return [finding.text for finding in audit(conn)]


def _part(drive: Drive, user: str = "1", **options: Any) -> dict[str, Any]:
    answer = drive.visit(user, **options)
    (part,) = [*answer.results, *answer.not_shown]
    return dict(part)


def test_the_placement_answers_pending_and_the_user_has_the_asset_when_it_is_given(drive: Drive) -> None:
    """Stock is reserved with the answer; once the provider grants, the asset is there with the provider's own code."""
    wallet = connect(drive)
    until = after(days=3)
    wallet.lines = [LineAnswer(1, code="W-77", valid_until=until)]
    _play(drive)
    part = _part(drive, key="k1")
    assert (part["outcome"], part["assets"]) == ("pending", [])
    assert drive.rows(GRANTS) == [("pending", False, False)]
    assert (drive.value(LEFT), wallet.calls) == (9, [])
    assert drive.work() == ["tactics.settle_grant"]
    assert drive.rows(GRANTS) == [("granted", True, False)]
    assert dict(wallet.effects) == {"camp18:1:1": 1}
    held = asset_of(_part(drive))
    assert (held["code"], held["valid_until"]) == ("W-77", until.isoformat())
    assert str(held["asset_id"]) in wallet.calls[0].body.decode()
    assert _part(drive, key="k1")["outcome"] == "granted"
    assert drive.rows("SELECT outcome FROM execution ORDER BY created_at LIMIT 1") == [("granted",)]
    assert drive.rows("SELECT topic, key FROM outbox") == [("tactics.granted", "camp18:1:1")]
    assert not _audited(drive)


def test_a_refusal_gives_everything_back(drive: Drive) -> None:
    """Stock, budget, the day's count and the pool's code are free again, and the user may have the next grant."""
    wallet = connect(drive)
    wallet.next.extend(["refused"])
    pool = {"kind": "coupon", "codes": ["A", "B"], "value_minor": 1}
    rule = {
        "so": {
            "then": [
                {"block": "pbb.action.send_coupon", "params": {"benefit": "c18"}},
                {"block": "pbb.action.send_coupon", "params": {"benefit": "pool"}},
            ]
        }
    }
    limits = {"per_user": 1, "per_day": 1, "budget_minor": 501}
    drive.load(at_checkout(benefits={"c18": _coupon(), "pool": pool}, rule=rule, limits=limits))
    assert _part(drive, key="k1")["outcome"] == "pending"
    assert drive.rows("SELECT code FROM benefit_code WHERE asset_id IS NOT NULL") == [("A",)]
    assert _part(drive, "2")["reason"] == "limit"
    drive.work()
    assert drive.rows(GRANTS) == [("refused", False, True)]
    assert drive.rows("SELECT remaining FROM benefit ORDER BY code") == [(10,), (2,)]
    assert not drive.rows("SELECT FROM benefit_code WHERE asset_id IS NOT NULL")
    assert set(drive.rows("SELECT used FROM limit_counter")) == {(0,)}
    assert drive.rows("SELECT outcome FROM execution WHERE user_id = '1'") == [("refused",)]
    assert _part(drive, key="k1")["reason"] == "error"
    assert drive.rows("SELECT topic FROM outbox") == [("tactics.refused",)]
    assert _part(drive)["outcome"] == "pending"
    drive.work()
    assert len(_part(drive)["assets"]) == 2
    assert dict(wallet.effects) == {"camp18:1:2": 1}
    assert not _audited(drive)


@pytest.mark.parametrize("asked", [True, False])
def test_what_may_have_happened_is_asked_for_or_repeated(drive: Drive, asked: bool) -> None:
    """A call that timed out after the provider gave is never given twice: asked by its id, or the same bytes again."""
    wallet = connect(drive, look_up_url="https://wallet.example/grants/{idempotency_id}" if asked else None)
    wallet.next.append("given_but_unclear")
    _play(drive)
    assert _part(drive)["outcome"] == "pending"
    drive.work()
    assert drive.rows(GRANTS) == [("unknown", False, True)]
    assert _part(drive)["outcome"] == "pending"
    drive.settle()
    assert drive.rows(GRANTS) == [("granted", True, False)]
    assert dict(wallet.effects) == {"camp18:1:1": 1}
    assert (len(wallet.calls), len(wallet.look_ups)) == ((1, 1) if asked else (2, 0))
    assert len({call.body for call in wallet.calls}) == 1
    kinds = drive.rows("SELECT kind, answer FROM provider_attempt ORDER BY number")
    assert kinds == [("call", "unclear"), ("look_up" if asked else "call", "granted")]
    assert not _audited(drive)


def test_an_id_that_the_provider_never_heard_of_is_called_again(drive: Drive) -> None:
    """A look-up that finds nothing is followed by the same call, in the same attempt."""
    wallet = connect(drive, look_up_url="https://wallet.example/{idempotency_id}")
    wallet.next.append("unclear")
    _play(drive)
    _part(drive)
    drive.settle()
    answers = drive.rows("SELECT kind, answer FROM provider_attempt ORDER BY number")
    assert answers == [("call", "unclear"), ("look_up", "unknown_id"), ("call", "granted")]
    assert wallet.effects.total() == 1


@pytest.mark.parametrize("ending", ["unclear", "given_but_unclear"])
@pytest.mark.parametrize("asked", [True, False])
def test_a_provider_without_idempotency_is_called_once(drive: Drive, asked: bool, ending: Any) -> None:
    """Without a clear answer it is asked, where it can be; what stays unclear is parked, with the stock still reserved."""
    url = "https://wallet.example/{idempotency_id}" if asked else None
    wallet = connect(drive, idempotent=False, look_up_url=url, remembers_s=60)
    wallet.next.append(ending)
    _play(drive)
    _part(drive)
    drive.work()
    _age(drive, 0 if asked and ending == "given_but_unclear" else 100)
    drive.settle()
    clear = asked and ending == "given_but_unclear"
    assert drive.rows(GRANTS) == [("granted", True, False) if clear else ("parked", False, True)]
    assert (len(wallet.calls), drive.value(LEFT)) == (1, 9)
    assert _part(drive)["outcome"] == ("reused" if clear else "pending")
    assert not _audited(drive)


def test_a_call_of_which_nothing_was_sent_does_not_count(drive: Drive) -> None:
    """Even a provider that is called once is called again where nothing reached it."""
    wallet = connect(drive, idempotent=False)
    wallet.next.extend(["not_sent", "not_sent"])
    _play(drive)
    _part(drive)
    drive.work()
    assert drive.rows("SELECT calls, first_called_at FROM outside_grant") == [(0, None)]
    assert drive.rows(GRANTS) == [("pending", False, True)]
    drive.settle()
    assert drive.rows(GRANTS) == [("granted", True, False)]
    assert wallet.effects.total() == 1


def test_what_never_reached_its_provider_waits_for_it(drive: Drive) -> None:
    """However long a provider was away: what was not sent is called, not given to people."""
    wallet = connect(drive, remembers_s=60)
    wallet.next.append("not_sent")
    _play(drive)
    _part(drive)
    drive.work()
    drive.run("UPDATE outside_grant SET created_at = created_at - interval '8 hours'")
    drive.settle()
    assert drive.rows(GRANTS) == [("granted", True, False)]


def test_a_process_that_was_stopped_before_its_call_sends_nothing(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may go on when others have settled the grant, and the provider has forgotten the call."""
    wallet = connect(drive)
    _play(drive)
    _part(drive)
    begin, clock = outside_grants.begin_attempt, time.clock_gettime
    slept = [0.0]

    def stopped(*args: Any, **options: Any) -> Any:
        slept[0] += 5.1
        return begin(*args, **options)

    monkeypatch.setattr(outside_grants, "begin_attempt", stopped)
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + slept[0])
    drive.work()
    assert (wallet.calls, drive.rows("SELECT calls FROM outside_grant")) == ([], [(0,)])
    monkeypatch.undo()
    drive.settle()
    assert drive.rows(GRANTS) == [("granted", True, False)]


def test_a_repeat_that_comes_too_late_is_not_begun(drive: Drive) -> None:
    """Whether the provider still remembers is asked of the database in the statement that notes the call."""
    wallet = connect(drive)
    wallet.next.append("unclear")
    _play(drive)
    _part(drive)
    drive.work()
    with drive.runtime.engine.begin() as conn:
        one = outside_grants.find(conn, drive.rows("SELECT id FROM grant_record")[0][0])
        assert one is not None
        over, soon = one.read_at, one.read_at + timedelta(minutes=1)
        assert outside_grants.begin_attempt(conn, one, "call", attempt=1, horizon_s=1, until=over) is None
        assert outside_grants.begin_attempt(conn, one, "call", attempt=1, horizon_s=1, until=soon) == 2


def test_an_unclear_answer_does_not_take_a_parked_grant_up_again(drive: Drive) -> None:
    """A twin has parked it meanwhile: it is parked until a person takes it up, and told of once."""
    wallet = connect(drive, idempotent=False)
    _play(drive)
    _part(drive)
    grant_id: UUID = drive.rows("SELECT id FROM grant_record")[0][0]

    def twin_parks(provider: Any, call: Any) -> ProviderAnswer:
        wallet.calls.append(call)
        assert settle_grant(drive.app, grant_id, 1) == "parked"
        return ProviderAnswer("not_sent", "refused connection")

    wallet.grant = twin_parks  # type: ignore[method-assign]  # this one's own
    assert settle_grant(drive.app, grant_id, 1) == "parked"
    assert drive.rows("SELECT next_attempt_at, calls FROM outside_grant") == [(None, 0)]
    assert drive.value("SELECT count(*) FROM outbox WHERE topic = 'tactics.parked'") == 1


def test_a_limit_that_came_after_the_grant_is_given_back_as_well(drive: Drive) -> None:
    """A new version with limits counts what is reserved; the refusal uncounts it."""
    wallet = connect(drive)
    wallet.next.append("refused")
    _play(drive)
    _part(drive)
    _play(drive, limits={"per_day": 1, "budget_minor": 500})
    assert sorted(drive.rows("SELECT scope, used FROM limit_counter")) == [("budget", 500), ("day", 1)]
    drive.work()
    assert sorted(drive.rows("SELECT scope, used FROM limit_counter")) == [("budget", 0), ("day", 0)]
    assert not _audited(drive)
    assert _part(drive, "2")["outcome"] == "pending"


def test_whoever_was_answered_pending_can_see_what_came_of_it(drive: Drive) -> None:
    """Other placements that met the open grant end with it, each as an answer of its own."""
    wallet = connect(drive)
    wallet.next.extend(["granted", "refused"])
    _play(drive)
    for user in ("1", "2"):
        assert [_part(drive, user, key=f"{user}{key}")["outcome"] for key in "ab"] == ["pending"] * 2
    drive.work()
    assert [_part(drive, key=f"1{key}")["outcome"] for key in "ab"] == ["granted", "reused"]
    assert _part(drive, key="1b")["assets"] == _part(drive, key="1a")["assets"]
    assert [_part(drive, "2", key=f"2{key}")["reason"] for key in "ab"] == ["error"] * 2
    outcomes = drive.rows("SELECT user_id, outcome FROM execution WHERE event_id ~ '^[12][ab]$' ORDER BY 1, event_id")
    assert outcomes == [("1", "granted"), ("1", "reused"), ("2", "refused"), ("2", "error")]


def test_a_late_answer_brings_nothing_of_an_erased_user_back(drive: Drive) -> None:
    """Who heard from the provider when the grant was settled and its user erased writes nothing."""
    connect(drive)
    _play(drive)
    _part(drive)
    with drive.runtime.reading() as conn:
        one = outside_grants.find(conn, drive.rows("SELECT id FROM grant_record")[0][0])
    assert one is not None
    drive.work()
    erase_user(drive.runtime, "1")
    with drive.runtime.engine.begin() as conn:
        assert settling.settle(conn, one, ProviderAnswer("granted", ""), datetime.now(UTC)) == "gone"
    assert not drive.rows("SELECT FROM instance WHERE user_id = '1'")


def _age(drive: Drive, seconds: float) -> None:
    """Let the first call have been so long ago."""
    drive.run(f"UPDATE outside_grant SET first_called_at = first_called_at - interval '{seconds} s'")  # noqa: S608  # a number


def test_repeating_stops_before_the_provider_forgets(drive: Drive) -> None:
    """Past the provider's memory nothing is called any more: the grant is parked, open, with its stock reserved."""
    wallet = connect(drive, remembers_s=3_600)
    wallet.next.extend(["unclear"] * 3)
    _play(drive)
    _part(drive)
    drive.work()
    drive.sweep()
    drive.work()
    assert len(wallet.calls) == 2
    _age(drive, 3_600 - 9)  # the second call would come back within twice the time limit of the end
    drive.settle()
    assert len(wallet.calls) == 2
    ((state, reason),) = drive.rows("SELECT state, reason FROM grant_record")
    assert state == "parked"
    assert "may have forgotten" in reason
    assert drive.value("SELECT count(*) FROM outbox WHERE topic = 'tactics.parked'") == 1
    assert _part(drive)["outcome"] == "pending"


def test_a_late_answer_settles_and_a_second_one_changes_nothing(drive: Drive) -> None:
    """An answer counts whoever's attempt it is and whatever epoch the instance has; the first definite one stands."""
    wallet = connect(drive)
    _play(drive)
    _part(drive)
    (grant_id,) = [row[0] for row in drive.rows("SELECT id FROM grant_record")]

    def answer_after_others(provider: Any, call: Any) -> ProviderAnswer:
        if len(wallet.calls) == 0:
            wallet.calls.append(call)
            drive.sweep()  # a newer attempt is claimed meanwhile
            assert _part(drive)["outcome"] == "pending"  # and a newer epoch began
        return ProviderAnswer("granted", "granted", 200)

    wallet.grant = answer_after_others  # type: ignore[method-assign]  # this one's own
    assert settle_grant(drive.app, grant_id, 1) == "granted"
    assert settle_grant(drive.app, grant_id, 2) is None
    assert drive.rows(GRANTS) == [("granted", True, False)]
    with drive.runtime.engine.begin() as conn:
        one = outside_grants.find(conn, grant_id)
        assert one is not None
        late = ProviderAnswer("refused", "no")
        assert settling.settle(conn, one, late, datetime.now(UTC)) == "granted"
    assert drive.value(LEFT) == 9
    assert drive.value("SELECT count(*) FROM asset") == 1
    assert not _audited(drive)


def test_a_stale_or_repeated_message_asks_nobody(drive: Drive) -> None:
    """Only the current attempt asks; delivered twice, a grant that is settled is left alone."""
    wallet = connect(drive)
    _play(drive)
    _part(drive)
    grant_id: UUID = drive.rows("SELECT id FROM grant_record")[0][0]
    drive.sweep()
    drive.deliver("tactics.settle_grant", str(grant_id), 1)
    assert not wallet.calls
    drive.deliver("tactics.settle_grant", str(grant_id), 2)
    drive.deliver("tactics.settle_grant", str(grant_id), 2)
    assert len(wallet.calls) == 1


def test_a_worker_that_dies_after_the_call_is_made_good_by_the_sweeper(drive: Drive) -> None:
    """The call is noted before it is made: the next attempt repeats the same one, and the user has one asset."""
    wallet = connect(drive)
    _play(drive)
    _part(drive)

    class Died(BaseException):
        pass

    give = wallet.grant

    def die(provider: Any, call: Any) -> ProviderAnswer:
        give(provider, call)
        raise Died

    wallet.grant = die  # type: ignore[method-assign]  # this one's own
    grant_id: UUID = drive.rows("SELECT id FROM grant_record")[0][0]
    with pytest.raises(Died):
        settle_grant(drive.app, grant_id, 1)
    assert drive.rows("SELECT calls, first_called_at IS NULL FROM outside_grant") == [(1, False)]
    assert drive.rows("SELECT answer FROM provider_attempt") == [(None,)]
    wallet.grant = give  # type: ignore[method-assign]  # as above
    drive.settle()
    assert drive.rows(GRANTS) == [("granted", True, False)]
    assert dict(wallet.effects) == {"camp18:1:1": 1}


def test_an_assets_event_waits_while_its_grant_is_open(drive: Drive) -> None:
    """A provider that tells of a redemption before its grant is settled here is heard in the end, however long it takes."""
    wallet = connect(drive)
    wallet.next.extend(["given_but_unclear"] * 4)
    _play(drive)
    _part(drive)
    ((asset_id,),) = drive.rows("SELECT asset_ids[1]::text FROM outside_grant")
    drive.happen(became(asset_id, "redeemed", at=after(hours=1)))
    for _ in range(4):
        drive.sweep()
        drive.work()
    assert drive.rows("SELECT attempts - waits, parked_reason FROM event WHERE type = 'asset'") == [(0, None)]
    drive.settle()
    assert drive.rows("SELECT status FROM asset") == [("redeemed",)]
    assert drive.rows(GRANTS) == [("granted", False, False)]
    assert not _audited(drive)


def test_a_provider_that_fails_is_left_alone_for_a_while(drive: Drive) -> None:
    """Failures in a row open its breaker: the next grants ask nobody, wait without counting, and are given in the end."""
    wallet = connect(drive)
    wallet.next.extend(["unclear"] * provider_gate.FAILURES_OPEN)
    _play(drive)
    for number in range(provider_gate.FAILURES_OPEN + 2):
        assert _part(drive, f"u{number}")["outcome"] == "pending"
    drive.work()
    assert len(wallet.calls) == provider_gate.FAILURES_OPEN
    assert drive.value("SELECT count(*) FROM outside_grant WHERE waits = 1 AND calls = 0") == 2
    drive.forget()  # or wait until the pause is over
    drive.settle()
    assert drive.rows("SELECT DISTINCT state FROM grant_record") == [("granted",)]
    assert set(wallet.effects.values()) == {1}


def test_no_more_calls_than_the_provider_takes_and_one_while_it_recovers(drive: Drive) -> None:
    """Places are given back or fall with their time; an open breaker lets nobody in, then one, then all."""
    client = drive.runtime.redis

    def enter() -> provider_gate.Admission:
        return provider_gate.enter(client, "provider:wallet", limit=2, call_ms=60_000)

    first, second = enter(), enter()
    assert (enter().mark, enter().breaker) == (None, False)
    assert second.mark is not None
    provider_gate.leave(client, "provider:wallet", second.mark, well=True)
    assert first.mark is not None
    for _ in range(provider_gate.FAILURES_OPEN):
        pause_s = provider_gate.leave(client, "provider:wallet", first.mark, well=False)
    assert pause_s == provider_gate.FIRST_PAUSE_MS / 1000
    assert enter().breaker
    client.hset("tactics:breaker:provider:wallet", "until", 0)
    probe = enter()
    assert probe.mark is not None
    assert enter().mark is None
    provider_gate.leave(client, "provider:wallet", probe.mark, well=None)
    probe = enter()
    assert probe.mark is not None
    assert enter().mark is None  # it is still open: nobody was asked
    assert provider_gate.leave(client, "provider:wallet", probe.mark, well=False) == 2 * pause_s
    client.hset("tactics:breaker:provider:wallet", "until", 0)
    probe = enter()
    assert probe.mark is not None
    provider_gate.leave(client, "provider:wallet", probe.mark, well=True)
    assert all(enter().mark is not None for _ in range(2))


def test_a_disabled_provider_is_not_called_and_nothing_is_lost(drive: Drive) -> None:
    """Grants wait while their provider is switched off."""
    wallet = connect(drive, enabled=False)
    _play(drive)
    _part(drive)
    drive.work()
    assert (wallet.calls, drive.rows(GRANTS)) == ([], [("pending", False, False)])
    drive.run("UPDATE provider SET enabled = true")
    drive.sweep()
    drive.work()
    assert drive.rows(GRANTS) == [("granted", True, False)]


def test_waits_grow_and_spread(drive: Drive) -> None:
    """Retries are drawn from zero up to a bound that doubles and ends; a provider's Retry-After is kept."""
    wallet = connect(drive)
    _play(drive)
    _part(drive)
    wallet.grant = lambda *_: ProviderAnswer("unclear", "busy", 503, retry_after_s=1_800.0)  # type: ignore[method-assign]  # this one's own
    drive.work()
    due = drive.value("SELECT next_attempt_at - now() FROM outside_grant")
    assert timedelta(seconds=1_790) < due <= timedelta(seconds=1_800)
    drawn = [settling.drawn_wait_s(drive.app.settings, 4) for _ in range(200)]
    bound = 8 * drive.app.settings.retry_base_s
    assert 0 <= min(drawn) < 0.1 * bound
    assert 0.9 * bound < max(drawn) <= bound
    assert settling.drawn_wait_s(drive.app.settings, 10**6) <= drive.app.settings.retry_max_s


def test_a_grant_that_is_settled_before_its_chain_ends_is_answered_as_it_is(driven: Maker) -> None:
    """Where the chain hops after the grant, the provider may be quicker than the rest of it."""
    drive = driven(in_place=False)
    wallet = connect(drive)
    wallet.next.extend(["granted", "refused"])
    _play(drive)
    drive.app.conf.task_queues.reverse()  # what is for the provider comes first
    with Working(drive):
        given, refused = _part(drive, "1"), _part(drive, "2")
    assert (given["outcome"], given["assets"][0]["status"]) == ("granted", "available")
    assert refused["reason"] == "error"
    assert drive.rows("SELECT user_id, outcome FROM execution ORDER BY 1") == [("1", "granted"), ("2", "error")]
    assert not _audited(drive)
