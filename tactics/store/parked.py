"""What was given up on: events and executions past their last attempt, or that can never work."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    func,
    literal,
    literal_column,
    not_,
    null,
    select,
    true,
    tuple_,
    union_all,
    update,
)

from tactics.errors import BadInput
from tactics.store.events import Ref
from tactics.store.executions import Claim
from tactics.store.held import HELD
from tactics.store.tables import event, execution


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """One parked event or execution; `id` is what `parse_ids` reads."""

    kind: str
    id: str
    user_id: str
    about: str
    reason: str
    attempts: int
    since: datetime

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {**asdict(self), "since": self.since.isoformat()}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one stands in the list; of an execution, `source` is empty."""

    since: datetime
    kind: str
    source: str
    id: str


@dataclass(frozen=True, slots=True)
class ParkedIds:
    """Which to take: events by source and id, executions by id."""

    events: Collection[tuple[str, str]]
    executions: Collection[UUID]


_EVENT_PARKED = event.c.parked_reason.is_not(None)
# Written out: a statement planned for any value could not use the index of those that are parked.
_EXECUTION_PARKED = execution.c.outcome == literal_column("'parked'")
_EVENTS = select(
    literal("event").label("kind"),
    event.c.source.label("source"),
    event.c.id.label("id"),
    event.c.user_id.label("user_id"),
    func.coalesce(event.c.channel, event.c.type).label("about"),
    event.c.parked_reason.label("reason"),
    event.c.attempts.label("attempts"),
    event.c.received_at.label("since"),
).where(_EVENT_PARKED)
_EXECUTIONS = select(
    literal("execution"),
    literal(""),
    execution.c.id.cast(Text),
    execution.c.user_id,
    execution.c.activity_code,
    execution.c.reason,
    execution.c.attempts,
    execution.c.created_at,
).where(_EXECUTION_PARKED)


def event_id_text(source: str, event_id: str) -> str:
    """Write an event's source and id as one text, with the one space between them; those within are written %20."""
    return f"{_escaped(source)} {_escaped(event_id)}"


def parse_ids(ids: Sequence[str]) -> ParkedIds:
    """Read ids as `listing` gives them: an execution's, or an event's source and id.

    Raises:
        BadInput: a text is neither.
    """
    events, executions = [], []
    for text in ids:
        source, space, event_id = text.partition(" ")
        if not space:
            executions.append(_execution_id(text))
        elif event_id_text(unquote(source), unquote(event_id)) == text and source and event_id:
            events.append((unquote(source), unquote(event_id)))
        else:
            raise BadInput(
                f"{text!r} is no id of an event: that is its source, one space, and its id, "
                "where a space within is written %20 and a percent sign %25",
                id=text,
            )
    return ParkedIds(events, executions)


def place_of(since: datetime, kind: str, id_: str) -> Place:
    """Give the place of one in the list, from what `listing` gave of it.

    Raises:
        BadInput: it has no such id.
    """
    ids = parse_ids([id_])
    source, found = next(iter(ids.events)) if ids.events else ("", id_)
    return Place(since, kind, source, found)


def listing(conn: Connection, limit: int, *, after: Place | None = None) -> list[ParkedRow]:
    """Give what is parked, the newest first; `after` is the place of the last one that was seen."""
    newest = [
        _newest(_EVENTS, (event.c.received_at, literal("event"), event.c.source, event.c.id), after, limit),
        _newest(
            _EXECUTIONS,
            (execution.c.created_at, literal("execution"), literal(""), execution.c.id.cast(Text)),
            after,
            limit,
        ),
    ]
    both = union_all(*[one.subquery().select() for one in newest]).subquery()
    in_order = [both.c[name].desc() for name in ("since", "kind", "source", "id")]
    return [
        ParkedRow(kind, event_id_text(source, found) if source else found, *rest)
        for kind, source, found, *rest in conn.execute(select(both).order_by(*in_order).limit(limit))
    ]


def _newest(query: Select[Any], order: tuple[ColumnElement[Any], ...], after: Place | None, limit: int) -> Select[Any]:
    if after is not None:
        # The first part is what the index of parked ones is read by.
        query = query.where(order[0] <= after.since)
        query = query.where(tuple_(*order) < tuple_(after.since, after.kind, after.source, after.id))
    return query.order_by(*[one.desc() for one in order]).limit(limit)


def claim(conn: Connection, ids: ParkedIds | None, claim_s: float) -> tuple[list[Ref], list[Claim]]:
    """Take parked events and executions for one more attempt. The caller commits, then publishes.

    Args:
        conn: an open transaction.
        ids: which; None is all.
        claim_s: how long the attempt has before it counts as failed, in seconds.

    Returns:
        The events and the executions that were taken; what is not parked any more is passed over, and so is what waits
        for an activity that paused itself: it goes on when that is let run again.
    """
    these_events: ColumnElement[bool] = true()
    these_executions: ColumnElement[bool] = not_(HELD)
    if ids is not None:
        these_events = tuple_(event.c.source, event.c.id).in_(ids.events)
        these_executions = and_(these_executions, execution.c.id.in_(ids.executions))
    due = func.clock_timestamp() + timedelta(seconds=claim_s)
    events = conn.execute(
        update(event)
        .where(_EVENT_PARKED, these_events)
        .values(
            attempts=event.c.attempts + 1, parked_reason=null(), outcome=null(), routed_at=null(), next_attempt_at=due
        )
        .returning(event.c.source, event.c.id, event.c.attempts)
    ).all()
    executions = conn.execute(
        update(execution)
        .where(_EXECUTION_PARKED, these_executions)
        .values(
            attempts=execution.c.attempts + 1,
            # One more attempt than it was due, and one more if whoever claims it here cannot even start it.
            waits=execution.c.waits + 1,
            outcome=null(),
            finished_at=null(),
            next_attempt_at=due,
        )
        .returning(execution.c.id, execution.c.attempts)
    ).all()
    return [(row.source, row.id, row.attempts) for row in events], [Claim(*row) for row in executions]


def _escaped(part: str) -> str:
    return re.sub(r"[%\s]", lambda found: quote(found[0]), part)


def _execution_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadInput(
            f"{text!r} is no id of an execution, and an event's is its source, one space, and its id: "
            "`tactics parked list` shows them",
            id=text,
        ) from None
