"""The operator's second chance for what was parked: once the cause is gone, it is tried once more.

The attempt number goes on counting, so a message of an earlier attempt stays stale. Pressed twice, the second changes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tactics.celery_app import TacticsApp
from tactics.flows.action import publish_routing
from tactics.flows.sweep import publish_claims
from tactics.store import parked


def list_parked(app: TacticsApp, limit: int) -> list[dict[str, Any]]:
    """Give what is parked, the newest first: kind, id, user, activity or channel, reason, attempts, since."""
    with app.runtime.engine.connect() as conn:
        return [one.to_json() for one in parked.listing(conn, limit)]


def retry_parked(app: TacticsApp, ids: Sequence[str] | None) -> int:
    """Try parked executions and events once more; one that fails again is parked again.

    Args:
        app: database and broker.
        ids: as `list_parked` gives them; None is everything that is parked.

    Returns:
        How many are tried: one that is not parked any more is passed over.

    Raises:
        BadInput: a text is no such id; nothing is tried.
    """
    chosen = None if ids is None else parked.parse_ids(ids)
    with app.runtime.engine.begin() as conn:
        refs, claims = parked.claim(conn, chosen, app.settings.claim_s)
    publish_routing(app, refs)
    publish_claims(app, claims)
    return len(refs) + len(claims)
