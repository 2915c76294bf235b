"""A shopper's code: which of the assets that carry it is meant, and whether that one can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tactics.domain.asset import Asset

NotValid = Literal["expired", "redeemed", "revoked", "other_user", "other_currency"]


@dataclass(frozen=True, slots=True)
class OrderTotal:
    """What an order costs, in minor units; it may leave its currency open."""

    total_minor: int
    currency: str | None = None


def to_redeem(held: Sequence[Asset], now: datetime, reference: str | None = None) -> Asset:
    """Choose the asset that an order redeems: the one that it has redeemed already, else one that is usable.

    Args:
        held: the assets of one user and activity with the code, newest first; at least one.
        now: business time.
        reference: the order.
    """
    own = [one for one in held if reference is not None and one.status == "redeemed" and one.reference == reference]
    usable = [one for one in held if one.usable(now)]
    return [*own, *usable, *held][0]


def to_release(held: Sequence[Asset], now: datetime, reference: str | None = None) -> Asset | None:
    """Choose the asset whose redemption an order takes back; None where it is not clear which.

    Args:
        held: the assets of one user and activity with the code, newest first; at least one.
        now: business time.
        reference: the order.
    """
    redeemed = [one for one in held if one.status == "redeemed"]
    if reference is None and len(redeemed) > 1:
        return None
    own = [one for one in redeemed if reference in {None, one.reference}]
    # Nothing is redeemed for this order, so perhaps it was released before: that changes nothing.
    usable = [one for one in held if one.usable(now)]
    return [*own, *usable, *redeemed, *held][0]


def not_valid(asset: Asset, now: datetime, order: OrderTotal | None = None) -> NotValid | None:
    """Tell why an asset cannot be used now, for this order; None when it can."""
    status = asset.status_at(now)
    if status in {"expired", "redeemed", "revoked"}:
        return status
    if order is not None and order.currency not in {None, asset.currency}:
        return "other_currency"
    return None
