"""Examples of outside benefit systems, for OpenAPI; a test reads each as its route does."""

from __future__ import annotations

from tactics.api.examples_assets import Example

WALLET: Example = {
    "url": "https://wallet.example.com/grants",
    "look_up_url": "https://wallet.example.com/grants/{idempotency_id}",
    "list_url": "https://wallet.example.com/grants",
    "remembers_s": 604_800,
}
SHOWN: Example = {
    "name": "wallet",
    **WALLET,
    "idempotent": True,
    "timeout_ms": 5_000,
    "max_concurrency": 8,
    "enabled": True,
    "signing_secrets": 1,
}
LISTED: Example = {"providers": [SHOWN], "next_cursor": None}
SAVED: Example = {"name": "wallet", "change": "updated", "signing_secrets": 1}
NEW: Example = {"name": "wallet", "change": "new", "signing_secrets": 0}
SECRET: Example = {"name": "wallet", "signing_secret": "whsec_…"}
