"""Events as CloudEvents."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tactics import behaviour
from tactics.domain.event import RESERVED_SOURCES, parse_event
from tactics.domain.placement import SOURCE
from tactics.errors import BadInput

NOW = datetime(2017, 11, 1, tzinfo=UTC)
ASSET = "0b0e2b3c-6c0e-4f7e-9d0a-2f1f5f5c9a11"


def _message(**changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "1",
        "source": "shop",
        "type": "tactics.action",
        "time": "2017-11-01T10:00:00+08:00",
        "data": {"user_id": "7", "action": "purchase", "item_id": "3", "quantity": 2, "amount_minor": 500},
        **changes,
    }


def test_action_is_read() -> None:
    """An action has its user, its data and its own time, in UTC; it has no channel."""
    found = parse_event(_message(), now=NOW)
    assert (found.key, found.type, found.user_id, found.channel) == (("shop", "1"), "action", "7", None)
    assert found.at == datetime(2017, 11, 1, 2, tzinfo=UTC)
    assert found.at.tzinfo is UTC
    assert found.data["quantity"] == 2


def test_rule_key_is_the_channel() -> None:
    """A behaviour event is routed by its rule key, unchanged, and its attributes are what rules see."""
    data = {"user_id": "7", "rule_key": "Camp18.bought", "attributes": {"a": 1}}
    found = parse_event(_message(type="tactics.behaviour", data=data), now=NOW)
    assert (found.type, found.channel, found.attributes) == ("behaviour", "Camp18.bought", {"a": 1})


def test_asset_event_is_read() -> None:
    """An asset event names the asset and what became of it; whose it is the store knows."""
    data = {"asset_id": ASSET, "status": "redeemed"}
    found = parse_event(_message(type="tactics.asset", data=data), now=NOW)
    assert (found.type, found.user_id, found.data) == ("asset", "", data)


def test_event_without_time_happens_now() -> None:
    """Where an event has no time it gets the one given; extension attributes are left alone."""
    message = _message(traceparent="00-1")
    del message["time"]
    assert parse_event(message, now=NOW).at == NOW


def test_data_sent_as_bytes_is_read() -> None:
    """JSON in base64 is the same data as JSON, and the same body."""
    sent = _message()
    as_bytes = base64.b64encode(json.dumps(sent.pop("data")).encode()).decode()
    found = parse_event({**sent, "data_base64": as_bytes}, now=NOW)
    assert found == parse_event(_message(), now=NOW)
    assert found.body_hash == parse_event(_message(), now=NOW).body_hash


@pytest.mark.parametrize(
    "given", [None, 5, "", "e30", "e3 0=", "größe", "AAAA", "eyJhIjoxLCJhIjoxfQ==", "TmFO", "gIA=", "both"]
)
def test_bytes_that_are_no_json_are_refused(given: object) -> None:
    """What is not base64, or no strict JSON in it, is refused with the path of the bytes; so are bytes beside data."""
    sent = _message(data_base64="e30=") if given == "both" else _message(data_base64=given)
    if given != "both":
        del sent["data"]
    with pytest.raises(BadInput, match="event '1': /data_base64: ") as raised:
        parse_event(sent, now=NOW)
    assert [problem["path"] for problem in raised.value.fields["problems"]] == ["/data_base64"]


def test_quantity_left_out_is_one() -> None:
    """An action without quantity counts once."""
    assert parse_event(_message(data={"user_id": "7", "action": "view"}), now=NOW).data["quantity"] == 1


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"specversion": "0.3"}, ["/specversion"]),
        ({"id": ""}, ["/id"]),
        ({"id": 5}, ["/id"]),
        ({"source": "x" * 257}, ["/source"]),
        ({"source": "tactics.behaviour"}, ["/source"]),
        ({"source": "tactics.behaviour:shop"}, ["/source"]),
        ({"source": "tactics.placement"}, ["/source"]),
        ({"source": "tactics.retry:x"}, ["/source"]),
        ({"type": "other.action"}, ["/type"]),
        ({"type": "tactics.placement"}, ["/type"]),
        ({"time": "2017-11-01T10:00:00"}, ["/time"]),
        ({"data": "x"}, ["/data"]),
        ({"data": {"action": "view"}}, ["/data/user_id"]),
        ({"data": {"user_id": 7, "action": "view"}}, ["/data/user_id"]),
        ({"data": {"user_id": "7", "action": "view", "quantity": "2"}}, ["/data/quantity"]),
        ({"data": {"user_id": "7", "action": "view", "quantity": -1}}, ["/data/quantity"]),
        ({"data": {"user_id": "7", "action": "view", "colour": 1}}, ["/data/colour"]),
        ({"type": "tactics.behaviour", "data": {"user_id": "7"}}, ["/data/rule_key"]),
        ({"type": "tactics.asset", "data": {"asset_id": "x", "status": "lost"}}, ["/data/asset_id", "/data/status"]),
    ],
)
def test_wrong_part_is_named_by_its_path(changes: dict[str, Any], paths: list[str]) -> None:
    """Each wrong part of an event is refused with its JSON Pointer."""
    with pytest.raises(BadInput, match="event") as raised:
        parse_event(_message(**changes), now=NOW)
    assert [problem["path"] for problem in raised.value.fields["problems"]] == paths


def test_reserved_sources_are_those_of_events_made_here() -> None:
    """The sources that Tactics itself gives are refused with a reason; the command line's and others' are not."""
    assert {behaviour.SOURCE, SOURCE} < set(RESERVED_SOURCES)
    with pytest.raises(
        BadInput, match=r"begin with 'tactics\.behaviour' are kept for events that Tactics makes itself"
    ):
        parse_event(_message(source=f"{behaviour.SOURCE}:shop"), now=NOW)
    for source in ("tactics.cli", "tactics.shop", "shop/tactics.behaviour"):
        assert parse_event(_message(source=source), now=NOW).source == source


@pytest.mark.parametrize("message", [None, [], "x"])
def test_no_mapping_is_no_event(message: object) -> None:
    """What is no mapping is refused, not crashed on."""
    with pytest.raises(BadInput):
        parse_event(message, now=NOW)


def test_body_hash_tells_a_repeat_from_another_event() -> None:
    """The hash is that of what the event says: key order and time play no part, every other word does."""
    first = parse_event(_message(), now=NOW)
    turned = dict(reversed(_message()["data"].items()))
    assert parse_event(_message(data=turned, time="2017-11-02T00:00:00Z"), now=NOW).body_hash == first.body_hash
    others = [
        _message(data={**_message()["data"], "amount_minor": 501}),
        _message(data={**_message()["data"], "user_id": "8"}),
        _message(type="tactics.behaviour", data={"user_id": "7", "rule_key": "purchase"}),
    ]
    hashes = {parse_event(other, now=NOW).body_hash for other in others}
    assert len(hashes | {first.body_hash}) == 4


@pytest.mark.parametrize(("sent", "stored"), [(-0.0, 0), (1.0, 1), (1e22, 10**22), (1.5e300, 15 * 10**299), (0.1, 0.1)])
def test_hash_knows_numbers_as_the_database_gives_them_back(sent: float, stored: float) -> None:
    """An event read back has the hash it was accepted with, however the database writes its numbers; true is no 1."""
    first, second, other = (
        parse_event(_message(data={"user_id": "u", "action": "a", "attributes": {"n": number}}), now=NOW)
        for number in (sent, stored, True)
    )
    assert first.body_hash == second.body_hash != other.body_hash
