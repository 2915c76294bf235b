"""Events as producers write them: CloudEvents 1.0 in the JSON format, as plain dictionaries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

AssetStatus = Literal["claimed", "redeemed", "released", "expired", "revoked"]


def action(
    user_id: str,
    action: str,
    *,
    item_id: str | None = None,
    quantity: int | None = None,
    amount_minor: int | None = None,
    attributes: Mapping[str, Any] | None = None,
    id: str | None = None,  # noqa: A002  # as CloudEvents calls it
    source: str | None = None,
    at: datetime | None = None,
) -> dict[str, Any]:
    """Say that a user did something.

    Args:
        user_id: who.
        action: what, in the words of your behaviour rules, such as `purchase`.
        item_id: with which item.
        quantity: how many of it; 1 when left out.
        amount_minor: for how much, in minor units: 450 is 4.50.
        attributes: what else rules may look at.
        id: the same for the same fact each time, such as `order-17:line-2`; made here when left out.
        source: whose id it is; the producer's when left out.
        at: when it happened, with its offset from UTC; when Tactics accepts it, if left out.

    Returns:
        The event. Sent again, it is the same event.
    """
    data = {
        "user_id": user_id,
        "action": action,
        "item_id": item_id,
        "quantity": quantity,
        "amount_minor": amount_minor,
        "attributes": attributes,
    }
    return _event("tactics.action", data, id, source, at)


def behaviour(
    user_id: str,
    rule_key: str,
    *,
    attributes: Mapping[str, Any] | None = None,
    id: str | None = None,  # noqa: A002  # as CloudEvents calls it
    source: str | None = None,
    at: datetime | None = None,
) -> dict[str, Any]:
    """Say that a behaviour rule was satisfied elsewhere.

    Args:
        user_id: by whom.
        rule_key: which; activities prepare on it.
        attributes: what else rules may look at.
        id: as for `action`.
        source: as for `action`.
        at: as for `action`.
    """
    data = {"user_id": user_id, "rule_key": rule_key, "attributes": attributes}
    return _event("tactics.behaviour", data, id, source, at)


def asset(
    asset_id: str,
    status: AssetStatus,
    *,
    id: str | None = None,  # noqa: A002  # as CloudEvents calls it
    source: str | None = None,
    at: datetime | None = None,
) -> dict[str, Any]:
    """Say what became of a benefit in a user's hands.

    Args:
        asset_id: as the placement's answer had it.
        status: what it became.
        id: as for `action`.
        source: as for `action`.
        at: as for `action`; it decides which change is the last.
    """
    return _event("tactics.asset", {"asset_id": asset_id, "status": status}, id, source, at)


def _event(
    kind: str, data: Mapping[str, Any], id_: str | None, source: str | None, at: datetime | None
) -> dict[str, Any]:
    if at is not None and at.utcoffset() is None:
        raise ValueError(f"`at` has to say its offset from UTC: {at!r} could be any of 24 hours")
    members = {"source": source, "time": at.isoformat() if at is not None else None}
    return {
        "specversion": "1.0",
        "id": str(uuid4()) if id_ is None else id_,
        "type": kind,
        **{name: value for name, value in members.items() if value is not None},
        "data": {name: value for name, value in data.items() if value is not None},
    }


class Unwritable(ValueError):
    """What was given cannot be written as an event."""


@dataclass(frozen=True, slots=True)
class Written:
    """An event as it is sent, each time it is tried."""

    source: str
    id: str
    body: bytes


def write(event: Mapping[str, Any], source: str) -> Written:
    """Write an event down, once: every try sends these bytes, under this id.

    Args:
        event: a CloudEvent in the JSON format; a missing `specversion`, `id` or `source` is filled in.
        source: what to fill in.

    Raises:
        Unwritable: it cannot be JSON.
    """
    if not isinstance(event, Mapping):
        raise Unwritable(f"an event is a mapping, not {type(event).__name__}")
    whole = {**event}
    for name, value in (("specversion", "1.0"), ("source", source), ("id", None)):
        if whole.get(name) is None:
            whole[name] = value if value is not None else str(uuid4())
    try:
        body = json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unwritable(f"the event cannot be written as JSON: {error}") from None
    return Written(str(whole["source"]), str(whole["id"]), body)
