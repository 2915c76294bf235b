"""User actions → behaviour rules → behaviour events: one place where actions are checked (C-05).

A rule is satisfied by an action when it holds with the action and did not without it. What it reads comes from the
stored actions by SQL, so an answer is exact and can be worked out again. Actions count by their own time: one that
comes late is judged among those before it, and those after it are judged again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tactics import rules
from tactics.domain.behaviour_index import ActiveRule, RuleIndex
from tactics.domain.event import Event
from tactics.gateways.ports import ItemGateway
from tactics.runtime import Runtime
from tactics.store import actions, activities, behaviour_rules, events, items, users
from tactics.store.behaviour_rules import StoredRule

SOURCE = "tactics.behaviour"
LIKES = frozenset({"favourite", "like"})

Key = tuple[datetime, str, str]
"""What orders a user's actions: time, then source and id of the event."""


@dataclass
class _History:
    """One user's actions in order, as facts."""

    keys: list[Key] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    attributes: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Action:
    """One action to be judged: when and which, as a fact, and what rules see as `event`."""

    key: Key
    fact: dict[str, Any]
    attributes: dict[str, Any]

    @classmethod
    def told(cls, one: Event) -> _Action:
        """Take it as its event tells it, without what the catalogue knows of the item."""
        data = one.data
        fact: dict[str, Any] = {"action": data["action"], "at": one.at, "quantity": data.get("quantity", 1)}
        fact.update({name: data[name] for name in ("item_id", "amount_minor") if data.get(name) is not None})
        return cls((one.at, one.source, one.id), fact, one.attributes)


def rule_index(runtime: Runtime, conn: Connection) -> RuleIndex:
    """Give the enabled rules; read again only when their revision has changed."""
    revision = activities.revisions(conn).get("behaviour_rules", 0)
    known = runtime.shared.get("behaviour_rules")
    if isinstance(known, RuleIndex) and known.revision == revision:
        return known
    parsed = {(one.rule_key, one.version): one for one in known.rules} if isinstance(known, RuleIndex) else {}
    found = [
        parsed.get((stored.rule_key, stored.version)) or _active(stored) for stored in behaviour_rules.enabled(conn)
    ]
    runtime.shared["behaviour_rules"] = index = RuleIndex(revision, found)
    return index


def _active(stored: StoredRule) -> ActiveRule:
    rule = rules.parse(stored.rule)
    with suppress(rules.RuleError):  # evaluating it says what is wrong
        rules.prepare(rule)
    return ActiveRule(stored.rule_key, stored.version, rule, rules.needs(rule), stored.cooldown_s)


def behaviour_facts(
    conn: Connection, gateway: ItemGateway, user_id: str, needed: Sequence[rules.BehaviourNeed], now: datetime
) -> list[dict[str, Any]]:
    """Load a user's actions that a rule needs, up to `now`, as the facts that rules read."""
    pairs = [(need.action, need.item_set) for need in needed]
    rows = actions.read(conn, [user_id], pairs, after=_earliest(needed, now), until=now)
    return _facts_of(conn, gateway, rows).get(user_id, _History()).facts


def _earliest(needed: Iterable[rules.BehaviourNeed], at: datetime) -> datetime | None:
    """Give the time after which actions matter at `at`; None where a rule looks back without end."""
    windows = [need.window_s for need in needed]
    if any(window is None for window in windows):
        return None
    return at - timedelta(seconds=max((window or 0 for window in windows), default=0))


def _facts_of(conn: Connection, gateway: ItemGateway, rows: Sequence[actions.ActionRow]) -> dict[str, _History]:
    found: dict[str, _History] = defaultdict(_History)
    for row in rows:
        fact: dict[str, Any] = {"action": row.action, "at": row.at, "quantity": row.quantity}
        if row.item_id is not None:
            fact["item_id"] = row.item_id
        if row.amount_minor is not None:
            fact["amount_minor"] = row.amount_minor
        history = found[row.user_id]
        history.keys.append((row.at, row.event_source, row.event_id))
        history.facts.append(fact)
        history.attributes.append(row.attributes or {})
    _add_catalogue(conn, gateway, [fact for history in found.values() for fact in history.facts])
    return found


def _add_catalogue(conn: Connection, gateway: ItemGateway, facts: Sequence[dict[str, Any]]) -> None:
    """Add to actions what is known of their items: the sets they belong to, and their category."""
    item_ids = sorted({fact["item_id"] for fact in facts if "item_id" in fact})
    if not item_ids:
        return
    sets, categories = gateway.sets_of(conn, item_ids), items.categories_of(conn, item_ids)
    for fact in facts:
        if "item_id" in fact:
            fact["item_sets"] = sets.get(fact["item_id"], [])
            if fact["item_id"] in categories:
                fact["category"] = categories[fact["item_id"]]


def record_actions(runtime: Runtime, conn: Connection, batch: Sequence[Event]) -> list[Event]:
    """Store a batch of actions and work out the behaviour events that they satisfy.

    Args:
        runtime: rules and gateways.
        conn: an open transaction; the users' advisory locks are held until it ends.
        batch: action events that are not stored yet.

    Returns:
        The behaviour events, in the order of the actions that triggered them; the caller inserts them.
    """
    actions.lock_users(conn, {one.user_id for one in batch})
    actions.add(conn, [_action_row(one) for one in batch])
    items.record_actions(conn, _item_rows(batch))
    index = rule_index(runtime, conn)
    if not index.rules:
        return []
    return list(_satisfied(runtime, conn, index, batch))


def _action_row(one: Event) -> dict[str, Any]:
    data = one.data
    return {
        "user_id": one.user_id,
        "at": one.at,
        "event_source": one.source,
        "event_id": one.id,
        "action": data["action"],
        "item_id": data.get("item_id"),
        "quantity": data.get("quantity", 1),
        "amount_minor": data.get("amount_minor"),
        "attributes": data.get("attributes") or None,
    }


def _item_rows(batch: Sequence[Event]) -> list[dict[str, Any]]:
    """Add up what the batch says of each user and item; an upsert may meet a row only once."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in sorted(batch, key=lambda event: event.at):
        item_id = one.data.get("item_id")
        if item_id is None:
            continue
        start = {"user_id": one.user_id, "item_id": item_id, "actions": 0, "quantity": 0, "favourite": False}
        row = rows.setdefault((one.user_id, item_id), start)
        row["actions"] += 1
        row["quantity"] += one.data.get("quantity", 1)
        row["favourite"] = row["favourite"] or one.data["action"] in LIKES
        row["last_action"], row["last_at"] = one.data["action"], one.at
    return [rows[key] for key in sorted(rows)]


def _satisfied(runtime: Runtime, conn: Connection, index: RuleIndex, batch: Sequence[Event]) -> Iterator[Event]:
    told = {one.key: _Action.told(one) for one in batch}
    _add_catalogue(conn, runtime.gateways.items, [one.fact for one in told.values()])
    # What no new action can turn stays as it is, also where a late one comes before others.
    turned = {one.rule_key: one for action in told.values() for one in index.turned_by(action.fact)}
    if not turned:
        return
    judged = RuleIndex(index.revision, list(turned.values()))
    needed = [need for one in judged.rules for need in one.needs.behaviours]
    user_ids = {one.user_id for one in batch}
    first = min(one.at for one in batch)
    pairs = [(need.action, need.item_set) for need in needed]
    rows = actions.read(conn, user_ids, pairs, after=_earliest(needed, first))
    histories = _facts_of(conn, runtime.gateways.items, rows)
    profiles = users.attributes_of(conn, sorted(user_ids)) if any(_reads_user(one) for one in judged.rules) else {}
    emitted: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for user_id in sorted(user_ids):
        history = histories.get(user_id, _History())
        for action in _to_judge(history, [told[one.key] for one in batch if one.user_id == user_id]):
            at = action.key[0]
            for one in judged.turned_by(action.fact):
                if not _turns(one, profiles.get(user_id), history, action):
                    continue
                times = emitted[user_id, one.rule_key]
                if _cools_down(conn, one, user_id, at, times):
                    continue
                times.append(at)
                yield _behaviour_event(one, user_id, action)


def _reads_user(one: ActiveRule) -> bool:
    return one.needs.user_attributes is None or bool(one.needs.user_attributes)


def _to_judge(history: _History, new: Sequence[_Action]) -> list[_Action]:
    """Give the user's new actions, and the stored ones that come after the earliest of them, in order.

    A new action that no rule reads is not in the history; it may still satisfy a rule over its attributes.
    """
    start = bisect_left(history.keys, min(one.key for one in new))
    stored = zip(history.keys[start:], history.facts[start:], history.attributes[start:], strict=True)
    found = {key: _Action(key, fact, attributes) for key, fact, attributes in stored}
    for one in new:
        found.setdefault(one.key, one)
    return [found[key] for key in sorted(found)]


def _turns(one: ActiveRule, user: dict[str, Any] | None, history: _History, action: _Action) -> bool:
    """Tell whether the rule holds with the action and did not without it."""
    earlier = history.facts[: bisect_left(history.keys, action.key)]
    facts: dict[str, Any] = {"now": action.key[0], "behaviours": [*earlier, action.fact]}
    if user is not None:
        facts["user"] = user
    return one.holds({**facts, "event": action.attributes}) and not one.holds({**facts, "behaviours": earlier})


def _cools_down(conn: Connection, one: ActiveRule, user_id: str, at: datetime, emitted: Sequence[datetime]) -> bool:
    """Tell whether the rule has spoken for this user within its cooldown, before or after."""
    if not one.cooldown_s:
        return False
    span = timedelta(seconds=one.cooldown_s)
    if any(abs(other - at) < span for other in emitted):
        return True
    return bool(events.behaviour_times(conn, user_id, one.rule_key, at - span, at + span))


def _behaviour_event(one: ActiveRule, user_id: str, action: _Action) -> Event:
    at, source, action_id = action.key
    attributes = {**action.attributes, "action": action.fact["action"]}
    if "item_id" in action.fact:
        attributes["item_id"] = action.fact["item_id"]
    return Event(
        source=f"{SOURCE}:{source}",
        id=f"{one.rule_key}:{id_part(user_id)}:{action_id}",
        type="behaviour",
        user_id=user_id,
        channel=one.rule_key,
        data={"user_id": user_id, "rule_key": one.rule_key, "attributes": attributes},
        at=at,
    )


def id_part(text: str) -> str:
    """Give a user's id as it stands in a behaviour event's: the separator covered, so that no two read the same."""
    return text.replace("%", "%25").replace(":", "%3A")
