"""Who still reads what users did in the past, and how far back: that much of it is kept, whatever the settings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from tactics import rules
from tactics.errors import UnreadableActivity
from tactics.runtime import Runtime
from tactics.store import activities, behaviour_rules


@dataclass(frozen=True, slots=True)
class LookBack:
    """Who reads user actions of the past, and how far, in seconds; None is without end."""

    name: str
    window_s: int | None


def look_backs(runtime: Runtime, conn: Connection, now: datetime) -> list[LookBack]:
    """Give the enabled behaviour rules and the activities that are not over which read user actions of the past.

    What cannot be read here may look back without end.
    """
    found = [LookBack(f"behaviour rule {one.rule_key!r}", _of_rule(one.rule)) for one in behaviour_rules.enabled(conn)]
    found += [
        LookBack(f"activity {row.code!r}", _of_activity(runtime, row.code, row.version))
        for row in activities.listing(conn)
        if row.ends_at > now
    ]
    return [one for one in found if one.window_s != 0]


def _of_rule(rule: object) -> int | None:
    try:
        return _furthest(rules.needs(rules.parse(rule)).behaviours)
    except rules.RuleError:
        return None


def _of_activity(runtime: Runtime, code: str, version: int) -> int | None:
    try:
        return _furthest(runtime.activity(code, version).rule_needs.behaviours)
    except (rules.RuleError, UnreadableActivity):
        return None


def _furthest(needs: Sequence[rules.BehaviourNeed]) -> int | None:
    windows = [need.window_s for need in needs]
    return None if None in windows else max((window or 0 for window in windows), default=0)
