"""An activity that is paused runs again, and so does what waited for it. Pressed twice, the second changes nothing.

Whoever dies in the middle loses nothing: what waits for an activity that is live is found again by the sweeper.
"""

from __future__ import annotations

from contextlib import nullcontext

from tactics.celery_app import TacticsApp
from tactics.flows.reading import Around, transaction
from tactics.flows.sweep import let_go
from tactics.runtime import Runtime
from tactics.store import activities, trips
from tactics.store.activities import Saved


def resume(app: TacticsApp, code: str, *, runtime: Runtime | None = None, around: Around = nullcontext) -> Saved:
    """Let a paused activity run again in its current version, and begin to let go what waited for it.

    Args:
        app: database and broker.
        code: the activity's.
        runtime: the app's, acting as whoever asks; left out: as the app's own.
        around: surrounds the change within its transaction.

    Returns:
        The version that runs; `unchanged` where it was live.

    Raises:
        NotFound: there is no such activity.
        Conflict: it is a draft.
    """
    with transaction(runtime or app.runtime, around) as conn:
        changed = trips.resume(conn, code)
        version = activities.current(conn, code).version
    let_go(app, code=code)  # the first of them: the sweeper goes on
    return Saved(version, "updated" if changed else "unchanged", "live")
