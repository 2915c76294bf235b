"""Operators' retry and abandoning: safe in any order and however often; nothing is given twice, and stock adds up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from tactics import settling
from tactics.domain.event import RETRY_SOURCE
from tactics.domain.provider import ProviderAnswer
from tactics.errors import BadInput, NotFound
from tactics.flows import grant_batch
from tactics.flows.grant_abandon import abandon_grant
from tactics.flows.grant_outlook import will_deduct
from tactics.flows.grant_retry import RETRY_TASK, retry_grant
from tactics.flows.settle import settle_grant
from tactics.store import grants, outside_grants, providers
from tactics.store.audit import audit
from tactics.store.grant_listing import Wanted
from tests.driving import Drive, at_checkout, satisfied
from tests.outside import Wallet, connect

LOOK_UP = "https://wallet.example/{idempotency_id}"
STATES = "SELECT will_send_count, state FROM grant_record ORDER BY user_id, will_send_count"
LEFT = "SELECT remaining FROM benefit"
SOON = (
    "UPDATE outside_grant SET first_called_at = first_called_at - interval '2 days' WHERE first_called_at IS NOT NULL"
)


def _play(drive: Drive, **changes: Any) -> None:
    coupon = {"kind": "coupon", "value_minor": 500, "validity_s": 86_400, "stock": 10, "provider": "wallet"}
    drive.load(at_checkout(benefits={"c18": coupon}, **changes))


def _reserved(drive: Drive, user: str = "1") -> UUID:
    """Let a user visit; give the grant that is reserved."""
    assert drive.outcome(user) == "pending"
    return _last(drive, user)


def _last(drive: Drive, user: str = "1") -> UUID:
    query = "SELECT id FROM grant_record WHERE user_id = :user ORDER BY will_send_count DESC LIMIT 1"
    found: UUID = drive.value(query, user=user)
    return found


def _refused(drive: Drive, wallet: Wallet, user: str = "1") -> UUID:
    wallet.next.append("refused")
    grant_id = _reserved(drive, user)
    drive.work()
    return grant_id


def _parked(drive: Drive, wallet: Wallet) -> UUID:
    """Leave a grant parked, whose call may have reached the provider."""
    wallet.next.append("unclear")
    grant_id = _reserved(drive)
    drive.work()
    drive.run(SOON)
    wallet.next.append("unclear")
    drive.settle()
    assert drive.value("SELECT state FROM grant_record") == "parked"
    wallet.next.clear()
    return grant_id


def _foreseen(drive: Drive, grant_id: UUID) -> tuple[int, str]:
    with drive.runtime.engine.connect() as conn:
        row = grants.find(conn, grant_id)
        assert row is not None
        return will_deduct(drive.runtime, conn, row, outside_grants.find(conn, grant_id))


def _audited(drive: Drive) -> list[str]:
    with drive.runtime.engine.connect() as conn:
        return [finding.text for finding in audit(conn)]


def _log(drive: Drive) -> list[tuple[Any, ...]]:
    return drive.rows(
        "SELECT action, subject, before ->> 'state', after ->> 'reason', actor FROM audit_log WHERE kind = 'grant' ORDER BY id"
    )


def test_a_refused_grant_becomes_one_new_event_and_goes_through_the_chain(drive: Drive) -> None:
    """However often it is asked for, one execution with the next count comes of it, long after the placement's deadline."""
    wallet = connect(drive)
    _play(drive)
    grant_id = _refused(drive, wallet)
    assert _foreseen(drive, grant_id)[0] == 1
    operator = drive.runtime.acting_as("cli:ann")
    found = retry_grant(drive.app, grant_id, runtime=operator, reason="they had a bug")
    assert (found.action, found.done) == ("renew", True)
    drive.run("UPDATE event SET received_at = received_at - interval '1 hour'")
    for _ in range(3):
        assert not retry_grant(drive.app, grant_id).done
        drive.deliver(RETRY_TASK, str(grant_id))
    drive.work()
    assert drive.rows(STATES) == [(1, "refused"), (2, "granted")]
    assert dict(wallet.effects) == {"camp18:1:2": 1}
    assert drive.value(LEFT) == 9
    events = drive.rows("SELECT id, type, user_id, channel FROM event WHERE source = :source", source=RETRY_SOURCE)
    assert events == [(str(grant_id), "placement", "1", "home_banner")]
    assert drive.value("SELECT answer -> 'camp18' ->> 'outcome' FROM event WHERE source = 'tactics.retry'") == "granted"
    assert drive.rows("SELECT outcome FROM execution WHERE id = :id", id=found.execution_id) == [("granted",)]
    assert "retried before" in _foreseen(drive, grant_id)[1]
    assert _log(drive) == [("retried", str(grant_id), "refused", "they had a bug", "cli:ann")]
    assert _foreseen(drive, _last(drive)) == (0, "it is granted")
    assert not retry_grant(drive.app, _last(drive)).done
    assert not _audited(drive)
    drive.run("UPDATE asset SET status = 'redeemed'")
    drive.run("UPDATE grant_record SET usable = false")
    drive.run("DELETE FROM execution WHERE event_source = 'tactics.retry'")  # as retention does, long before grants go
    assert retry_grant(drive.app, grant_id).why == f"it was retried before, by grant {_last(drive)}"


def test_a_lost_message_of_a_retry_is_made_good_by_the_sweeper(drive: Drive) -> None:
    """What a retry commits does not depend on the broker."""
    wallet = connect(drive)
    _play(drive)
    grant_id = _refused(drive, wallet)
    retry_grant(drive.app, grant_id)
    drive.forget()
    drive.settle()
    assert drive.rows(STATES) == [(1, "refused"), (2, "granted")]
    assert wallet.effects.total() == 1


def test_a_retry_runs_the_rule_again_with_what_the_placement_said(drive: Drive) -> None:
    """Attributes and order of the placement are there; a rule that no longer matches gives nothing, and says so."""
    wallet = connect(drive)
    at_least = {"amount": {"block": "pbb.resource.order_amount", "params": {}}, "amount_at": 10}
    when = {"block": "pbb.condition.amount_at_least", "params": at_least}
    then = [{"block": "pbb.action.send_coupon", "params": {"benefit": "c18"}}]
    _play(drive, rule={"so": {"when": when, "then": then}})
    order = {"currency": "EUR", "lines": [{"item_id": "7", "quantity": 2, "price_minor": 5}]}
    first = {}
    for user in ("1", "2"):
        wallet.next.append("refused")
        drive.visit(user, order=order)
        first[user] = _last(drive, user)
        drive.work()
    retry_grant(drive.app, first["1"])
    drive.work()
    assert drive.value("SELECT state FROM grant_record WHERE user_id = '1' AND will_send_count = 2") == "granted"
    _play(drive, rule={"so": {"when": {**when, "params": {**at_least, "amount_at": 11}}, "then": then}})
    again = retry_grant(drive.app, first["2"])
    drive.work()
    assert drive.rows("SELECT outcome FROM execution WHERE id = :id", id=again.execution_id) == [("not_matched",)]
    assert "not_matched" in _foreseen(drive, first["2"])[1]
    assert wallet.effects.total() == 1


def test_a_retry_takes_nothing_where_something_stands_against_it(drive: Drive) -> None:
    """A usable asset, an open grant, a limit, stock, a paused activity and its end are each said, and nothing is written."""
    wallet = connect(drive)
    _play(drive, limits={"per_user": 1, "per_day": 2, "budget_minor": 1_000})
    first = _refused(drive, wallet)

    def why() -> str:
        deducts, text = _foreseen(drive, first)
        found = retry_grant(drive.app, first)
        assert (deducts, found.action, found.why) == (0, "nothing", text)
        return text

    drive.run("UPDATE benefit SET remaining = 0")
    assert "no stock of 'c18'" in why()
    drive.run("UPDATE benefit SET remaining = 10")
    drive.run("UPDATE limit_counter SET used = 2 WHERE scope = 'day'")
    assert "all 2 grants" in why()
    drive.run("UPDATE limit_counter SET used = 0 WHERE scope = 'day'")
    drive.run("UPDATE limit_counter SET used = 501 WHERE scope = 'budget'")
    assert "budget" in why()
    drive.run("UPDATE limit_counter SET used = 0 WHERE scope = 'budget'")
    drive.run("UPDATE activity SET status = 'paused'")
    assert "paused" in why()
    drive.run("UPDATE activity SET status = 'live'")
    second = _reserved(drive)
    assert str(second) in why()
    drive.work()
    assert "usable asset" in why()
    drive.run("UPDATE asset SET status = 'redeemed'")
    drive.run("UPDATE grant_record SET usable = false")
    assert "at most 1 times a user" in why()
    drive.run("DELETE FROM event WHERE type = 'placement'")
    assert "deleted" in why()
    assert not drive.rows("SELECT FROM event WHERE source = 'tactics.retry'")
    assert drive.accept(satisfied("1", source=RETRY_SOURCE))[0][0].status == "rejected"
    with pytest.raises(NotFound):
        retry_grant(drive.app, uuid4())


def test_an_open_grant_is_asked_for_under_its_own_id(drive: Drive) -> None:
    """A retry of a pending, unknown or parked one asks at once, takes nothing more, and makes earlier messages stale."""
    wallet = connect(drive, look_up_url=LOOK_UP)
    _play(drive)
    wallet.next.append("given_but_unclear")
    grant_id = _reserved(drive)
    assert _foreseen(drive, grant_id)[0] == 0
    drive.forget()
    assert retry_grant(drive.app, grant_id).action == "ask"
    assert settle_grant(drive.app, grant_id, 1) is None
    assert drive.work() == ["tactics.settle_grant"]
    assert drive.rows(STATES) == [(1, "unknown")]
    for _ in range(2):
        assert retry_grant(drive.app, grant_id).action == "ask"
    drive.work()
    assert drive.rows(STATES) == [(1, "granted")]
    assert (len(wallet.calls), wallet.look_ups) == (1, ["camp18:1:1"])
    assert dict(wallet.effects) == {"camp18:1:1": 1}
    assert drive.value(LEFT) == 9
    assert not _audited(drive)


def test_a_parked_grant_is_asked_about_where_that_can_help(drive: Drive) -> None:
    """One that can be looked up is settled by a retry, however late; one that can only be called again is left alone."""
    wallet = connect(drive, look_up_url=LOOK_UP)
    _play(drive)
    grant_id = _parked(drive, wallet)
    wallet.effects["camp18:1:1"] = 1
    assert retry_grant(drive.app, grant_id).action == "ask"
    assert drive.rows(STATES) == [(1, "unknown")]
    drive.work()
    assert drive.rows(STATES) == [(1, "granted")]
    assert len(wallet.calls) == 1


def test_what_may_have_been_given_and_cannot_be_asked_about_is_not_retried(drive: Drive) -> None:
    """It stays parked and reserved, and the operator is told what can be done; abandoned and retried it has the next id."""
    wallet = connect(drive)
    _play(drive)
    grant_id = _parked(drive, wallet)
    found = retry_grant(drive.app, grant_id)
    assert (found.done, drive.work()) == (False, [])
    assert "may have forgotten" in found.why
    assert "abandon" in found.why
    assert drive.rows(STATES) == [(1, "parked")]
    assert abandon_grant(drive.runtime.acting_as("cli:ann"), grant_id, reason="not in their books").done
    assert drive.rows("SELECT reason FROM grant_record") == [("abandoned by an operator: not in their books",)]
    assert drive.rows("SELECT outcome FROM execution") == [("abandoned",)]
    assert drive.value(LEFT) == 10
    again = abandon_grant(drive.runtime, grant_id, reason="twice")
    assert (again.done, again.why) == (False, "it is refused")
    retry_grant(drive.app, grant_id)
    drive.work()
    assert drive.rows(STATES) == [(1, "refused"), (2, "granted")]
    assert dict(wallet.effects) == {"camp18:1:2": 1}
    assert [row[:4] for row in _log(drive)] == [
        ("abandoned", str(grant_id), "parked", "not in their books"),
        ("retried", str(grant_id), "refused", ""),
    ]
    with pytest.raises(BadInput):
        abandon_grant(drive.runtime, grant_id, reason="")
    assert not abandon_grant(drive.runtime, _last(drive), reason="no").done
    assert not _audited(drive)


def test_nobody_decides_while_the_provider_is_being_asked(drive: Drive) -> None:
    """During a call neither retry nor abandoning does anything; once who asked is long dead, both may."""
    wallet = connect(drive)
    _play(drive)
    grant_id = _reserved(drive)
    give, tried = wallet.grant, []

    def meanwhile(provider: Any, call: Any) -> ProviderAnswer:
        tried.append(retry_grant(drive.app, grant_id).why)
        tried.append(abandon_grant(drive.runtime, grant_id, reason="now").why)
        give(provider, call)
        raise KeyboardInterrupt  # the worker dies

    wallet.grant = meanwhile  # type: ignore[method-assign]  # this one's own
    with pytest.raises(KeyboardInterrupt):
        settle_grant(drive.app, grant_id, 1)
    wallet.grant = give  # type: ignore[method-assign]  # as above
    assert set(tried) == {"the provider is being asked at this moment"}
    assert not retry_grant(drive.app, grant_id).done
    drive.run("UPDATE provider_attempt SET started_at = started_at - interval '1 minute'")
    assert retry_grant(drive.app, grant_id).done
    drive.work()
    assert drive.rows(STATES) == [(1, "granted")]
    assert dict(wallet.effects) == {"camp18:1:1": 1}


def test_who_was_about_to_ask_does_not_after_the_grant_was_abandoned(drive: Drive) -> None:
    """A worker that read the grant before, and begins its attempt after, asks nobody; a late yes changes nothing."""
    wallet = connect(drive)
    _play(drive)
    grant_id = _reserved(drive)
    with drive.runtime.engine.connect() as conn:
        before = outside_grants.find(conn, grant_id)
    assert before is not None
    assert abandon_grant(drive.runtime, grant_id, reason="the campaign was wrong").done
    with drive.runtime.engine.begin() as conn:
        assert outside_grants.begin_attempt(conn, before, "call", attempt=before.attempts, horizon_s=1) is None
        after = outside_grants.find(conn, grant_id)
    assert after is not None
    assert after.attempts > before.attempts
    drive.settle()
    assert not wallet.calls
    late = ProviderAnswer("granted", "granted", 200)
    with drive.runtime.engine.begin() as conn:
        assert settling.settle(conn, before, late, datetime.now(UTC)) == "refused"
    assert drive.value("SELECT count(*) FROM asset") == 0
    assert drive.value(LEFT) == 10
    assert not _audited(drive)


def test_many_are_retried_and_abandoned_page_by_page(drive: Drive) -> None:
    """Filters choose them; pages meet each once, whatever becomes of them meanwhile; one that is gone stops nobody."""
    wallet = connect(drive)
    _play(drive)
    for number in range(5):
        _refused(drive, wallet, f"u{number}")
    wallet.next.extend(["unclear"] * 3)
    for number in range(5, 8):
        _reserved(drive, f"u{number}")
    drive.work()
    drive.forget()
    every = Wanted(provider="wallet", states=grant_batch.RETRIED)
    assert [len(ids) for ids in grant_batch.pages(drive.runtime, every)] == [8]
    assert [len(ids) for ids in grant_batch.pages(drive.runtime, every, 5)] == [5]
    (ids,) = grant_batch.pages(drive.runtime, every)
    foreseen = grant_batch.foresee_retry(drive.runtime, ids)
    assert sorted((text.split(":")[0], count) for text, count in foreseen.items()) == [("ask", 3), ("renew", 5)]
    assert drive.rows("SELECT count(*) FROM event WHERE source = 'tactics.retry'") == [(0,)]
    with pytest.raises(NotFound, match="there is no outside provider 'other'"):
        next(grant_batch.pages(drive.runtime, Wanted(provider="other", states=grant_batch.RETRIED)))
    with drive.runtime.engine.begin() as conn:  # one that is gone is still somebody's
        assert providers.remove(conn, "wallet")
        grant_batch.check_names(conn, every)
        providers.save(conn, wallet.provider)
    done: list[Any] = []
    after = None
    while True:
        batch = grant_batch.retry_page(drive.app, every, runtime=drive.runtime, reason="all", after=after, limit=3)
        done += batch.results
        after = batch.following
        if after is None:
            break
    assert sorted(one.action for one in done) == ["ask"] * 3 + ["renew"] * 5
    drive.work()
    assert set(wallet.effects.values()) == {1}
    assert wallet.effects.total() == 8
    assert drive.value(LEFT) == 2
    assert len(_log(drive)) == 8
    wallet.next.extend(["unclear"] * 2)
    opened = [_reserved(drive, "v1"), _reserved(drive, "v2")]
    drive.work()
    foreseen = grant_batch.foresee_abandon(drive.runtime, [*opened, ids[-1]])
    assert foreseen == {"abandon: it is unknown": 2, "nothing: it is settled": 1}
    left = grant_batch.abandon_each(drive.runtime, [uuid4()], reason="none")
    assert [one.done for one in left] == [False]
    batch = grant_batch.abandon_page(
        drive.runtime, Wanted(provider="wallet", states=grant_batch.ABANDONED), reason="over", limit=9
    )
    assert ([one.done for one in batch.results], batch.following) == ([True, True], None)
    assert drive.value(LEFT) == 2
    assert not _audited(drive)
