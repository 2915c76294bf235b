"""Notices on their way to webhooks: made with what they tell of, sent until they arrive, at least once, under one id."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from kombu.exceptions import OperationalError as NoBroker
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from tactics.config import Settings
from tactics.domain.asset import AssetChange
from tactics.domain.webhook import NewEndpoint, Patience
from tactics.errors import Busy
from tactics.flows import webhook as flow
from tactics.flows import webhook_delivery
from tactics.flows.asset import change
from tactics.flows.expire import expire_due
from tactics.flows.webhook_delivery import claim_webhooks, deliver_webhooks, publish_webhooks
from tactics.store import outbox, webhook_deliveries, webhooks
from tactics.worker import make_app
from tests.driving import NOON, Drive, Maker, asset_of, at_checkout
from tests.flows.receiver import Receiver, receiving, signed_by
from tests.making import document


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody who listens."""
    with receiving() as found:
        yield found


@pytest.fixture
def drive(driven: Maker, receiver: Receiver) -> Drive:
    """A drive whose business time is the clock's, which may call the receiver."""
    return driven(
        replay=False,
        queues=(webhook_delivery.QUEUE,),
        outbound_hosts=(receiver.url,),
        outbound_networks=("127.0.0.1/32",),
        webhook_timeout_ms=2_000,
        batch_size=20,
    )


def listen(drive: Drive, receiver: Receiver, *topics: str, path: str = "/") -> flow.AddedWebhook:
    """Set up a webhook."""
    return flow.add_webhook(drive.runtime, NewEndpoint(receiver.url + path, topics or ("*",)))


def tell(drive: Drive, *keys: str, topic: str = "tactics.paused") -> None:
    """Write notices."""
    with drive.runtime.engine.begin() as conn:
        outbox.add_all(conn, topic, [(key, {"activity": key}) for key in keys])


def make_due(drive: Drive) -> None:
    """Let all waits be over."""
    drive.run("UPDATE webhook_delivery SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")
    drive.run("UPDATE webhook_endpoint SET resting_until = NULL")


def deliver(drive: Drive) -> None:
    """Do what the sweeper and a worker do: once, for what is due."""
    publish_webhooks(drive.app)
    drive.work()


def states(drive: Drive, webhook_id: str) -> dict[str, str]:
    """Give the states of deliveries, by key."""
    with drive.runtime.engine.connect() as conn:
        return {one.key: one.state for one in webhook_deliveries.listing(conn, webhook_id, limit=1_000)}


def always_on(**changes: Any) -> dict[str, Any]:
    """Give an activity that runs now."""
    given = {"channels": {"prepare": [], "grant": ["home_banner"]}, **changes}
    return document(schedule={"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}, **given)


def test_what_becomes_of_a_grant_is_told_signed_and_in_time(drive: Drive, receiver: Receiver) -> None:
    """Granted, claimed, redeemed, released, revoked and expired arrive, each once, with ids; an independent receiver verifies them."""
    benefit = {"kind": "coupon", "value_minor": 500, "validity_s": 3600}
    drive.load(always_on(benefits={"c18": benefit}, limits={"per_user": 5}))
    silent = listen(drive, receiver, "tactics.refused")
    made = listen(drive, receiver)
    granted = drive.visit("ann", at=None)
    asset_id = asset_of(granted.results[0])["asset_id"]
    steps: tuple[AssetChange, ...] = ("claimed", "redeemed", "released", "revoked")
    for step in steps:
        change(drive.runtime, UUID(asset_id), step)
        change(drive.runtime, UUID(asset_id), step)  # again: nothing new to tell
    late = asset_of(drive.visit("bea", at=None).results[0])["asset_id"]
    drive.run("UPDATE asset SET valid_until = now() WHERE id = :id", id=late)
    assert expire_due(drive.runtime) == 1
    assert expire_due(drive.runtime) == 0
    assert drive.value("SELECT status FROM asset WHERE id = :id", id=late) == "expired"
    assert not drive.value("SELECT usable FROM grant_record WHERE user_id = 'bea'")
    deliver(drive)
    told = sorted(receiver.got, key=lambda one: int(one.id.removeprefix("msg_")))
    assert [one.told["type"].removeprefix("tactics.") for one in told] == [
        "granted", "claimed", "redeemed", "released", "revoked", "granted", "expired"]  # fmt: skip
    assert len(set(receiver.ids)) == len(told)
    for one in told:
        assert signed_by(made.secret, one.headers, one.body)
        assert not signed_by(silent.secret, one.headers, one.body)
        assert not signed_by(made.secret, one.headers, one.body + b" ")
        assert one.headers["content-type"] == "application/json"
        assert {"type", "timestamp", "data"} == one.told.keys()
    assert told[0].told["data"]["assets"][0]["asset_id"] == asset_id
    assert told[-1].told["data"] == {
        "activity": "camp18",
        "asset_id": late,
        "benefit": "c18",
        "grant_id": told[-2].told["data"]["grant_id"],
        "status": "expired",
        "user_id": "bea",
    }
    assert [one.told["data"]["status"] for one in told[1:5]] == ["claimed", "redeemed", "available", "revoked"]
    assert set(states(drive, made.id).values()) == {"delivered"}
    assert states(drive, silent.id) == {}


def test_what_is_taken_back_is_never_told(drive: Drive, receiver: Receiver) -> None:
    """A delivery is made in the transaction of what it tells: none of what is rolled back, nor of a savepoint that is."""
    listen(drive, receiver)

    def taken_back(conn: Connection) -> None:
        outbox.add(conn, "tactics.paused", "a", {})
        assert conn.exec_driver_sql("SELECT count(*) FROM webhook_delivery").scalar_one() == 1
        raise LookupError

    with pytest.raises(LookupError), drive.runtime.engine.begin() as conn:
        taken_back(conn)
    drive.load(always_on(benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": 1}}))
    drive.visit("ann", at=None)
    assert drive.outcome("bea", at=None) == "sold_out"  # its notice was written, and taken back with it
    deliver(drive)
    assert [one.told["data"]["user_id"] for one in receiver.got] == ["ann"]
    drive.run("DELETE FROM outbox")  # retention
    assert drive.value("SELECT count(*) FROM webhook_delivery") == 0


def test_a_worker_that_dies_after_sending_sends_again_under_the_same_id(drive: Drive, receiver: Receiver) -> None:
    """What was sent and not recorded comes twice, the same bytes under the same id; late messages and twins send nothing."""
    made = listen(drive, receiver)
    tell(drive, "a")
    (first,) = claim_webhooks(drive.app)
    assert claim_webhooks(drive.app) == []
    with pytest.MonkeyPatch.context() as patch:

        def dies(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(webhook_deliveries, "settle", dies)
        with pytest.raises(KeyboardInterrupt):
            deliver_webhooks(drive.app, [first])
    assert states(drive, made.id) == {"a": "waiting"}
    make_due(drive)
    (second,) = claim_webhooks(drive.app)
    deliver_webhooks(drive.app, [first])  # late: somebody else has it
    assert len(receiver.got) == 1
    deliver_webhooks(drive.app, [second])
    deliver_webhooks(drive.app, [second])
    assert states(drive, made.id) == {"a": "delivered"}
    one, other = receiver.got
    assert (one.id, one.body) == (other.id, other.body)
    make_due(drive)
    deliver(drive)
    assert len(receiver.got) == 2


def test_after_a_while_down_everything_arrives(
    drive: Drive, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an endpoint fails little is tried there; when it is back, all that waited arrives; others never notice."""
    monkeypatch.setattr(random, "uniform", lambda _, bound: bound)  # the rest is drawn, and may be none at all
    monkeypatch.setattr(webhook_delivery, "REST", Patience(60.0, 60.0))
    down = True
    receiver.answer = lambda one, _: (None if int(one.id[-1]) % 2 else 503) if down and one.path == "/down" else 200
    failing = listen(drive, receiver, path="/down")
    well = listen(drive, receiver, path="/well")
    keys = [f"k{number:02}" for number in range(40)]
    tell(drive, *keys)
    deliver(drive)
    assert set(states(drive, well.id).values()) == {"delivered"}
    assert set(states(drive, failing.id).values()) == {"waiting"}
    tried = [one for one in receiver.got if one.path == "/down"]
    assert 1 <= len(tried) <= webhook_delivery.AT_ONCE  # the rest was not even tried
    assert publish_webhooks(drive.app) == 0  # it is left alone now
    make_due(drive)
    deliver(drive)
    assert len([one for one in receiver.got if one.path == "/down"]) == len(tried) + 1  # one looks whether it is back
    assert drive.value("SELECT failures FROM webhook_endpoint WHERE id = :id", id=failing.id) == 2
    down = False
    make_due(drive)
    deliver(drive)
    assert set(states(drive, failing.id).values()) == {"delivered"}
    assert drive.rows("SELECT failures, resting_until FROM webhook_endpoint") == [(0, None), (0, None)]
    arrived = [one.id for one in receiver.got if one.path == "/down"]
    assert len(set(arrived)) == len(keys)


def test_one_that_is_refused_holds_no_other_up_and_is_parked_in_the_end(drive: Drive, receiver: Receiver) -> None:
    """A notice that is refused waits longer and longer, is parked when its time is over, and comes again when an operator says so."""
    receiver.answer = lambda one, _: 422 if one.told["data"]["activity"] == "poison" else 200
    made = listen(drive, receiver)
    tell(drive, "a", "poison", "b")
    deliver(drive)
    assert states(drive, made.id) == {"a": "delivered", "poison": "waiting", "b": "delivered"}
    assert flow.list_webhooks(drive.runtime)[0]["failures"] == 0
    (row,) = flow.list_deliveries(drive.runtime, made.id, state="waiting", limit=9)
    assert (row.last_status, row.last_text, row.attempts) == (422, "answered 422", 1)
    drive.run("UPDATE webhook_delivery SET try_until = now() WHERE try_until IS NOT NULL")
    make_due(drive)
    deliver(drive)
    (parked,) = flow.list_deliveries(drive.runtime, made.id, state="parked", limit=9)
    assert (parked.key, parked.parked_reason) == ("poison", "answered 422")
    make_due(drive)
    deliver(drive)
    assert receiver.ids.count(f"msg_{parked.outbox_id}") == 2
    receiver.answer = lambda _one, _before: 200
    assert flow.retry_deliveries(drive.runtime, made.id, None) == 1
    assert flow.retry_deliveries(drive.runtime, made.id, None) == 0
    deliver(drive)
    assert set(states(drive, made.id).values()) == {"delivered"}
    assert flow.retry_deliveries(drive.runtime, made.id, [f"msg_{parked.outbox_id}"]) == 0  # it has arrived
    assert drive.value("SELECT count(*) FROM audit_log WHERE kind = 'webhook_delivery'") == 1


def test_who_is_gone_is_switched_off_and_can_be_switched_on_again(drive: Drive, receiver: Receiver) -> None:
    """410 Gone disables an endpoint with the reason; meanwhile nothing waits for it anew, and what waited comes when it is enabled."""
    receiver.answer = lambda _one, before: 410 if before == 0 else 200
    made = listen(drive, receiver)
    tell(drive, "a")
    deliver(drive)
    (found,) = flow.list_webhooks(drive.runtime)
    assert (found["enabled"], found["disabled_reason"], found["parked"]) == (False, "it answered 410 Gone", 1)
    tell(drive, "meanwhile")
    make_due(drive)
    deliver(drive)
    assert len(receiver.got) == 1
    assert flow.enable_webhook(drive.runtime, made.id)
    assert not flow.enable_webhook(drive.runtime, made.id)
    flow.retry_deliveries(drive.runtime, made.id, None)
    deliver(drive)
    assert states(drive, made.id) == {"a": "delivered"}
    tell(drive, "b")
    claims = claim_webhooks(drive.app)
    flow.disable_webhook(drive.runtime, made.id)  # between the claim and the delivery
    deliver_webhooks(drive.app, claims)
    assert states(drive, made.id) == {"a": "delivered", "b": "waiting"}
    assert claim_webhooks(drive.app) == []
    flow.enable_webhook(drive.runtime, made.id)
    deliver(drive)
    assert states(drive, made.id) == {"a": "delivered", "b": "delivered"}


def test_who_asks_to_be_left_alone_is_left_alone(drive: Drive, receiver: Receiver) -> None:
    """Retry-After of 429 and 503 is honoured: neither the notice nor others come before, whatever the first wait is."""
    receiver.answer = lambda _one, _before: (429, {"retry-after": "1800"})
    listen(drive, receiver)
    tell(drive, "a")
    deliver(drive)
    (waits,) = drive.rows(
        "SELECT next_attempt_at - now(), now() < resting_until FROM webhook_delivery, webhook_endpoint"
    )
    assert timedelta(minutes=29) < waits[0] <= timedelta(minutes=30)
    assert waits[1]
    tell(drive, "b")
    assert publish_webhooks(drive.app) == 0


def test_a_slow_endpoint_has_few_at_a_time(drive: Drive, receiver: Receiver) -> None:
    """What is under way to an endpoint counts against its limit until the claim ends; others are claimed all the same."""
    slow, other = listen(drive, receiver), listen(drive, receiver)
    most = drive.app.settings.batch_size
    tell(drive, *[f"k{number}" for number in range(most + 5)])
    claimed = claim_webhooks(drive.app)
    assert {one: sum(claim.endpoint_id == one for claim in claimed) for one in (slow.id, other.id)} == {
        slow.id: most, other.id: most}  # fmt: skip
    assert claim_webhooks(drive.app) == []
    deliver_webhooks(drive.app, [one for one in claimed if one.endpoint_id == other.id])
    assert set(states(drive, other.id).values()) == {"delivered"}  # with those that were left
    assert claim_webhooks(drive.app) == []
    make_due(drive)  # the claims have ended
    assert len(claim_webhooks(drive.app)) == most


def test_secrets_are_exchanged_without_a_gap(drive: Drive, receiver: Receiver) -> None:
    """After a rotation both secrets sign, after the next the oldest no more; one that leaked can be dropped at once."""
    made = listen(drive, receiver)
    second = flow.rotate_secret(drive.runtime, made.id)

    def signers(*secrets: str) -> list[bool]:
        assert flow.try_webhook(drive.runtime, made.id).kind == "delivered"
        last = receiver.got[-1]
        return [signed_by(one, last.headers, last.body) for one in secrets]

    assert signers(made.secret, second) == [True, True]
    third = flow.rotate_secret(drive.runtime, made.id)
    assert signers(made.secret, second, third) == [False, True, True]
    fourth = flow.rotate_secret(drive.runtime, made.id, keep=0)
    assert signers(second, third, fourth) == [False, False, True]
    assert receiver.topics == ["tactics.test"] * 3
    told = drive.rows("SELECT before, after FROM audit_log WHERE kind = 'webhook_endpoint'")
    assert len(told) == 4
    assert not any(secret[6:20] in str(told) for secret in (made.secret, second, third, fourth))


def test_what_is_parked_is_told(drive: Drive, receiver: Receiver) -> None:
    """An execution and an event that are given up on are told of with their ids, in the transaction that parks them."""
    listen(drive, receiver, "tactics.parked")
    drive.load(always_on(channels={"prepare": ["bought"], "grant": ["home_banner"]}))
    receipts, _ = drive.accept(
        {
            "specversion": "1.0",
            "id": "e-1",
            "source": "shop",
            "type": "tactics.behaviour",
            "data": {"user_id": "ann", "rule_key": "bought"},
        }
    )
    assert receipts[0].status == "accepted"
    most = drive.app.settings.max_attempts
    drive.run("UPDATE event SET attempts = :most", most=most)
    drive.sweep()
    drive.work()
    assert [one.told["data"] for one in receiver.got] == [
        {"what": "event", "event_source": "shop", "event_id": "e-1", "user_id": "ann"}
    ]
    drive.run("UPDATE event SET parked_reason = NULL, attempts = 1, next_attempt_at = now()")
    drive.app.tasks["tactics.route_events"].apply(args=([["shop", "e-1", 1]],))
    drive.run(
        "UPDATE execution SET finished_at = NULL, outcome = NULL, attempts = :most, next_attempt_at = now()", most=most
    )
    drive.sweep()
    deliver(drive)
    told = receiver.got[-1].told["data"]
    assert (told["what"], told["activity"], told["user_id"], told["link"]) == ("execution", "camp18", "ann", "prepare")
    assert drive.value("SELECT outcome FROM execution WHERE id = :id", id=told["execution_id"]) == "parked"


def test_assets_of_a_busy_instance_expire_the_next_time(drive: Drive) -> None:
    """Expiry waits for nobody: an instance that somebody works on is passed over, and gone through when it is free."""
    drive.load(always_on())
    for user in ("ann", "bea"):
        drive.visit(user, at=None)
    drive.run("UPDATE asset SET valid_until = now() - interval '1 day'")
    with drive.runtime.engine.connect() as busy:
        busy.exec_driver_sql("SELECT FROM instance WHERE user_id = 'ann' FOR NO KEY UPDATE")
        assert expire_due(drive.runtime) == 1
        assert drive.rows("SELECT user_id FROM asset WHERE status = 'expired'") == [("bea",)]
    assert expire_due(drive.runtime) == 1
    assert drive.value("SELECT count(*) FROM outbox WHERE topic = 'tactics.expired'") == 2


def test_in_replay_the_clock_expires_nothing(driven: Maker) -> None:
    """Where business time is the events', what is past by the clock is still valid."""
    drive = driven()
    drive.load(at_checkout())
    drive.visit("ann", at=NOON)
    assert expire_due(drive.runtime) == 0
    assert drive.value("SELECT status FROM asset") == "available"


def test_who_is_removed_meanwhile_is_waited_for_and_leaves_nothing(drive: Drive, receiver: Receiver) -> None:
    """A result is written after the endpoint is locked, so a removal never meets it halfway; what came too late goes by itself."""
    made, other = listen(drive, receiver), listen(drive, receiver)
    tell(drive, "a")
    (first,) = claim_webhooks(drive.app, made.id)
    with pytest.MonkeyPatch.context() as patch:
        settle = webhook_deliveries.settle

        def meets(conn: Connection, *given: Any) -> None:
            with drive.runtime.engine.connect() as remover:
                remover.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")
                with pytest.raises(OperationalError, match="lock timeout"):
                    webhooks.remove(remover, made.id)
            settle(conn, *given)

        patch.setattr(webhook_deliveries, "settle", meets)
        deliver_webhooks(drive.app, [first])
    assert states(drive, made.id) == {"a": "delivered"}
    with drive.runtime.engine.begin() as busy:
        assert webhooks.hold(busy, made.id)
        with pytest.raises(Busy):
            flow.retry_deliveries(drive.runtime.acting_as("somebody", patience_ms=20), made.id, None)
    receiver.answer = lambda _one, _before: 410
    tell(drive, "b")
    (second,) = claim_webhooks(drive.app, made.id)
    sending = webhook_delivery._send

    def removed(*given: Any) -> Any:
        flow.remove_webhook(drive.runtime, made.id)
        return sending(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhook_delivery, "_send", removed)
        deliver_webhooks(drive.app, [second])
    drive.run(
        "INSERT INTO webhook_delivery (outbox_id, endpoint_id) SELECT id, name FROM outbox, unnest(ARRAY['a', 'zz']) AS name"
    )
    count = "SELECT endpoint_id, count(*) FROM webhook_delivery GROUP BY 1"
    with drive.runtime.engine.begin() as conn:
        assert webhook_deliveries.delete_orphans(conn, 3) == 3
    drive.sweep()
    assert drive.rows(count) == [(other.id, 2)]


def test_without_a_broker_the_sweep_goes_on(drive: Drive, receiver: Receiver) -> None:
    """What cannot be published is not tried again and again on the spot: it is due again later."""
    listen(drive, receiver)
    tell(drive, "a")
    tries: list[Any] = []

    def refuse(*_: object, **options: Any) -> None:
        tries.append(options["retry"])
        raise NoBroker("no broker, as the test wants it")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive.app.tasks[webhook_delivery.TASK], "apply_async", refuse)
        assert publish_webhooks(drive.app) == 0
    assert tries == [False]


@pytest.mark.parametrize(("timeout_ms", "task_s", "limit_s"), [(30_000, 5, 50), (1_000, 60, 60), (10_500, 20, 31)])
def test_a_message_outlives_what_it_sends(timeout_ms: int, task_s: int, limit_s: int) -> None:
    """However long a webhook may take, a message that sends to it is not killed before it has written that down."""
    app = make_app(Settings(webhook_timeout_ms=timeout_ms, task_time_limit_s=task_s))
    task = app.tasks[webhook_delivery.TASK]
    assert task.time_limit == limit_s
    assert webhook_delivery.BUDGET_S + timeout_ms / 1000 < task.soft_time_limit < limit_s
