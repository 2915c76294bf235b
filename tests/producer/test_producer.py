"""A producer and a server that behaves badly: each event is accepted once, and the receipts say so."""

from __future__ import annotations

import hashlib
import hmac
import json
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from tactics.producer import GaveUp, NotAllowed, Producer, Receipt, Refused, Rejected, action, asset, behaviour
from tests.producer.nasty import DROPPED_BEFORE, FAULTS, STATUSES, Book, Nasty

SECRET = "ö" * 8

pytestmark = pytest.mark.usefixtures("impatient")


def _buys(number: int, **members: Any) -> dict[str, Any]:
    return action("ann", "purchase", item_id="t1", id=f"order-{number}", **members)


def _producer(between: Nasty, **options: Any) -> Producer:
    return Producer(between.url, **{"source": "shop", "timeout_s": 0.25, **options})


@pytest.mark.parametrize("fault", [*FAULTS, *STATUSES])
def test_one_event_is_accepted_once_whatever_becomes_of_the_first_tries(
    between: Nasty, book: Book, fault: str | int
) -> None:
    """Two bad tries, then a good one: the same bytes each time, one event, and a receipt that says Tactics has it."""
    between.faults.extend([fault, fault])
    event = action("ann", "purchase")
    with _producer(between) as producer:
        receipt = producer.send(event)
    heard = fault in FAULTS and fault != DROPPED_BEFORE
    assert receipt == Receipt("shop", event["id"], "duplicate" if heard else "accepted")
    assert receipt.stored
    assert len(between.bodies) == 3
    assert len(set(between.bodies)) == 1
    assert list(book.stored) == [("shop", event["id"])]


def test_a_stream_survives_every_fault(between: Nasty, book: Book) -> None:
    """Whatever becomes of its batches, each event of a stream is stored once, and the receipts come in order."""
    for fault in (*FAULTS, *STATUSES):
        between.faults.extend([fault, None])
    with _producer(between, batch_size=3) as producer:
        receipts = list(producer.send_many(_buys(number) for number in range(40)))
    assert [one.id for one in receipts] == [f"order-{number}" for number in range(40)]
    assert all(one.stored for one in receipts)
    assert [key[1] for key in book.stored] == [one.id for one in receipts]
    assert {len(json.loads(body)) for body in between.bodies} == {3, 1}


def test_an_id_is_made_once(between: Nasty, book: Book) -> None:
    """A mapping without an id gets one before the first try, and is not changed; its own source stays."""
    between.faults.append(503)
    event = {
        "type": "tactics.action",
        "id": None,
        "source": "till",
        "data": {"user_id": "ann", "action": "pays", "note": "½ ☕"},
    }
    with _producer(between) as producer:
        receipt = producer.send(event)
    assert (receipt.source, receipt.status) == ("till", "accepted")
    assert event["id"] is None
    assert book.stored == {("till", receipt.id): {**event, "specversion": "1.0", "id": receipt.id}}


def test_events_are_what_cloudevents_wants() -> None:
    """The makers leave out what is not given, and say times with their offset."""
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert action("ann", "purchase", quantity=0, id="1", source="till", at=at) == {
        "specversion": "1.0",
        "id": "1",
        "type": "tactics.action",
        "source": "till",
        "time": "2026-01-02T03:00:00+00:00",
        "data": {"user_id": "ann", "action": "purchase", "quantity": 0},
    }
    assert behaviour("ann", "bought", attributes={"a": 1})["data"] == {
        "user_id": "ann",
        "rule_key": "bought",
        "attributes": {"a": 1},
    }
    assert asset("9c7b", "redeemed")["data"] == {"asset_id": "9c7b", "status": "redeemed"}
    assert action("ann", "purchase")["id"] != action("ann", "purchase")["id"]
    with pytest.raises(ValueError, match="offset"):
        action("ann", "purchase", at=at.replace(tzinfo=None))


def test_a_rejected_event_is_told_and_holds_nobody_up(between: Nasty, book: Book) -> None:
    """Alone it raises, with what is wrong; in a stream it has its receipt, whether here or there it was found bad."""
    bad = action("", "purchase", id="bad")
    unwritable = action("ann", "purchase", attributes={"at": datetime(2026, 1, 1, tzinfo=UTC)}, id="odd")
    infinite = action("ann", "purchase", attributes={"price": float("inf")}, id="infinite")
    with _producer(between) as producer:
        with pytest.raises(Rejected, match="/data/user_id: it is empty") as rejected:
            producer.send(bad)
        with pytest.raises(Rejected, match="cannot be written as JSON") as unsent:
            producer.send(unwritable)
        assert len(between.bodies) == 1
        stream: list[Any] = [
            _buys(0),
            unwritable,
            bad,
            "no mapping",
            infinite,
            _buys(1),
            _buys(0),
            _buys(0, quantity=9),
        ]
        receipts = list(producer.send_many(stream))
    assert rejected.value.problems == [{"path": "/data"}]
    assert rejected.value.events == (("shop", "bad"),)
    assert (rejected.value.status, rejected.value.reason) == (422, "/data/user_id: it is empty")
    assert unsent.value.problems == []
    assert [(one.id, one.status) for one in receipts] == [
        ("order-0", "accepted"),
        ("odd", "rejected"),
        ("bad", "rejected"),
        ("", "rejected"),
        ("infinite", "rejected"),
        ("order-1", "accepted"),
        ("order-0", "duplicate"),
        ("order-0", "rejected"),
    ]
    assert [one.reason is None for one in receipts] == [one.stored for one in receipts]
    assert len(book.stored) == 2


def test_a_stream_is_sent_as_it_is_read(between: Nasty) -> None:
    """Never more than a batch is taken from a stream ahead of its receipts; an endless one is no problem."""
    taken = 0

    def endless() -> Iterator[Mapping[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield _buys(taken)

    with _producer(between, batch_size=5) as producer:
        receipts = producer.send_many(endless())
        for number in range(1, 31):
            assert next(receipts).id == f"order-{number}"
            assert taken <= 5 * ((number - 1) // 5 + 1) + 1
        assert len(between.bodies) == 6
        assert list(producer.send_many([])) == []
        assert len(between.bodies) == 6
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            del receipts
        assert warned == []
        with pytest.warns(UserWarning, match="nothing was sent"):
            producer.send_many(endless()).__del__()


def test_a_batch_is_cut_where_it_is_too_large(between: Nasty, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches stay below a size; what is still too large for a proxy goes in halves, and one event alone is rejected."""
    limit, inner = 2_000, between.handle
    monkeypatch.setattr("tactics.producer.client.BATCH_BYTES", 5_000)
    between.handle = lambda headers, body: (413, b"too large") if len(body) > limit else inner(headers, body)
    events = [_buys(number, attributes={"note": "x" * (3_000 if number == 4 else 400)}) for number in range(12)]
    with _producer(between) as producer:
        receipts = list(producer.send_many(events))
        with pytest.raises(Refused, match="Send smaller events"):
            producer.send(events[4])
    assert [one.status for one in receipts] == ["accepted"] * 4 + ["rejected"] + ["accepted"] * 7
    assert receipts[4].reason is not None
    assert len(book.stored) == 11
    assert max(map(len, between.bodies)) <= 5_000 + len("[]") + 11
    between.bodies.clear()
    between.handle = inner
    with _producer(between) as producer:
        assert (
            len(list(producer.send_many(_buys(number, attributes={"note": "x" * 800}) for number in range(20)))) == 20
        )
    assert [len(json.loads(body)) for body in between.bodies] == [5, 5, 5, 5]


@pytest.mark.parametrize("status", [200, 301, 400, 404, 415, 418, 500, 599])
def test_what_another_try_would_not_change_is_told_at_once(between: Nasty, status: int) -> None:
    """An answer that is none of Tactics' raises, with where it came from; nothing is tried again."""
    between.handle = lambda *_: (status, b'{"detail": "because"}')
    with _producer(between) as producer:
        with pytest.raises(Refused, match=f"{between.url}/v1/events answered {status}: because") as alone:
            producer.send(_buys(1))
        with pytest.raises(Refused):
            list(producer.send_many([_buys(1), _buys(2)]))
    assert alone.value.status == status
    assert len(between.bodies) == 2


def test_key_and_signature_are_sent(between: Nasty) -> None:
    """The key is a bearer token; the signature is over the time and exactly the bytes that were sent, at each try."""
    between.faults.append(503)
    with _producer(between, key="k-1", signing_secret=SECRET) as producer:
        producer.send(_buys(1))
        between.handle = lambda *_: (401, b"{}")
        with pytest.raises(NotAllowed, match="signing_secret"):
            producer.send(_buys(1))
        between.handle = lambda *_: (403, b'{"detail": "this needs events:write"}')
        with pytest.raises(NotAllowed, match="events:write"):
            list(producer.send_many([_buys(1)]))
    assert len(between.bodies) == 4
    for headers, body in zip(between.headers, between.bodies, strict=True):
        assert headers["authorization"] == "Bearer k-1"
        at, code = (part.partition("=")[2] for part in headers["tactics-signature"].split(","))
        wanted = hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        assert code == wanted
        assert abs(datetime.now(UTC).timestamp() - int(at)) < 60
    with _producer(between) as producer, pytest.raises(NotAllowed):
        producer.send(_buys(1))
    assert not {"authorization", "tactics-signature"} & between.headers[-1].keys()


def test_threads_share_a_producer(between: Nasty, book: Book) -> None:
    """Eight threads at once, with faults between them: each gets the receipts of its own events."""
    between.faults.extend([503, FAULTS[1], 503, FAULTS[2]] * 4)
    with _producer(between) as producer, ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda number: producer.send(_buys(number)), range(80)))
    assert [one.id for one in receipts] == [f"order-{number}" for number in range(80)]
    assert all(one.stored for one in receipts)
    assert len(book.stored) == 80


def test_it_gives_up_and_says_what_is_open(between: Nasty, book: Book) -> None:
    """In a stream, what came before stands, and the error names the events that are open."""
    stream = [_buys(number) for number in range(9)]
    with _producer(between, batch_size=3, retries=2) as producer:
        receipts = producer.send_many(stream)
        done = [next(receipts) for _ in range(3)]
        between.faults.extend([FAULTS[1], 503, 429])
        with pytest.raises(GaveUp, match=r"in 3 tries .* with the same ids") as error:
            next(receipts)
        assert error.value.in_doubt
        assert error.value.events == tuple(("shop", f"order-{number}") for number in (3, 4, 5))
        assert error.value.status == 429
        assert [one.status for one in producer.send_many(stream)] == ["duplicate"] * 6 + ["accepted"] * 3
    assert [one.status for one in done] == ["accepted"] * 3
    assert len(book.stored) == 9


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("tactics.example:8470", {}),
        ("ftp://tactics.example", {}),
        ("http://", {}),
        ("http://h", {"source": ""}),
        ("http://h", {"batch_size": 0}),
        ("http://h", {"retries": -1}),
        ("http://h", {"timeout_s": 0}),
        ("http://h", {"key": "a\nb"}),
        ("http://h", {"key": ""}),
    ],
)
def test_what_makes_no_sense_is_said_at_once(url: str, options: dict[str, Any]) -> None:
    """A producer that could never send is not made."""
    with pytest.raises(ValueError, match=r"no address|have to be given|a key is"):
        Producer(url, **{"source": "shop", **options})
