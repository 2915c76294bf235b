"""Assets: when they can be used, and how they are shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import get_args
from uuid import UUID

import pytest

from tactics.domain.asset import TRANSITIONS, Asset, AssetChange, AssetStatus
from tests.driving import NOON

ID = UUID("0b0e2b3c-6c0e-4f7e-9d0a-2f1f5f5c9a11")
ASSET = Asset(
    ID, "7", "camp18", ID, 1, "c18", "coupon", "available", 500, "USD", NOON, NOON + timedelta(hours=1), {"code": "X"}
)


@pytest.mark.parametrize("status", get_args(AssetStatus))
def test_only_what_is_available_or_claimed_is_usable(status: AssetStatus) -> None:
    """Within its validity an asset is usable while it is available or claimed; afterwards it is due to expire."""
    one, live = replace(ASSET, status=status), status in {"available", "claimed"}
    assert one.usable(NOON) is live
    assert one.usable(NOON + timedelta(minutes=59)) is live
    assert not one.usable(NOON + timedelta(hours=1))
    assert one.due(NOON + timedelta(hours=1)) is live
    assert not one.due(NOON + timedelta(minutes=59))


def test_changes_lead_from_what_is_live_and_back_from_redeemed() -> None:
    """Every change has its transitions; nothing leaves `expired` or `revoked`, and only a release leaves `redeemed`."""
    assert set(TRANSITIONS) == set(get_args(AssetChange))
    left = {(change, before) for change, ways in TRANSITIONS.items() for before in ways}
    assert not {pair for pair in left if pair[1] in {"expired", "revoked"}}
    assert {change for change, before in left if before == "redeemed"} == {"released"}


def test_asset_is_shown_with_its_details() -> None:
    """An asset shows its id, what it is worth, its validity and details such as its code; not whose it is."""
    assert ASSET.to_json() == {
        "asset_id": str(ID),
        "benefit": "c18",
        "kind": "coupon",
        "status": "available",
        "value_minor": 500,
        "currency": "USD",
        "valid_from": "2017-11-01T12:00:00+00:00",
        "valid_until": "2017-11-01T13:00:00+00:00",
        "code": "X",
    }
