"""What monitors such as Flower hear of steps that ran in place."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from sqlalchemy import make_url, text

from tactics.config import Settings
from tests.journey import Shop, offer, open_shop

STEPS = ("query_item", "recall_item", "handle_item_promotion", "save_prepared", "record_event", "finish_execution")


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """The test's Redis."""
    with redis.Redis.from_url(settings.redis_url) as opened:
        yield opened


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop with an offer."""
    opened = open_shop(settings)
    opened.imports(offer())
    yield opened
    opened.app.runtime.close()
    opened.app.close()


@pytest.fixture
def subscription(client: redis.Redis, settings: Settings) -> Iterator[Any]:
    """Hears what is published as events."""
    with client.pubsub() as opened:  # type: ignore[no-untyped-call]
        opened.psubscribe(f"/{make_url(settings.redis_url).database}.celeryev*")
        yield opened


def _outcomes(shop: Shop) -> list[str]:
    with shop.app.runtime.engine.connect() as conn:
        return list(conn.execute(text("SELECT outcome FROM execution")).scalars())


def _messages(subscription: Any) -> list[list[dict[str, Any]]]:
    """The event messages heard so far; what was published before has arrived before the answer to a ping."""
    subscription.ping()
    found = []
    while (heard := subscription.get_message(timeout=10))["type"] != "pong":
        if heard["type"] == "pmessage":
            found.append(json.loads(base64.b64decode(json.loads(heard["data"])["body"])))
    return found


def test_a_run_tells_of_its_steps_in_one_message(shop: Shop, subscription: Any) -> None:
    """Each step is told of in order, with name, ids as its only arguments and runtime, all in one message."""
    shop.buys("u-secret", 2)
    (events,) = _messages(subscription)
    assert _outcomes(shop) == ["prepared"]
    kinds = ("task-received", "task-started", "task-succeeded")
    assert [event["type"] for event in events] == [*kinds] * len(STEPS)
    received, ended = events[::3], events[2::3]
    assert [event["name"] for event in received] == [f"tactics.{step}" for step in STEPS]
    assert all(re.fullmatch(r"\('[0-9a-f-]{36}', 1\)", event["args"]) for event in received)
    assert all(0 < event["runtime"] < 60 for event in ended)
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
    assert {event["hostname"] for event in events} == {"worker@test"}
    assert {event["root_id"] for event in received} == {received[0]["uuid"]}
    assert [event["parent_id"] for event in received] == [None, *(event["uuid"] for event in received[:-1])]
    assert "u-secret" not in json.dumps(events)


def test_events_carry_no_clock(shop: Shop, subscription: Any) -> None:
    """A pool process' logical clock would put its steps before or after everybody else's; the receiver gives its own."""
    shop.buys("u1", 2)
    (events,) = _messages(subscription)
    assert not any("clock" in event for event in events)


def test_events_that_cannot_be_sent_hurt_nobody(settings: Settings, client: redis.Redis) -> None:
    """What a run committed stays done when Redis refuses its events, with whatever error."""
    client.acl_setuser("mute", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", "-publish"])
    try:
        mute = make_url(settings.redis_url).set(username="mute", password="x")  # noqa: S106  # any will do
        address = mute.render_as_string(hide_password=False)
        with pytest.raises(redis.exceptions.NoPermissionError), redis.Redis.from_url(address) as refused:
            refused.publish("celeryev", "")
        shop = open_shop(settings.model_copy(update={"redis_url": address}))
        shop.imports(offer())
        shop.buys("u1", 2)
        assert _outcomes(shop) == ["prepared"]
        shop.app.runtime.close()
        shop.app.close()
    finally:
        client.acl_deluser("mute")
