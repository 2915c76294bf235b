"""`TacticsInstanceContext`: one activity for one user, with what came in and what the steps made of it.

A template's context type adds capabilities (`ItemContext`); a step asks for the ones it needs. A context is plain data:
it is written as JSON where its chain hops to another worker.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Self

from tactics.domain.activity import Link, TacticsActivity
from tactics.domain.event import Event

GRANTED, REUSED, REPLAYED, PENDING = "granted", "reused", "replayed", "pending"
PREPARED = "prepared"
SHOWN = frozenset({GRANTED, REUSED, REPLAYED, PENDING})
REASONS = (
    "not_prepared",
    "not_matched",
    "unknown",
    "sold_out",
    "limit",
    "holdout",
    "busy",
    "outranked",
    "superseded",
    "error",
)


@dataclass
class TacticsInstanceContext:
    """The base of every context: activity, parameters, results."""

    # Fields that preparation fills and a placement finds again.
    prepared_fields: ClassVar[tuple[str, ...]] = ()

    activity: TacticsActivity
    event: Event
    link: Link
    now: datetime
    language: str = "en"
    placement: str | None = None
    scene: str | None = None
    order: dict[str, Any] | None = None
    best_only: bool = False
    candidates: list[str] = field(default_factory=list)

    user: dict[str, Any] | None = None
    prepared: bool = False
    assets_unknown: bool = False
    status: str | None = None
    effects: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[dict[str, Any]] = field(default_factory=list)
    assets: list[dict[str, Any]] = field(default_factory=list)
    outcome: str | None = None
    text: str | None = None
    stopped: bool = False
    notes: list[str] = field(default_factory=list)
    result: dict[str, Any] | None = None

    @property
    def user_id(self) -> str:
        """The user of the instance."""
        return self.event.user_id

    @property
    def channel_code(self) -> str:
        """The trigger key: a behaviour event's rule key, or the placement's channel."""
        return self.event.channel or ""

    def stop(self, reason: str, text: str | None = None) -> None:
        """End the chain here: later steps pass through, and the last one still runs.

        Args:
            reason: a code, one of REASONS where callers see it.
            text: the same for people.
        """
        self.stopped, self.outcome, self.text = True, reason, text

    def facts(self) -> dict[str, Any]:
        """Give what rules see. What is not known here is left out, and reads as unknown."""
        found: dict[str, Any] = {
            "event": self.event.attributes,
            "now": self.now,
            "timezone": self.activity.timezone,
            "user": self.user,
            "order": self.order,
            "placement": self.placement,
            "scene": self.scene,
        }
        return {name: value for name, value in found.items() if value is not None}

    def title_of(self, item_id: str) -> str | None:  # noqa: ARG002  # contexts with items know some
        """Give an item's title, if it is known here."""
        return None

    def prepared_data(self) -> dict[str, Any]:
        """Give what preparation leaves for placements."""
        return {name: getattr(self, name) for name in self.prepared_fields}

    def refill(self, data: dict[str, Any]) -> None:
        """Take what preparation left."""
        for name in self.prepared_fields:
            if name in data:
                setattr(self, name, data[name])
        self.prepared = True

    def to_json(self) -> dict[str, Any]:
        """Give everything but activity and event, which are stored on their own."""
        kept = {
            one.name: getattr(self, one.name) for one in fields(self) if one.name not in {"activity", "event", "now"}
        }
        return {**kept, "now": self.now.isoformat()}

    @classmethod
    def from_json(cls, data: dict[str, Any], *, activity: TacticsActivity, event: Event) -> Self:
        """Take back what `to_json` gave."""
        known = {one.name for one in fields(cls)}
        kept = {name: value for name, value in data.items() if name in known}
        return cls(**{**kept, "activity": activity, "event": event, "now": datetime.fromisoformat(data["now"])})


@dataclass
class ItemContext(TacticsInstanceContext):
    """The capability of carrying the user's items, with prices where they are known."""

    prepared_fields: ClassVar[tuple[str, ...]] = ("items", "priced_version")

    items: list[dict[str, Any]] = field(default_factory=list)
    # The activity's version whose rule made the items' promotions; None: they have none.
    priced_version: int | None = None
    # Whether they were worked out in this chain, and not only found.
    priced_here: bool = False

    @property
    def prices_hold(self) -> bool:
        """Whether the items' promotions are still true: worked out now, or made by nothing that changes with a visit."""
        needs = self.activity.rule_needs
        changing = needs.behaviours or needs.event or needs.now or needs.placement or self.order is not None
        return self.priced_here or (self.priced_version == self.activity.version and not changing)

    def title_of(self, item_id: str) -> str | None:
        """Give an item's title, if it is one of the user's."""
        return next((one.get("title") for one in self.items if one["item_id"] == item_id), None)

    def facts(self) -> dict[str, Any]:
        """Give what rules see, with the items."""
        return {**super().facts(), "items": self.items}
