"""Examples of placements, for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tactics.api.examples import Exchange

_ID = "69a15301-ccb9-4d65-b59a-582ec614e3e8"
_COUPON: Mapping[str, Any] = {
    "asset_id": "9c7b6157-f4ed-47f1-981a-936c082a1488",
    "benefit": "five_off",
    "kind": "coupon",
    "status": "available",
    "value_minor": 500,
    "currency": "USD",
    "valid_from": "2026-11-22T13:04:38+00:00",
    "valid_until": "2026-12-22T13:04:38+00:00",
    "code": "QG45WM63DWDP",
}
VISIT: Mapping[str, Exchange] = {
    "granted": (
        {"user_id": "ann", "placement": "home_top", "attributes": {"device": "phone"}},
        {
            "execution_ids": [_ID],
            "results": [
                {
                    "activity": "tea",
                    "execution_id": _ID,
                    "outcome": "granted",
                    "expression": {
                        "title": "A coupon of 5.00 USD",
                        "text": "Use code QG45WM63DWDP at the checkout and save 5.00 USD.",
                    },
                    "assets": [_COUPON],
                    "items": [],
                }
            ],
            "not_shown": [],
        },
    ),
    "nothing": (
        {"user_id": "bob", "language": "en"},
        {
            "execution_ids": ["0f0d4f62-6f2a-4e1f-9a51-3f1f6a1de9a5"],
            "results": [],
            "not_shown": [
                {
                    "activity": "tea",
                    "reason": "not_prepared",
                    "text": "the user has not done yet what this activity waits for",
                }
            ],
        },
    ),
}
