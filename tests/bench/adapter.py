"""The one place where benchmarks call the engine below its public flows: the grant transaction by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from tactics import granting
from tactics.domain.activity import TacticsActivity
from tactics.domain.grant import GrantLine
from tactics.runtime import Runtime
from tactics.store import instances
from tests.bench.scene import SOURCE
from tests.bench.stage import MeasureFailed


def grant(runtime: Runtime, activity: TacticsActivity, user_id: str) -> None:
    """Grant the activity's coupon to a user as a segment does: instance opened and locked, grant, commit.

    Raises:
        MeasureFailed: nothing was granted.
    """
    execution_id = uuid4()
    request = granting.GrantRequest(
        activity=activity,
        user_id=user_id,
        execution_id=execution_id,
        event_source=SOURCE,
        event_id=str(execution_id),
        lines=[GrantLine(line=0, kind="coupon", value_minor=500, benefit="c")],
        now=datetime.now(UTC),
    )
    with runtime.engine.connect() as conn:
        instances.open_epoch(conn, user_id, activity.code)
        result = granting.grant(conn, request)
        conn.commit()
    if result.outcome != "granted":
        raise MeasureFailed(f"{user_id} was not granted: {result}")
