"""Behaviour rules: versioned by their key; activities that share a key must agree on the rule."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, func, not_, select, update
from sqlalchemy.dialects.postgresql import array, insert

from tactics.domain.activity import BehaviourRule
from tactics.store.activities import bump
from tactics.store.tables import activity, activity_channel, activity_version, behaviour_rule

_ENABLED = (
    select(behaviour_rule.c.rule_key, behaviour_rule.c.version, behaviour_rule.c.rule, behaviour_rule.c.cooldown_s)
    .where(behaviour_rule.c.enabled)
    .order_by(behaviour_rule.c.rule_key)
)


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A behaviour rule as evaluated; its events carry `rule_key` as channel code."""

    rule_key: str
    version: int
    rule: dict[str, Any]
    cooldown_s: int


def enabled(conn: Connection) -> list[StoredRule]:
    """Give the rules that user actions are checked against, by key."""
    return [StoredRule(row.rule_key, row.version, row.rule, row.cooldown_s) for row in conn.execute(_ENABLED)]


def listing(conn: Connection, *, after: str = "", limit: int | None = None) -> Sequence[Row[Any]]:
    """Give rules, enabled or not, by key: only those after a key, at most so many."""
    query = select(behaviour_rule).where(behaviour_rule.c.rule_key > after)
    return conn.execute(query.order_by(behaviour_rule.c.rule_key).limit(limit)).all()


def find(conn: Connection, rule_key: str) -> Row[Any] | None:
    """Give a rule, enabled or not; None when there is none."""
    return conn.execute(select(behaviour_rule).where(behaviour_rule.c.rule_key == rule_key)).one_or_none()


def set_enabled(conn: Connection, rule_key: str, *, enabled: bool) -> bool:
    """Let user actions be checked against a rule, or not; tells whether that changed anything."""
    mine = (behaviour_rule.c.rule_key == rule_key, behaviour_rule.c.enabled != enabled)
    changed = conn.execute(update(behaviour_rule).where(*mine).values(enabled=enabled, updated_at=func.now()))
    if changed.rowcount:
        bump(conn, "behaviour_rules")
    return bool(changed.rowcount)


def save(conn: Connection, rule_key: str, rule: BehaviourRule) -> tuple[int, Literal["new", "updated", "unchanged"]]:
    """Save a behaviour rule; the same rule again changes nothing.

    Args:
        conn: an open transaction, after `activities.serialize`.
        rule_key: the rule's name and the channel code of its events.
        rule: what user actions must add up to.

    Returns:
        The version now, and whether that is new.
    """
    known = find(conn, rule_key)
    if known and says_same(BehaviourRule(rule=known.rule, cooldown_s=known.cooldown_s), rule):
        return known.version, "unchanged"
    version = known.version + 1 if known else 1
    row = {"version": version, "rule": rule.rule, "cooldown_s": rule.cooldown_s}
    conn.execute(
        insert(behaviour_rule)
        .values(rule_key=rule_key, **row)
        .on_conflict_do_update(index_elements=[behaviour_rule.c.rule_key], set_={**row, "updated_at": func.now()})
    )
    bump(conn, "behaviour_rules")
    return version, "updated" if known else "new"


def defined_by(
    conn: Connection, rule_keys: Collection[str], but_not: Collection[str]
) -> list[tuple[str, str, BehaviourRule]]:
    """Give (rule key, activity, rule) for the activities whose current version defines one of these keys.

    Args:
        conn: an open connection.
        rule_keys: the keys asked for.
        but_not: codes of activities to leave out.
    """
    if not rule_keys:
        return []
    defined = activity_version.c.definition["behaviour_rules"]
    query = (
        select(activity.c.code, defined.label("defined"))
        .join(
            activity_version,
            and_(activity_version.c.activity_code == activity.c.code, activity_version.c.version == activity.c.version),
        )
        .where(defined.has_any(array(sorted(rule_keys))), not_(activity.c.code.in_(sorted(but_not))))
        .order_by(activity.c.code)
    )
    return [
        (key, row.code, BehaviourRule.model_validate(rule))
        for row in conn.execute(query)
        for key, rule in row.defined.items()
        if key in rule_keys
    ]


def states(conn: Connection) -> dict[str, tuple[int, bool]]:
    """Give each rule's version, and whether it is enabled: a change of a rule is a change of one of these."""
    query = select(behaviour_rule.c.rule_key, behaviour_rule.c.version, behaviour_rule.c.enabled)
    return {row.rule_key: (row.version, row.enabled) for row in conn.execute(query)}


def live_users(conn: Connection, rule_keys: Collection[str]) -> list[tuple[str, str]]:
    """Give (rule key, activity) for the live activities that define one of these keys or prepare on its events."""
    if not rule_keys:
        return []
    defining = {(key, code) for key, code, _ in defined_by(conn, rule_keys, ())}
    query = select(activity_channel.c.channel_code, activity_channel.c.activity_code).where(
        activity_channel.c.link == "prepare", activity_channel.c.channel_code.in_(sorted(rule_keys))
    )
    bound = defining | {(row.channel_code, row.activity_code) for row in conn.execute(query)}
    living = select(activity.c.code).where(
        activity.c.status == "live", activity.c.code.in_(sorted({code for _, code in bound}))
    )
    live = set(conn.execute(living).scalars())
    return sorted((key, code) for key, code in bound if code in live)


def says_same(one: BehaviourRule, other: BehaviourRule) -> bool:
    """Tell whether two rules are the same document; as text, for to Python 1 and true are equal."""
    texts = {json.dumps([rule.rule, rule.cooldown_s], sort_keys=True) for rule in (one, other)}
    return len(texts) == 1
