"""Examples of users, items and item sets, for OpenAPI; a test reads each as its route does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Example = Mapping[str, Any]

ATTRIBUTES: Example = {"attributes": {"level": "gold", "city": "Porto"}}
USER: Example = {"user_id": "alice", **ATTRIBUTES}
USERS: Example = {"users": [USER, {"user_id": "bob", "attributes": {"level": "new"}}]}
SAVED: Example = {"saved": 2}
ERASED: Example = {
    "pseudonym": "erased-8d6f0a52c1",
    "deleted": {"user_profile": 1, "user_action": 7},
    "moved": {"grant_record": 1, "asset": 1},
}
TEA: Example = {
    "category": "tea",
    "title": "Green tea",
    "price_minor": 450,
    "currency": "EUR",
    "attributes": {"origin": "Azores"},
}
ITEM: Example = {"item_id": "7", **TEA, "updated_at": "2026-11-27T10:00:00Z"}
ITEMS: Example = {"items": [{"item_id": "7", **TEA}, {"item_id": "8", "category": "tea"}]}
LISTED: Example = {"items": [ITEM], "next_cursor": None}
SETS: Example = {"item_sets": [{"name": "hot_drinks", "items": 2}], "next_cursor": None}
SET_ITEMS: Example = {"item_ids": ["7", "8"]}
ITEM_SET: Example = {"name": "hot_drinks", **SET_ITEMS}
