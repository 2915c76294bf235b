"""Accepting events: read without asking anybody, then stored with one statement; accepted is what is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from tactics import metrics
from tactics.celery_app import TacticsApp
from tactics.config import Settings
from tactics.domain.event import DATA_TYPES, Event, parse_event
from tactics.errors import BadInput, EventTooOld, IdempotencyConflict, TacticsError, UnknownChannel
from tactics.flows.behaviour import FIRST_ATTEMPT
from tactics.store import activities, events
from tactics.store.events import Ref

Status = Literal["accepted", "duplicate", "rejected"]

_MOST_SHOWN = 256


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one event that was handed in. `reason`, `code` and `problems` say why it was rejected."""

    source: str
    id: str
    status: Status
    reason: str | None = None
    code: str | None = None
    problems: Sequence[Mapping[str, str]] = ()

    def to_json(self) -> dict[str, str]:
        """Give the receipt as callers see it, in a batch."""
        return {
            "source": self.source,
            "id": self.id,
            "status": self.status,
            **({"reason": self.reason} if self.reason else {}),
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """Messages as read: the events among them by position, and receipts for what is none."""

    count: int
    events: Mapping[int, Event]
    receipts: Mapping[int, Receipt]


def accept_events(app: TacticsApp, messages: Sequence[Mapping[str, Any]]) -> tuple[list[Receipt], list[Ref]]:
    """Store events with one statement. Nothing is published.

    Returns:
        A receipt for each message, and the references of the new events.
    """
    with app.runtime.reading() as conn:
        read = read_events(app.settings, messages, app.runtime.now(conn))
        (receipts,), refs = store_events(app, conn, [read])
    return receipts, refs


def read_events(settings: Settings, messages: Sequence[Mapping[str, Any]], now: datetime) -> Reading:
    """Read events, without asking the database.

    Args:
        settings: how old they may be.
        messages: CloudEvents in the JSON format.
        now: the time to give those that have none.
    """
    found: dict[int, Event] = {}
    refused: dict[int, Receipt] = {}
    for position, message in enumerate(messages):
        try:
            event = parse_event(message, now=now)
            if not settings.replay:
                _check_age(settings, event.at, now)
        except BadInput as error:
            refused[position] = _rejected(message, error)
            metrics.EVENTS.count(_type_of(message), "rejected")
        else:
            found[position] = event
    return Reading(len(messages), found, refused)


def store_events(
    app: TacticsApp, conn: Connection, readings: Sequence[Reading]
) -> tuple[list[list[Receipt]], list[Ref]]:
    """Store what was read, all of it with one statement.

    Args:
        app: its settings.
        conn: where each statement is a transaction of its own, or the caller's transaction.
        readings: what was read; those who sent it need not know of each other.

    Returns:
        For each reading the receipts of its messages, in order; and the references of the new events.
    """
    receipts = [dict(one.receipts) for one in readings]
    known: dict[str, bool] = {}
    places, good = [], []
    for number, one in enumerate(readings):
        for position, event in one.events.items():
            if event.type == "behaviour" and not _channel_known(conn, event.channel or "", known):
                error = UnknownChannel(f"no activity prepares on rule key {event.channel!r}")
                receipts[number][position] = _refusal(event.source, event.id, error)
                metrics.EVENTS.count(event.type, "rejected")
            else:
                places.append((number, position))
                good.append(event)
    refs: list[Ref] = []
    statuses = events.accept(conn, good, app.settings.claim_s)
    kinds = [event.type for event in good]
    for (kind, status), many in Counter(zip(kinds, statuses, strict=True)).items():
        metrics.EVENTS.count(kind, "rejected" if status == "conflict" else status, by=many)
    for (number, position), event, status in zip(places, good, statuses, strict=True):
        receipts[number][position] = _receipt(event, status)
        if status == "accepted":
            refs.append((event.source, event.id, FIRST_ATTEMPT))
    return [
        [found[position] for position in range(one.count)] for one, found in zip(readings, receipts, strict=True)
    ], refs


def _type_of(message: object) -> str:
    said = str(message.get("type", "")) if isinstance(message, Mapping) else ""
    found = said.removeprefix("tactics.")
    return found if found in DATA_TYPES and found != said else "unknown"


def _channel_known(conn: Connection, channel: str, known: dict[str, bool]) -> bool:
    if channel not in known:
        known[channel] = activities.channel_known(conn, "prepare", channel)
    return known[channel]


def _receipt(event: Event, status: str) -> Receipt:
    if status == "conflict":
        error = IdempotencyConflict("another event with this source and id was accepted before")
        return _refusal(event.source, event.id, error)
    return Receipt(event.source, event.id, "accepted" if status == "accepted" else "duplicate")


def _check_age(settings: Settings, at: datetime, now: datetime) -> None:
    age_s = (now - at).total_seconds()
    if age_s > settings.max_event_age_s:
        raise EventTooOld(f"it happened at {at.isoformat()}, more than {settings.max_event_age_s} seconds ago")
    if -age_s > settings.max_event_ahead_s:
        raise BadInput(f"it says it happened at {at.isoformat()}, in the future: is the sender's clock right?")


def _rejected(message: object, error: TacticsError) -> Receipt:
    known = message if isinstance(message, Mapping) else {}
    source, name = (str(known.get(part, ""))[:_MOST_SHOWN] for part in ("source", "id"))
    return _refusal(source, name, error)


def _refusal(source: str, name: str, error: TacticsError) -> Receipt:
    return Receipt(source, name, "rejected", error.message, error.code, error.fields.get("problems", ()))
