"""Assets: benefits in a user's hands, what can become of them, and when one is usable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

AssetStatus = Literal["available", "claimed", "redeemed", "expired", "revoked"]
AssetChange = Literal["claimed", "redeemed", "released", "expired", "revoked"]

LIVE: frozenset[str] = frozenset({"available", "claimed"})

# What a change makes of an asset, by the status that it finds.
TRANSITIONS: Mapping[str, Mapping[str, AssetStatus]] = MappingProxyType(
    {
        "claimed": {"available": "claimed"},
        "redeemed": {"available": "redeemed", "claimed": "redeemed"},
        "released": {"redeemed": "available"},
        "expired": {"available": "expired", "claimed": "expired"},
        "revoked": {"available": "revoked", "claimed": "revoked"},
    }
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One line of a grant, as the user holds it. `reference` is the order that redeemed it, where one was named."""

    id: UUID
    user_id: str
    activity_code: str
    grant_id: UUID
    line: int
    benefit_code: str | None
    kind: str
    status: AssetStatus
    value_minor: int
    currency: str
    valid_from: datetime
    valid_until: datetime
    details: dict[str, Any] = field(default_factory=dict)
    reference: str | None = None

    def usable(self, now: datetime) -> bool:
        """Tell whether the user can use it now: available or claimed, and in its validity.

        Assets are valid from their grant on. A visitor who read the clock, and then waited until another's grant of
        the same moment was written, holds it all the same.
        """
        return self.status in LIVE and now < self.valid_until

    def due(self, now: datetime) -> bool:
        """Tell whether it should be marked expired."""
        return self.status in LIVE and self.valid_until <= now

    def status_at(self, now: datetime) -> AssetStatus:
        """Give the status for people: what is due has expired, whether that is written down yet or not."""
        return "expired" if self.due(now) else self.status

    def takes_off(self, total_minor: int) -> int | None:
        """Give what it takes off an order of so many minor units; None where it says no value, as free delivery may."""
        return min(self.value_minor, total_minor) if self.value_minor > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Give the asset as shown to callers."""
        return {
            "asset_id": str(self.id),
            "benefit": self.benefit_code,
            "kind": self.kind,
            "status": self.status,
            "value_minor": self.value_minor,
            "currency": self.currency,
            "valid_from": self.valid_from.isoformat(),
            "valid_until": self.valid_until.isoformat(),
            **self.details,
        }
