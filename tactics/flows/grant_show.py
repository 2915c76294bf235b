"""Everything about one grant, for who has to decide about it: how it came about, how it is being settled, and what a
retry would do.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from tactics import rules
from tactics.behaviour import behaviour_facts
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.event import RETRY_SOURCE
from tactics.errors import NotFound, TacticsError
from tactics.flows import provider
from tactics.flows.grant_outlook import outlook
from tactics.opening import placement_context
from tactics.runtime import Runtime
from tactics.store import events, grant_retries, grants, history, outside_grants
from tactics.store.grants import GrantRow
from tactics.store.history import Entry
from tactics.store.tables import OPEN_STATES


def show_grant(runtime: Runtime, grant_id: UUID) -> Entry:
    """Explain a grant.

    Args:
        runtime: database and clock.
        grant_id: which.

    Returns:
        The grant with `assets`; `since`, when its state began; `outside`, how far settling it is (None of a benefit of
        ours); `attempts`, what the provider was asked and answered; `retry`, what that would do; `execution` with the
        steps that led to it; `rule`, its path, worked out once more from what is known now; `others`, what became of the other activities of the same placement;
        `retried_as`, the execution of a retry.

    Raises:
        NotFound: there is no such grant.
    """
    with runtime.engine.connect() as conn:
        conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        found, row = history.grant_of(conn, grant_id), grants.find(conn, grant_id)
        if found is None or row is None:
            raise NotFound(
                f"there is no grant {grant_id}; `tactics grants list` shows those there are", grant_id=str(grant_id)
            )
        attempts = [_timed(one) for one in outside_grants.attempts_of(conn, row.user_id, grant_id)]
        again = history.execution_for(conn, row.user_id, row.activity_code, RETRY_SOURCE, str(grant_id))
        return {
            **found,
            "since": _since(found, attempts),
            "outside": _outside(runtime, grant_retries.outside_of(conn, row.user_id, grant_id)),
            "attempts": attempts,
            "retry": outlook(runtime, conn, row, outside_grants.find(conn, grant_id)).to_json(),
            "execution": _execution(history.execution_of(conn, row.execution_id)),
            "rule": _rule(runtime, conn, row),
            "others": _others(conn, found),
            "retried_as": None if again is None else str(again["id"]),
        }


def _outside(runtime: Runtime, found: Entry | None) -> Entry | None:
    if found is None:
        return None
    return {**found, "held_back": provider.held_back_said(provider.held_back(runtime, found["provider"]))}


def _timed(one: Entry) -> Entry:
    begun, ended = one["started_at"], one["finished_at"]
    return {**one, "ms": None if ended is None else round((ended - begun).total_seconds() * 1000, 1)}


def _since(found: Entry, attempts: list[Entry]) -> Any:
    """Give when the state began: an open one's, with the last answer that came."""
    if found["state"] not in OPEN_STATES:
        return found["settled_at"]
    return max([one["finished_at"] for one in attempts if one["finished_at"]], default=found["created_at"])


def _execution(row: Entry | None) -> Entry | None:
    if row is None:
        return None
    names = ("id", "link", "channel_code", "activity_version", "outcome", "reason", "attempts", "trace", "business_at")
    return {name: row[name] for name in names}


def _rule(runtime: Runtime, conn: Connection, row: GrantRow) -> Entry | None:
    """Explain the rule of then, with what the placement said, the user as known now, and their actions up to then.

    What preparation had left for it is not kept: such facts read as unknown.
    """
    event = events.find(conn, row.event_source, row.event_id)
    if event is None:
        return None
    try:
        activity = runtime.activity(row.activity_code, row.activity_version)
    except TacticsError as error:  # saved by a newer version, or with a plugin that is not loaded here
        return {"version": row.activity_version, "status": "unknown", "lines": [error.message]}
    ctx = placement_context(TacticsInstanceContext, activity, event, row.business_at, best_only=row.best_only)
    ctx.user = runtime.gateways.users.attributes(conn, row.user_id)
    facts, needs = ctx.facts(), activity.rule_needs
    if needs.behaviours:
        facts["behaviours"] = behaviour_facts(
            conn, runtime.gateways.items, row.user_id, needs.behaviours, row.business_at
        )
    seen = rules.explain(activity.parsed_rule, facts)
    return {"version": activity.version, "status": seen.evaluation.status, "lines": list(seen.lines())}


def _others(conn: Connection, found: Entry) -> list[Entry]:
    """Give the other activities that the same placement asked, best first where it asked for the best only."""
    event = history.event_of(conn, found["event_source"], found["event_id"])
    if event is None:
        return []
    answer = event["answer"] or {}
    return [
        {
            "activity": code,
            "outcome": answer.get(code, {}).get("outcome") or answer.get(code, {}).get("reason"),
            "why": answer.get(code, {}).get("text"),
        }
        for code in event["candidates"] or ()
        if code != found["activity_code"]
    ]
