"""Examples of webhooks, for OpenAPI; a test reads each as its route does."""

from __future__ import annotations

from tactics.api.examples_assets import Example

_ID = "we_4k7q2m6xwtrb"
_AT = "2026-11-27T10:00:00Z"
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwvJ9yQ0gq3n8="  # noqa: S105  # of nobody
WANTED: Example = {
    "url": "https://shop.example.com/hooks",
    "topics": ["tactics.granted", "tactics.expired"],
    "description": "the shop",
}
SHOWN: Example = {
    "id": _ID,
    **WANTED,
    "enabled": True,
    "disabled_reason": None,
    "failures": 0,
    "resting_until": None,
    "rotating": False,
    "waiting": 0,
    "parked": 1,
    "created_at": _AT,
    "updated_at": _AT,
}
ADDED: Example = {**SHOWN, "parked": 0, "secret": _SECRET}
DISABLED: Example = {**SHOWN, "enabled": False}
LISTED: Example = {"webhooks": [SHOWN]}
TO_ROTATE: Example = {"keep_last": True}
ROTATED: Example = {"id": _ID, "secret": _SECRET}
TESTED: Example = {"outcome": "delivered", "text": "answered 204", "status": 204}
DELIVERIES: Example = {
    "deliveries": [
        {
            "id": "msg_17",
            "topic": "tactics.granted",
            "key": "welcome:alice:1",
            "state": "parked",
            "attempts": 24,
            "next_attempt_at": None,
            "delivered_at": None,
            "parked_reason": "answered 500",
            "last_status": 500,
            "last_text": "answered 500",
            "last_attempt_at": "2026-11-30T10:00:00Z",
            "created_at": _AT,
        }
    ],
    "next_cursor": None,
}
TO_RETRY: Example = {"ids": ["msg_17"]}
RETRY_ALL: Example = {}
RETRIED: Example = {"retried": 1}
