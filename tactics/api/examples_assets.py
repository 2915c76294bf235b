"""Examples of assets and codes, for OpenAPI; a test reads each as its route does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Example = Mapping[str, Any]

ORDER = "order-1001"
_AT = "2026-11-27T10:00:00Z"
COUPON: Example = {
    "asset_id": "5f0c8f0e-7d55-4a1c-9b7e-0d8f3c1b2a01",
    "activity": "welcome",
    "grant_id": "a3d1c6b2-42b7-4a0e-8c55-1f6f0b9d7e02",
    "line": 1,
    "benefit": "five_off",
    "kind": "coupon",
    "status": "available",
    "usable": True,
    "value_minor": 500,
    "currency": "EUR",
    "valid_from": _AT,
    "valid_until": "2026-12-27T10:00:00Z",
    "reference": None,
    "code": "7KQ2M9XWTR4B",
}
REDEEMED: Example = {**COUPON, "status": "redeemed", "usable": False, "reference": ORDER}
CLAIMED: Example = {**COUPON, "status": "claimed"}
REVOKED: Example = {**COUPON, "status": "revoked", "usable": False}
ASSETS: Example = {"assets": [COUPON], "next_cursor": None}
CART: Example = {"currency": "EUR", "lines": [{"item_id": "7", "quantity": 2, "price_minor": 1500}]}
VALID: Example = {"valid": True, "reason": None, "asset": COUPON, "takes_off_minor": 500}
NOT_VALID: Example = {"valid": False, "reason": "redeemed", "asset": REDEEMED, "takes_off_minor": None}
TO_VALIDATE: Example = {"user_id": "alice", "order": CART}
TO_REDEEM: Example = {"user_id": "alice", "reference": ORDER}
TO_RELEASE: Example = {"reference": ORDER}
TO_CHANGE: Example = {"at": _AT}
ORDER_CHANGE: Example = {"reference": ORDER, "at": _AT}


def told(status: int, *examples: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The answer of a route with this status, with examples."""
    listed = {f"example_{number}": {"value": one} for number, one in enumerate(examples, 1)}
    return {status: {"content": {"application/json": {"examples": listed}}}}


def sent(**examples: Mapping[str, Any]) -> dict[str, Any]:
    """The requests of a route, by name, as OpenAPI lists examples."""
    return {name: {"summary": name.replace("_", " "), "value": one} for name, one in examples.items()}
