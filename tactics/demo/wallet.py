"""Who holds which coupon: what the answers at the placement gave, so that a real redemption meets a granted asset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Wallets:
    """The unspent assets that were shown to each user, by activity, in the order in which they were granted."""

    _held: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = field(default_factory=dict)

    def put(self, user_id: str, activity: str, assets: Iterable[Mapping[str, Any]]) -> None:
        """Keep the assets of an answer; one that was shown before is kept once."""
        held = self._held.setdefault((user_id, activity), {})
        for asset in assets:
            held.setdefault(asset["asset_id"], asset)

    def take(self, user_id: str, activity: str, at: datetime) -> str | None:
        """Spend the user's oldest asset that is valid at a time.

        Returns:
            Its id; None when the user holds none.
        """
        held = self._held.get((user_id, activity), {})
        for asset_id, asset in held.items():
            valid_from, valid_until = map(datetime.fromisoformat, (asset["valid_from"], asset["valid_until"]))
            if valid_from <= at < valid_until:
                del held[asset_id]
                return asset_id
        return None
