"""Prepared data in Redis: what the preparation chain leaves for placements. It may vanish at any moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import redis

from tactics.store.instances import InstanceRow

MIN_EXPIRY_S = 60


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data, with the epoch and the event it was prepared for."""

    epoch: int
    source: str
    event_id: str
    data: dict[str, Any]


def prepared_key(activity_code: str, user_id: str) -> str:
    """Name the prepared data of an instance."""
    return f"tactics:prepared:{activity_code}:{user_id}"


def save(client: redis.Redis, activity_code: str, user_id: str, prepared: Prepared, expiry_s: int) -> None:
    """Write the data; it counts only once the instance row with its epoch is committed.

    Args:
        client: Redis.
        activity_code: of the instance.
        user_id: of the instance.
        prepared: what to write.
        expiry_s: when it may go: the activity's end.
    """
    body = {"epoch": prepared.epoch, "source": prepared.source, "event": prepared.event_id, "data": prepared.data}
    text = json.dumps(body, separators=(",", ":"))
    client.set(prepared_key(activity_code, user_id), text, ex=max(expiry_s, MIN_EXPIRY_S))


def decode(text: bytes | None, instance: InstanceRow) -> Prepared | None:
    """Read the data, if it is what the instance row says was prepared; anything else reads as missing."""
    if text is None:
        return None
    try:
        body = json.loads(text)
        data = body["data"]
        found = Prepared(body["epoch"], body["source"], body["event"], data)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    wanted = (instance.prepared_epoch, instance.prepared_source, instance.prepared_event_id)
    return found if (found.epoch, found.source, found.event_id) == wanted else None
