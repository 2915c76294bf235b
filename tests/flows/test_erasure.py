"""Erasing a user: nothing says any more who they were or what they did, and everything still adds up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import RedisError

from tactics.errors import BadInput, Conflict, IdempotencyConflict, NotFound
from tactics.flows import setup
from tactics.flows.erasure import erase_user
from tactics.flows.explain import explain_execution
from tactics.flows.retry import list_parked, retry_parked
from tactics.runtime import connect_redis
from tactics.store import recall
from tactics.store.audit import audit
from tactics.store.audit_log import listing
from tests.driving import Drive, acted, at_checkout, became, satisfied
from tests.making import bought, document
from tests.outside import connect

# With what is covered in the ids of behaviour events; `ann` is the beginning of another user's id.
ANN = "ann:1%x"
COVERED = "ann%3A1%25x"
SECRET = "ann-lives-here"  # noqa: S105  # an attribute of hers
SUMS = (
    "SELECT count(*), count(*) FILTER (WHERE usable), sum(value_minor) FROM grant_record",
    "SELECT count(*), sum(value_minor) FROM asset WHERE status = 'redeemed'",
    "SELECT activity_code, code, remaining FROM benefit ORDER BY 1, 2",
    "SELECT * FROM limit_counter ORDER BY 1, 2, 3",
    "SELECT * FROM benefit_code WHERE asset_id IS NOT NULL ORDER BY 1, 2, 3",
    "SELECT count(*), sum(epoch) FROM instance WHERE epoch > 0",
    "SELECT count(*), count(DISTINCT id) FROM event",
)


def _rich_life(drive: Drive, user: str) -> None:
    """Let a user do everything: act, be prepared, be granted, redeem, come again, leave something parked and waiting."""
    setup.import_users(drive.runtime, [{"user_id": user, "address": SECRET}])
    drive.happen(acted(user, item_id="tea", attributes={"note": SECRET}), acted(user, "view", item_id="milk"))
    first = drive.visit(user, attributes={"note": SECRET}, key=f"visit-{len(user)}")
    assert len(first.results) == 2
    (asset,) = drive.rows("SELECT id FROM asset WHERE user_id = :user AND activity_code = 'pool'", user=user)
    drive.happen(became(str(asset[0]), "redeemed"))
    drive.happen(satisfied(user))
    drive.visit(user, attributes={"note": SECRET})


def _set_up(drive: Drive) -> None:
    codes = {"c18": {"kind": "coupon", "value_minor": 500, "codes": ["K1", "K2", "K3"]}}
    limits = {"per_user": 5, "per_day": 100, "budget_minor": 100_000}
    drive.load(
        document(behaviour_rules={"bought": bought(1)}, limits=limits),
        at_checkout("pool", benefits=codes, holdout_percent=50),
    )


def _user(drive: Drive, start: str) -> str:
    """Give an id that does not belong to the control group of `pool`."""
    activity = drive.runtime.activity("pool", 1)
    return next(one for one in (f"{start}{n}" for n in range(100)) if not activity.held_out(one))


def _everything(drive: Drive) -> str:
    """Give all that the database and Redis hold, as text."""
    tables = drive.rows(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    assert len(tables) > 30
    parts = [str(drive.rows(f"SELECT one::text FROM {table} AS one")) for (table,) in tables]  # noqa: S608  # names of ours
    redis = drive.runtime.redis
    for key in redis.scan_iter("*"):
        kind = redis.type(key)
        value = redis.get(key) if kind == b"string" else redis.dump(key)
        parts.append(f"{key!r} {value!r}")
    return "\n".join(parts)


def _findings(drive: Drive) -> list[str]:
    with drive.runtime.engine.connect() as conn:
        return [one.text for one in audit(conn)]


def test_nothing_is_left_of_a_user_and_everything_adds_up(drive: Drive) -> None:
    """After the erasure no table and no key of Redis holds the id or an attribute; sums, stock and limits are as before."""
    _set_up(drive)
    user = _user(drive, ANN)
    other = _user(drive, "bob")
    for one in (user, other):
        _rich_life(drive, one)
    others = drive.rows("SELECT outcome, id FROM execution WHERE user_id = :user ORDER BY id", user=other)
    before = _everything(drive)
    assert before.count(user) > 20
    assert before.count(SECRET) > 8
    assert COVERED in before
    sums = [drive.rows(query) for query in SUMS]
    assert drive.runtime.redis.keys(f"tactics:prepared:*{user}")

    done = erase_user(drive.runtime.acting_as("dpo", "r1"), user)

    assert done.pseudonym.startswith("erased:")
    assert done.deleted == {"user_profile": 1, "user_item": 2, "user_action": 2}
    outside = {"outside_grant", "provider_attempt"}
    assert {name for name, count in done.moved.items() if not count} == outside
    left = _everything(drive)
    assert user not in left
    assert COVERED not in left
    assert ANN not in left
    assert left.count(SECRET) == before.count(SECRET) // 2  # the other user's
    assert [drive.rows(query) for query in SUMS] == sums
    assert _findings(drive) == []
    said = drive.rows(
        "SELECT DISTINCT data::text, answer, candidates, body_hash FROM event WHERE user_id = :user",
        user=done.pseudonym,
    )
    assert said == [("{}", None, None, "erased")]
    told = drive.rows(
        "SELECT DISTINCT context, trace, reason FROM execution WHERE user_id = :user", user=done.pseudonym
    )
    assert told == [(None, None, None)]
    assert drive.rows("SELECT outcome, id FROM execution WHERE user_id = :user ORDER BY id", user=other) == others
    ((execution,),) = drive.rows("SELECT id FROM execution WHERE user_id = :user LIMIT 1", user=done.pseudonym)
    assert explain_execution(drive.runtime, execution, app=drive.app)["summary"]
    with drive.runtime.engine.connect() as conn:
        (entry,) = [one for one in listing(conn, limit=1000) if one.actor == "dpo"]
    assert (entry.kind, entry.action, entry.subject, entry.request_id) == ("user", "erased", done.pseudonym, "r1")
    assert entry.after == {"deleted": done.deleted, "moved": done.moved}
    # Whether a pseudonym would be held out says nothing of the user.
    drive.run(
        "UPDATE activity_version SET definition = definition || '{\"holdout_percent\": 100}' WHERE activity_code = 'pool'"
    )
    assert _findings(drive)
    assert all(f"went to user {other}," in one for one in _findings(drive))


def test_executions_follow_their_events(drive: Drive) -> None:
    """Behaviour events lose the user's id in theirs, and the executions and instances that name them say the same."""
    _set_up(drive)
    user = _user(drive, ANN)
    _rich_life(drive, user)
    named = (
        "SELECT count(*) FROM execution x JOIN event e ON (e.source, e.id) = (x.event_source, x.event_id)",
        "SELECT count(*) FROM instance i JOIN event e ON (e.source, e.id) = (i.prepared_source, i.prepared_event_id)",
        "SELECT count(*) FROM grant_record g JOIN event e ON (e.source, e.id) = (g.event_source, g.event_id)",
        "SELECT count(*) FROM grant_record g JOIN outbox ON g.idempotency_id = outbox.key",
    )
    before = [drive.value(query) for query in named]
    assert min(before) > 0
    done = erase_user(drive.runtime, user)
    assert [drive.value(query) for query in named] == before
    ids = [row[0] for row in drive.rows("SELECT id FROM event WHERE source = 'tactics.behaviour:shop'")]
    assert ids
    assert all(one.startswith("bought:erased%3A") and one.split(":")[1][9:] in done.pseudonym for one in ids)
    assert not drive.value("SELECT count(*) FROM event WHERE user_id = :user", user=user)


def test_the_same_id_begins_anew(drive: Drive) -> None:
    """Who comes again under an erased id is a new user; what was sent before is not taken a second time."""
    _set_up(drive)
    user = _user(drive, ANN)
    setup.import_users(drive.runtime, [{"user_id": user}])
    sent = acted(user)
    drive.happen(sent)
    assert len(drive.visit(user, key="k").results) == 2
    erase_user(drive.runtime, user)
    (again,) = drive.happen(sent)
    assert again.status == "rejected"
    with pytest.raises(IdempotencyConflict):
        drive.visit(user, key="k")
    anew = drive.visit(user)
    assert [(part["activity"], part["outcome"]) for part in anew.results] == [("pool", "granted")]
    assert [(part["activity"], part["reason"]) for part in anew.not_shown] == [("camp18", "not_prepared")]
    assert drive.value("SELECT max(will_send_count) FROM grant_record WHERE user_id = :user", user=user) == 1
    drive.happen(acted(user))
    outcomes = {part["activity"]: part["outcome"] for part in drive.visit(user).results}
    assert outcomes == {"camp18": "granted", "pool": "reused"}
    assert _findings(drive) == []
    erase_user(drive.runtime, user)
    assert user not in _everything(drive)
    assert drive.value("SELECT count(DISTINCT user_id) FROM grant_record") == 2


def test_what_waits_is_closed(drive: Drive) -> None:
    """Events not routed yet, and what is parked or due again, end with the outcome `erased`; nothing brings them back."""
    _set_up(drive)
    drive.happen(acted("ann"))
    drive.accept(acted("ann"), acted("ann"))
    drive.run("UPDATE event SET parked_reason = 'ann did it', next_attempt_at = NULL WHERE id = (SELECT max(id) FROM event WHERE routed_at IS NULL)")  # fmt: skip
    drive.run("UPDATE execution SET outcome = 'parked', reason = 'ann', context = '{\"user\": \"ann\"}'")
    erase_user(drive.runtime, "ann")
    assert drive.value("SELECT count(*) FROM event WHERE outcome = 'erased'") == 2
    assert {row[0] for row in drive.rows("SELECT outcome FROM execution")} == {"erased"}
    assert list_parked(drive.app, 10) == []
    assert retry_parked(drive.app, None) == 0
    assert drive.sweep()["events"] == 0
    assert drive.work() == []
    assert _findings(drive) == []


def test_who_is_unknown_or_still_being_settled_is_refused(drive: Drive) -> None:
    """An unknown user is not found, once erased too; a pseudonym is no user; a grant that is open has to be settled first."""
    _set_up(drive)
    for nobody in ("ann", ""):
        with pytest.raises(NotFound):
            erase_user(drive.runtime, nobody)
    drive.happen(acted("ann"))
    drive.visit("ann")
    ((grant,),) = drive.rows("SELECT id FROM grant_record WHERE activity_code = 'camp18'")
    drive.run("UPDATE grant_record SET state = 'unknown', usable = false WHERE id = :id", id=grant)
    with pytest.raises(Conflict) as refused:
        erase_user(drive.runtime, "ann")
    assert refused.value.fields["grants"] == [str(grant)]
    assert str(grant) in refused.value.message
    drive.run("UPDATE grant_record SET state = 'granted', usable = true WHERE id = :id", id=grant)
    done = erase_user(drive.runtime, "ann")
    with pytest.raises(NotFound):
        erase_user(drive.runtime, "ann")
    with pytest.raises(BadInput):
        erase_user(drive.runtime, done.pseudonym)
    with pytest.raises(BadInput):
        drive.visit(done.pseudonym)
    with pytest.raises(BadInput):
        setup.import_users(drive.runtime, [{"user_id": done.pseudonym}])
    receipts, _ = drive.accept(acted(done.pseudonym), satisfied(done.pseudonym))
    assert [one.status for one in receipts] == ["rejected", "rejected"]


def test_what_outside_systems_were_told_goes_when_it_is_settled(drive: Drive) -> None:
    """A grant that is open outside keeps its user, for a repeat says the same; settled, its texts go and its sums stay."""
    wallet = connect(drive, look_up_url="https://wallet.example/{idempotency_id}")
    drive.load(at_checkout(benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": 9, "provider": "wallet"}}))
    assert [drive.outcome(user) for user in (ANN, "bob")] == ["pending"] * 2
    wallet.next.append("given_but_unclear")
    drive.work()
    ((grant,),) = drive.rows("SELECT id::text FROM grant_record WHERE user_id = :user", user=ANN)
    assert drive.rows("SELECT user_id, state FROM grant_record ORDER BY 1") == [(ANN, "unknown"), ("bob", "granted")]
    with pytest.raises(Conflict) as refused:
        erase_user(drive.runtime, ANN)
    assert refused.value.fields["grants"] == [grant]
    drive.settle()
    assert ANN in drive.value("SELECT body FROM outside_grant WHERE grant_id::text = :id", id=grant)
    attempts = "SELECT kind, answer, status_code, text FROM provider_attempt WHERE grant_id::text = :id ORDER BY number"
    before = drive.rows(attempts, id=grant)
    assert len(before) > 1
    kept = "SELECT calls, reserved, provider, asset_ids FROM outside_grant WHERE grant_id::text = :id"
    said = drive.rows(kept, id=grant)
    done = erase_user(drive.runtime, ANN)
    assert (done.moved["outside_grant"], done.moved["provider_attempt"]) == (1, len(before))
    assert ANN not in _everything(drive)
    assert drive.rows(attempts, id=grant) == before
    assert drive.rows(kept, id=grant) == said
    texts = "SELECT user_id, body, drafts, reference FROM outside_grant WHERE grant_id::text = :id"
    assert drive.rows(texts, id=grant) == [(done.pseudonym, "", [], None)]
    # Another user's stay as they are.
    assert "bob" in drive.value("SELECT body FROM outside_grant WHERE user_id = 'bob'")
    assert drive.value("SELECT count(*) FROM provider_attempt WHERE user_id = 'bob'") > 0
    assert _findings(drive) == []


def test_without_redis_nothing_is_half_done(drive: Drive) -> None:
    """If Redis does not answer, the user is as they were, and can be erased when it does."""
    _set_up(drive)
    drive.happen(acted("ann"))
    drive.visit("ann")
    nowhere = replace(drive.runtime, redis=connect_redis("redis://127.0.0.1:1/0", 0.1))
    with pytest.raises(RedisError):
        erase_user(nowhere, "ann")
    assert drive.value("SELECT count(*) FROM grant_record WHERE user_id = 'ann'") > 0
    assert erase_user(drive.runtime, "ann").moved["grant_record"] > 0
    assert not drive.runtime.redis.keys("*ann*")


def test_a_rebuild_of_recall_goes_on_without_the_name(drive: Drive) -> None:
    """A rebuild that has just reached the user goes on after the one before, and counts everybody else once."""
    users = ("a", "ann", "z")
    drive.happen(*[acted(user, item_id=item) for user in users for item in ("tea", "milk")])
    with drive.runtime.engine.begin() as conn:
        recall.begin_rebuild(conn)
        assert recall.learn_anew(conn, users=2) == ["a", "ann"]
    erase_user(drive.runtime, "ann")
    assert drive.value("SELECT reached_user_id FROM recall_rebuild") == "a"
    with drive.runtime.engine.begin() as conn:
        assert recall.learn_anew(conn, users=2) == ["z"]
    assert drive.value("SELECT users FROM item_pair WHERE item_id = 'tea' AND other_id = 'milk'") == 3


def _erased(drive: Drive, user: str) -> bool:
    try:
        erase_user(drive.runtime, user)
    except NotFound:
        return False
    return True


def test_users_are_erased_while_they_act(drive: Drive) -> None:
    """Erasures beside actions, visits and redemptions of the same users neither hang nor leave a sum that does not add up."""
    _set_up(drive)
    users = ("ann", "bob")

    def live(number: int) -> None:
        for user in 4 * users[:: 1 if number else -1]:
            drive.happen(acted(user), satisfied(user))
            with suppress(IdempotencyConflict):  # erased while it was being answered
                drive.visit(user)

    with ThreadPoolExecutor(2) as pool:
        lives = [pool.submit(live, number) for number in range(2)]
        erased = 0
        while not all(one.done() for one in lives):
            erased += sum(_erased(drive, user) for user in users)
        for one in lives:
            one.result()
    assert erased > 2
    drive.settle()
    # Nothing tells whose pseudonym it is: what belongs together has one name, the old or the new.
    started = "execution x JOIN event e ON (e.source, e.id) = (x.event_source, x.event_id)"
    torn = (
        f"SELECT count(*) FROM {started} WHERE x.user_id <> e.user_id",  # noqa: S608  # words of ours
        "SELECT count(*) FROM grant_record g JOIN execution x ON x.id = g.execution_id WHERE g.user_id <> x.user_id",
        "SELECT count(*) FROM asset a JOIN grant_record g ON g.id = a.grant_id WHERE a.user_id <> g.user_id",
    )
    assert [drive.value(query) for query in torn] == [0, 0, 0]
    for user in users:
        _erased(drive, user)
    assert _findings(drive) == []
    left: Any = drive.rows(
        "SELECT user_id FROM execution UNION SELECT user_id FROM event UNION SELECT user_id FROM asset"
    )
    assert all(user.startswith("erased:") for (user,) in left if user)
