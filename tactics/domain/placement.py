"""Placements: a user visits a resource slot. What the caller says, and what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SOURCE = "tactics.placement"

Part = dict[str, Any]
"""What an answer says of one activity: a result, or why there is none."""

# With these, a best-only placement goes on to the next activity; an error or a busy instance may still come to a grant.
_MOVES_ON = frozenset({"not_prepared", "not_matched", "unknown", "sold_out", "limit", "holdout"})


def moves_on(part: Part) -> bool:
    """Tell whether a best-only placement goes on to the next activity after this answer."""
    return part.get("reason") in _MOVES_ON


def outranked(activity_code: str) -> Part:
    """Give the part of an activity that a best-only placement did not come to."""
    return {"activity": activity_code, "reason": "outranked", "text": "another activity came first"}


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """Who visits what.

    Args:
        user_id: the user.
        channel_code: picks the activities.
        placement: the slot's identity, for rules and result.
        scene: where a price is shown: cart, detail page, order.
        attributes: what rules see as `event`.
        order: what rules see as `order`.
        lock: whether instances are locked; None leaves it to activity and template.
        best_only: run only the best activity that grants.
        language: of the words in the answer.
        key: the caller's Idempotency-Key: the same key and body again is the same placement.
        source: the caller, the scope of its keys.
        at: when it happened, in replay; otherwise the database's clock tells.
        deadline_ms: how long the caller waits; None is what the settings say.
    """

    user_id: str
    channel_code: str
    placement: str | None = None
    scene: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    order: dict[str, Any] | None = None
    lock: bool | None = None
    best_only: bool = False
    language: str = "en"
    key: str | None = None
    source: str = SOURCE
    at: datetime | None = None
    deadline_ms: int | None = None

    def body(self) -> dict[str, Any]:
        """Give what makes it the same request under the same key."""
        named = ("placement", "scene", "attributes", "order", "lock", "best_only", "language")
        return {name: value for name in named if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class PlacementAnswer:
    """What the caller shows. `complete` is False when the deadline passed: ask for the executions later."""

    execution_ids: Sequence[str]
    results: Sequence[Part] = ()
    not_shown: Sequence[Part] = ()
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """Give the answer as in the HTTP contract."""
        if not self.complete:
            return {"execution_ids": list(self.execution_ids)}
        return {
            "execution_ids": list(self.execution_ids),
            "results": list(self.results),
            "not_shown": list(self.not_shown),
        }
