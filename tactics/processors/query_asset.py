"""Query assets: what the user holds of this activity (C-30)."""

from __future__ import annotations

import structlog

from tactics import metrics
from tactics.domain.context import TacticsInstanceContext
from tactics.errors import GatewayError
from tactics.processor import processor
from tactics.run import Run

log = structlog.get_logger()


@processor(needs=TacticsInstanceContext)
def query_asset(ctx: TacticsInstanceContext, run: Run) -> None:
    """Ask the asset port. Without an answer the count of past grants is taken as none, and the answer is tagged."""
    try:
        held = run.gateways.assets.of_instance(ctx.user_id, ctx.activity.code)
    except GatewayError as error:
        metrics.FALLBACKS.count("assets_unknown")
        log.warning("assets_unknown", execution=str(run.execution.id), error=error.message)
        ctx.assets_unknown = True
        ctx.notes.append("the asset query failed; the answer will be reconciled")
    else:
        ctx.assets = [one.to_json() for one in held]
