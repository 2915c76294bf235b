"""The producer and the API, with a network between them that loses requests and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tactics.domain.api_key import NewApiKey
from tactics.flows import api_key
from tactics.producer import NotAllowed, Producer, Rejected, action, asset, behaviour, line
from tests.driving import Drive
from tests.producer.nasty import FAULTS, STATUSES, Nasty, Reply, nasty


@pytest.fixture
def between(url: str) -> Iterator[Nasty]:
    """Who stands before the API."""
    with httpx.Client() as client:

        def forward(headers: Mapping[str, str], body: bytes) -> Reply:
            kept = {name: value for name, value in headers.items() if name not in {"host", "accept-encoding"}}
            answer = client.post(f"{url}/v1/events", content=body, headers=kept)
            return answer.status_code, answer.content

        with nasty(forward) as one:
            yield one


def test_each_event_is_accepted_once_by_the_api(live: Drive, between: Nasty, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams and threads at once, every fault between them: each event is stored once, and its receipt says so."""
    monkeypatch.setattr(line, "FIRST_WAIT_S", 0.001)
    for fault in (*FAULTS, *STATUSES):
        between.faults.extend([fault, None])
    with Producer(between.url, source="shop", timeout_s=0.5, batch_size=20) as producer, ThreadPoolExecutor(5) as pool:
        alone = pool.map(lambda number: producer.send(action("bob", "view", id=f"view-{number}")), range(30))
        bought = (action("ann", "purchase", amount_minor=450, id=f"order-{number}") for number in range(200))
        receipts = [*producer.send_many(bought), *alone]
        again = list(producer.send_many(action("bob", "view", id=f"view-{number}") for number in range(30)))
    assert not between.faults
    assert len(between.bodies) > len(FAULTS) + len(STATUSES) + 40
    assert all(one.stored for one in receipts)
    assert {one.status for one in receipts} == {"accepted", "duplicate"}
    assert [one.status for one in again] == ["duplicate"] * 30
    assert sorted(one.id for one in receipts) == sorted(row[0] for row in live.rows("SELECT id FROM event"))


def test_what_the_makers_make_is_what_the_api_takes(url: str, live: Drive) -> None:
    """Each kind of event is accepted, or rejected for what it says; never for its form."""
    with Producer(url, source="shop") as producer:
        full = action(
            "ann", "purchase", item_id="t1", quantity=2, amount_minor=900, attributes={"shop": "ü"}, id="full"
        )
        assert producer.send(full).status == "accepted"
        assert producer.send(asset("9c7b6157-f4ed-47f1-981a-936c082a1488", "redeemed")).status == "accepted"
        with pytest.raises(Rejected, match="no activity prepares on rule key") as rejected:
            producer.send(behaviour("ann", "bought_twice"))
        assert rejected.value.problem["code"] == "unknown_channel"
        with pytest.raises(Rejected) as misspelt:
            producer.send({"type": "tactics.action", "data": {"user": "ann", "action": "purchase"}})
        assert {one["path"] for one in misspelt.value.problems} == {"/data/user_id", "/data/user"}
        results = list(producer.send_many([full, {"type": "tactics.action", "id": "odd", "data": {}}]))
    assert [one.status for one in results] == ["duplicate", "rejected"]
    assert "/data/user_id" in str(results[1].reason)
    assert live.value("SELECT count(*) FROM event") == 2


def test_key_and_signature_let_a_producer_in(live: Drive, url: str) -> None:
    """A signed key's events are accepted; without the key, or with another secret, nothing is, and it is said why."""
    wanted = NewApiKey("shop", ("events:write",), signed=True)
    made = api_key.create(live.runtime, wanted)
    with Producer(url, source="shop", key=made.key, signing_secret=made.signing_secret) as producer:
        assert [one.status for one in producer.send_many([action("ann", "½ ☕")])] == ["accepted"]
    for key, secret, what in (
        (None, None, "send an API key"),
        (made.key, None, "Tactics-Signature"),
        (made.key, "another", "the signature is not that of this body"),
    ):
        bad = Producer(url, source="shop", key=key, signing_secret=secret)
        with bad as producer, pytest.raises(NotAllowed, match=what) as refused:
            producer.send(action("ann", "view"))
        assert refused.value.status == 401
    reader = api_key.create(live.runtime, NewApiKey("shop", ("audit:read",)))
    with (
        Producer(url, source="shop", key=reader.key) as producer,
        pytest.raises(NotAllowed, match="events:write") as no,
    ):
        producer.send(action("ann", "view"))
    assert no.value.status == 403
    assert live.value("SELECT count(*) FROM event") == 1
