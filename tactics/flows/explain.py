"""Why did this user get what they got, or nothing: everything that bears on it, from an execution or a user and activity.

Read top-down: the activity → the instance → the executions and visits → the grants → what behaviour rules miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from tactics import rules
from tactics.behaviour import behaviour_facts
from tactics.celery_app import TacticsApp
from tactics.choosing import chain_of
from tactics.domain.activity import TacticsActivity
from tactics.errors import NotFound, TacticsError
from tactics.flows.verdict import in_words, summary, visit_in_words
from tactics.runtime import Runtime
from tactics.store import activities, chains, history, stock, users
from tactics.store.executions import ExecutionRow
from tactics.store.history import Entry

MOST = 10
"""So many executions, visits and events are shown, the newest."""


def explain_execution(runtime: Runtime, execution_id: UUID, *, app: TacticsApp | None = None) -> dict[str, Any]:
    """Explain an execution, as of the business time at which it ran.

    Args:
        runtime: database and gateways.
        execution_id: which.
        app: knows the steps' queues; None says no more of where an execution waits than the step that was written down.

    Returns:
        Plain data as JSON has it; `summary` answers in sentences, the rest is what they rest on.

    Raises:
        NotFound: there is no such execution; a placement that found its instance busy leaves none.
    """
    with runtime.engine.connect() as conn:
        _begin_snapshot(conn)
        asked = history.execution_of(conn, execution_id)
        if asked is None:
            raise NotFound(
                f"there is no execution {execution_id}; by user it is `tactics explain --user U --activity A`",
                execution=str(execution_id),
            )
        activity = runtime.activity(asked["activity_code"], asked["activity_version"])
        return _explain(runtime, conn, asked["user_id"], activity, asked["business_at"], asked, app)


def explain_user(
    runtime: Runtime,
    user_id: str,
    activity_code: str,
    at: datetime | None = None,
    *,
    app: TacticsApp | None = None,
) -> dict[str, Any]:
    """Explain what a user got from an activity, by its current version.

    Args:
        runtime: database and gateways.
        user_id: who.
        activity_code: of which activity.
        at: business time: nothing later is looked at, and behaviour rules are evaluated then; None is now.
        app: knows the steps' queues; None says no more of where an execution waits than the step that was written down.

    Returns:
        As `explain_execution`; `execution` is the newest placement's, null where there was none.

    Raises:
        NotFound: there is no such activity, or nothing at all is known of the user.
    """
    with runtime.engine.connect() as conn:
        _begin_snapshot(conn)
        activity = runtime.activity(activity_code, activities.current(conn, activity_code).version)
        if not history.user_known(conn, user_id):
            raise NotFound(f"nothing is known of user {user_id!r}: no attributes, no events, no grants", user=user_id)
        moment = at or runtime.now(conn)
        found = history.executions_of(conn, user_id, activity_code, until=moment, limit=MOST)
        newest = next((one for one in found if one["link"] == "grant"), None)
        return _explain(runtime, conn, user_id, activity, moment, newest, app)


def _begin_snapshot(conn: Connection) -> None:
    conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _explain(
    runtime: Runtime,
    conn: Connection,
    user_id: str,
    activity: TacticsActivity,
    at: datetime,
    asked: Entry | None,
    app: TacticsApp | None,
) -> dict[str, Any]:
    code, channels = activity.code, activity.channels
    executions = history.executions_of(conn, user_id, code, until=at, limit=MOST)
    visits = history.events_on(conn, user_id, "placement", channels.grant, until=at, limit=MOST)
    instance = _instance(conn, history.instance_of(conn, user_id, code))
    # The instance remembers its last preparation only; there may have been one before it.
    prepared = history.preparation_of(conn, user_id, code, until=at) is not None
    prepared_then = prepared and (asked is None or asked["outcome"] != "not_prepared")
    data = {
        "user_id": user_id,
        "user_attributes_known": users.attributes(conn, user_id) is not None,
        "at": at,
        "activity": _activity(conn, activity, activities.current(conn, code), user_id, at),
        "instance": instance,
        "prepared_then": prepared_then,
        "execution": _execution(runtime, conn, asked, app),
        "executions": [_short(runtime, one, app) for one in executions],
        "visits": [_visit(conn, activity, one) for one in visits],
        "grants": history.grants_of(conn, user_id, code),
        "behaviour_rules": [
            _behaviour_rule(runtime, conn, user_id, code, key, at, app)
            for key in (() if prepared_then else channels.prepare)
        ],
        "events_not_done": history.events_not_done(conn, user_id, limit=MOST),
    }
    found = _plain(data)
    return {"summary": summary(found), **found}


def _activity(
    conn: Connection, activity: TacticsActivity, current: Row[Any], user_id: str, at: datetime
) -> dict[str, Any]:
    schedule = activity.schedule
    timing = "running" if activity.live_at(at) else "not_begun" if at < schedule.starts_at else "over"
    return {
        "code": activity.code,
        "version": activity.version,
        "current_version": current.version,
        "status": current.status,
        "tripped_at": current.tripped_at,
        "tripped_reason": current.tripped_reason,
        "template_type": activity.template_type,
        "schedule": {"from": schedule.starts_at, "to": schedule.ends_at},
        "timing": timing,
        "channels": activity.channels.model_dump(),
        "limits": activity.limits.model_dump(exclude_none=True),
        "stock": [dict(row._mapping) for row in stock.of_activity(conn, activity.code)],  # noqa: SLF001  # documented
        "holdout_percent": activity.holdout_percent,
        "held_out": activity.held_out(user_id),
    }


def _instance(conn: Connection, row: Entry | None) -> dict[str, Any]:
    if row is None:
        return {"exists": False, "prepared": False, "prepared_by": None}
    prepared = row["prepared_event_id"] is not None
    by = history.event_of(conn, row["prepared_source"], row["prepared_event_id"]) if prepared else None
    named = {name: row[name] for name in ("epoch", "prepared_epoch", "prepared_at")}
    key = {"source": row["prepared_source"], "id": row["prepared_event_id"]}
    return {"exists": True, "prepared": prepared, **named, "prepared_by": (by or key) if prepared else None}


def _execution(runtime: Runtime, conn: Connection, row: Entry | None, app: TacticsApp | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        **row,
        "text": in_words(row["outcome"], row["reason"]),
        "max_attempts": runtime.settings.max_attempts,
        **_waiting(runtime, row, app),
        "chain": _chain(conn, row),
        "event": history.event_of(conn, row["event_source"], row["event_id"]),
    }


def _chain(conn: Connection, row: Entry) -> dict[str, Any]:
    """Name the chain that an execution runs: `in` code, stored, or not chosen yet."""
    if row["chain_id"] is None:
        return {"in": "code"}
    found = chains.by_id(conn, row["chain_id"])
    if found is None:
        return {"in": "not chosen"}
    named = {name: getattr(found, name) for name in ("name", "version", "current_version", "enabled")}
    return {"in": "stored", **named, "template_type": found.document.template_type, "steps": found.document.steps}


def _waiting(runtime: Runtime, row: Entry, app: TacticsApp | None) -> dict[str, Any]:
    """Name the step that an unfinished execution waits at, and the queue whose workers run it."""
    step = row["step"]
    if row["finished_at"] is not None:
        return {"step": step, "queue": None}
    if step is None and app is not None:
        known = ExecutionRow(**{name: row.get(name) for name in ExecutionRow.__slots__})  # type: ignore[arg-type]  # as stored
        with suppress(TacticsError):  # what cannot be read here, or has no chain yet, has its reason elsewhere
            step = chain_of(runtime, app, known)[0].name
    own = app.processors.get(step) if app is not None else None
    queue = own.options.get("queue", row["link"]) if own is not None else row["link"]
    return {"step": step, "queue": queue if step is not None else None}


def _short(runtime: Runtime, row: Entry, app: TacticsApp | None) -> dict[str, Any]:
    names = ("id", "link", "channel_code", "outcome", "reason", "attempts", "business_at", "finished_at")
    return {**{name: row[name] for name in names}, **_waiting(runtime, row, app)}


def _visit(conn: Connection, activity: TacticsActivity, row: Entry) -> dict[str, Any]:
    started = history.execution_for(conn, row["user_id"], activity.code, row["source"], row["id"])
    answer = row["answer"] or {}
    return {
        **{name: row[name] for name in ("source", "id", "channel", "at", "abandoned_at", "candidates")},
        "part": answer.get(activity.code),
        "execution_id": started and started["id"],
        "text": visit_in_words(activity.code, row, answer, started),
    }


def _behaviour_rule(
    runtime: Runtime,
    conn: Connection,
    user_id: str,
    activity_code: str,
    rule_key: str,
    at: datetime,
    app: TacticsApp | None,
) -> dict[str, Any]:
    """Evaluate a behaviour rule for the user as of `at`, with the events that it has emitted."""
    emitted = history.events_on(conn, user_id, "behaviour", [rule_key], until=at, limit=MOST)
    found: dict[str, Any] = {"rule_key": rule_key, "stored": False, "events": []}
    for one in emitted:
        started = history.execution_for(conn, user_id, activity_code, one["source"], one["id"])
        event = {name: one[name] for name in ("source", "id", "at", "routed_at", "parked_reason")}
        found["events"].append({**event, "execution": started and _short(runtime, started, app)})
    stored = history.rule_of(conn, rule_key)
    if stored is None:
        return found
    rule = rules.parse(stored["rule"])
    needs = rules.needs(rule)
    actions = behaviour_facts(conn, runtime.gateways.items, user_id, needs.behaviours, at)
    explained = rules.explain(rule, {"now": at, "behaviours": actions, "user": users.attributes(conn, user_id)})
    kept = {name: stored[name] for name in ("version", "enabled", "cooldown_s")}
    # Which action's attributes `event` would be is not known before the action: such conditions are unknown here.
    judged = {"status": explained.evaluation.status, "reads_event": needs.event, "actions": len(actions)}
    reasons = [one.to_json() for one in explained.evaluation.reasons]
    return {**found, "stored": True, **kept, **judged, "reasons": reasons, "lines": list(explained.lines())}


def _plain(value: Any) -> Any:
    """Give data as JSON has it; times in UTC."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):  # a sum of whole numbers, as Postgres gives it
        return int(value)
    return str(value) if isinstance(value, UUID) else value
