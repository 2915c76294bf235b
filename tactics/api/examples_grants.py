"""Examples of grants, stock and parked work, for OpenAPI; a test reads each as its route does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tactics.api.examples_assets import COUPON

Example = Mapping[str, Any]

_AT = "2026-11-27T10:00:00Z"
GRANT: Example = {
    "grant_id": COUPON["grant_id"],
    "user_id": "alice",
    "activity": "welcome",
    "activity_version": 2,
    "will_send_count": 1,
    "idempotency_id": "welcome:alice:1",
    "execution_id": "0e4d6f2c-91a8-4b0e-8a3e-6f7d5c4b3a03",
    "event_source": "tactics.placement",
    "event_id": "visit-77",
    "best_only": False,
    "state": "granted",
    "usable": True,
    "released": False,
    "lines": [{"line": 1, "kind": "coupon", "benefit": "five_off", "value_minor": 500, "details": {}}],
    "value_minor": 500,
    "day": "2026-11-27",
    "reason": None,
    "assets_unknown": False,
    "business_at": _AT,
    "created_at": _AT,
    "settled_at": _AT,
}
SHOWN: Example = {
    **GRANT,
    "assets": [
        {
            "asset_id": COUPON["asset_id"],
            "line": 1,
            "benefit": "five_off",
            "kind": "coupon",
            "status": "available",
            "value_minor": 500,
            "currency": "EUR",
            "details": {"code": COUPON["code"]},
            "valid_from": _AT,
            "valid_until": COUPON["valid_until"],
            "status_at": _AT,
            "changed_at": None,
            "reference": None,
        }
    ],
    "since": _AT,
    "outside": {
        "provider": "wallet",
        "attempts": 1,
        "waits": 0,
        "calls": 1,
        "first_called_at": _AT,
        "next_attempt_at": None,
        "reference": "w-1",
    },
    "attempts": [
        {
            "number": 1,
            "kind": "call",
            "started_at": _AT,
            "finished_at": _AT,
            "ms": 48.2,
            "answer": "granted",
            "status_code": 200,
            "text": "answered granted",
        }
    ],
    "retry": {"action": "nothing", "deducts": 0, "why": "it is granted"},
    "retried_as": None,
}
GRANTS: Example = {"grants": [GRANT], "next_cursor": None}
STOCK: Example = {
    "benefits": [
        {
            "benefit": "five_off",
            "kind": "coupon",
            "value_minor": 500,
            "currency": "EUR",
            "declared": 1000,
            "added": 500,
            "taken": 37,
            "remaining": 1463,
            "codes": None,
            "codes_left": None,
        }
    ]
}
TO_MOVE: Example = {"delta": 500, "reason": "more budget for the weekend", "id": "top-up-12"}
LISTED: Example = {"movement_id": "41", **TO_MOVE, "actor": "console", "created_at": _AT}
MOVED: Example = {**LISTED, "remaining": 1463}
MOVEMENTS: Example = {"movements": [LISTED], "next_cursor": None}
PARKED: Example = {
    "parked": [
        {
            "kind": "execution",
            "id": GRANT["execution_id"],
            "user_id": "alice",
            "about": "welcome",
            "reason": "given up after 20 attempts",
            "attempts": 20,
            "since": _AT,
        }
    ],
    "next_cursor": None,
}
TO_RETRY: Example = {"ids": [GRANT["execution_id"]]}
RETRY_ALL: Example = {"all": True}
RETRIED: Example = {"retried": 1}
WHY: Example = {"reason": "the provider says it never had it"}
SOME: Example = {"activity": "welcome", "state": "parked", "provider": "wallet", "limit": 500, **WHY}
_ASKED: Example = {
    "grant_id": GRANT["grant_id"],
    "action": "ask",
    "why": "it is reserved already, and the provider is asked about it by its id",
    "execution_id": None,
}
_GIVEN_UP: Example = {
    "grant_id": GRANT["grant_id"],
    "action": "abandon",
    "why": "it was parked; what it reserved is free again",
    "execution_id": None,
}
_LEFT: Example = {
    "grant_id": SHOWN["assets"][0]["asset_id"],
    "action": "nothing",
    "why": "it is granted",
    "execution_id": None,
}
RETRIED_ONE: Example = _ASKED
ABANDONED_ONE: Example = _GIVEN_UP
RETRIED_SOME: Example = {"done": [_ASKED], "skipped": [_LEFT], "next_cursor": None}
ABANDONED_SOME: Example = {"done": [_GIVEN_UP], "skipped": [_LEFT], "next_cursor": None}
