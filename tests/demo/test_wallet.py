"""Wallets: a redemption meets a coupon that was granted, is valid, and was not spent before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tactics.demo.wallet import Wallets

NOON = datetime(2017, 11, 1, 12, tzinfo=UTC)


def _asset(name: str, begins: datetime = NOON) -> dict[str, Any]:
    until = begins + timedelta(days=7)
    return {"asset_id": name, "valid_from": begins.isoformat(), "valid_until": until.isoformat()}


def test_a_coupon_is_spent_once() -> None:
    """What was taken is gone, also when its answer is seen again before; another user's or activity's stays out of it."""
    wallets = Wallets()
    wallets.put("1", "a", [_asset("x")])
    wallets.put("1", "a", [_asset("x")])
    assert wallets.take("2", "a", NOON) is None
    assert wallets.take("1", "b", NOON) is None
    assert wallets.take("1", "a", NOON) == "x"
    assert wallets.take("1", "a", NOON) is None


def test_only_a_valid_coupon_is_spent() -> None:
    """The oldest coupon that is valid at the time is taken: its end is excluded, its beginning included."""
    wallets = Wallets()
    wallets.put("1", "a", [_asset("old", NOON - timedelta(days=7)), _asset("new")])
    assert wallets.take("1", "a", NOON - timedelta(days=8)) is None
    assert wallets.take("1", "a", NOON) == "new"
    assert wallets.take("1", "a", NOON - timedelta(seconds=1)) == "old"
