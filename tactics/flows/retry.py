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
from tactics.runtime import Runtime
from tactics.store import audit_log, parked


def list_parked(app: TacticsApp, limit: int, *, after: parked.Place | None = None) -> list[dict[str, Any]]:
    """Give what is parked, the newest first: kind, id, user, activity or channel, reason, attempts, since.

    `after` is the place of the last one that was seen.
    """
    with app.runtime.engine.connect() as conn:
        return [one.to_json() for one in parked.listing(conn, limit, after=after)]


def retry_parked(app: TacticsApp, ids: Sequence[str] | None, *, runtime: Runtime | None = None) -> int:
    """Try parked executions and events once more; one that fails again is parked again.

    Args:
        app: database and broker.
        ids: as `list_parked` gives them; None is everything that is parked.
        runtime: the app's, acting as whoever asks; left out: as the app's own.

    Returns:
        How many are tried: one that is not parked any more is passed over.

    Raises:
        BadInput: a text is no such id; nothing is tried.
    """
    chosen = None if ids is None else parked.parse_ids(ids)
    with (runtime or app.runtime).changing() as conn:
        refs, claims = parked.claim(conn, chosen, app.settings.claim_s)
        if refs or claims:  # ids of events may name users: how many of them is all that is told
            tried = {"events": len(refs), "executions": [str(one.id) for one in claims]}
            audit_log.add(conn, action="retried", kind="parked", after=tried)
    publish_routing(app, refs)
    publish_claims(app, claims)
    return len(refs) + len(claims)
