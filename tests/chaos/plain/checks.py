"""What became of a run of the plain chain, counted as that of Tactics is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from tests.chaos.plain.app import OUTSIDE, events, grants, stock, visits

_ACCEPTED = 202


@dataclass(frozen=True)
class Counted:
    """`events`: accepted, visits among them. `lost`: of these, those that never ended.

    `over_issued`: grants beyond one for each activity and user, grants beyond the stock, and what the benefit system
    gave beyond what is granted. `stuck`: grants that are neither given nor refused, and hold stock.
    """

    events: int
    lost: int
    over_issued: int
    stuck: int
    parts: dict[str, int]


def count(clients: Iterable[Mapping[str, Any]], conn: Connection, provider: Iterable[Mapping[str, Any]]) -> Counted:
    """Count.

    Args:
        clients: what clients noted.
        conn: the database, when all is over.
        provider: the benefit system's own log.
    """
    sent, asked = _accepted(clients)
    kept = {(row.source, row.id) for row in conn.execute(select(events.c.source, events.c.id))}
    ended = set(conn.execute(select(visits.c.key)).scalars())
    given = conn.execute(select(grants.c.activity, grants.c.user_id, grants.c.task_id, grants.c.state)).all()
    held = Counter((one.activity, one.user_id) for one in given if one.state != "refused")
    effects = Counter(line["idempotency_id"] for line in provider if line["what"] == "effect")
    granted = {one.task_id for one in given if one.activity == OUTSIDE and one.state == "granted"}
    parts = {
        "events_lost": len(sent - kept),
        "visits_lost": len(asked - ended),
        "second_grants": sum(times - 1 for times in held.values()),
        "beyond_stock": _beyond_stock(conn, Counter(one.activity for one in given if one.state != "refused")),
        "effects_beyond_grants": sum(times - (name in granted) for name, times in effects.items()),
    }
    return Counted(
        events=len(sent) + len(asked),
        lost=parts["events_lost"] + parts["visits_lost"],
        over_issued=parts["second_grants"] + parts["beyond_stock"] + parts["effects_beyond_grants"],
        stuck=sum(one.state == "pending" for one in given),
        parts=parts,
    )


def _accepted(clients: Iterable[Mapping[str, Any]]) -> tuple[set[tuple[str, str]], set[str]]:
    """Give the events and the visits that were answered 202."""
    sent, asked = set(), set()
    for line in clients:
        if line["kind"] == "event" and line["said"] in {"accepted", "duplicate"}:
            sent.add((line["source"], line["id"]))
        elif line["kind"] == "placement" and line["status"] == _ACCEPTED:
            asked.add(line["key"])
    return sent, asked


def _beyond_stock(conn: Connection, taken: Counter[str]) -> int:
    rows = conn.execute(select(stock.c.activity, stock.c.initial)).all()
    return sum(max(0, taken[row.activity] - row.initial) for row in rows)
