"""Send benefit: grant what the rule chose, exactly once (C-31, C-33 to C-40)."""

from __future__ import annotations

from tactics.domain.context import SHOWN, TacticsInstanceContext
from tactics.domain.grant import lines_of
from tactics.granting import GrantRequest, grant
from tactics.processor import processor
from tactics.run import Run
from tactics.settling import SETTLE_TASK


@processor(needs=TacticsInstanceContext, after=("check_rule", "query_asset"), when=lambda ctx: bool(ctx.effects))
def send_benefit(ctx: TacticsInstanceContext, run: Run) -> None:
    """Grant, reuse or replay; the control group is counted here, and given nothing new."""
    row = run.execution
    found = grant(
        run.conn,
        GrantRequest(
            activity=ctx.activity,
            user_id=ctx.user_id,
            execution_id=row.id,
            event_source=row.event_source,
            event_id=row.event_id,
            lines=lines_of(ctx.activity, ctx.effects),
            now=ctx.now,
            best_only=ctx.best_only,
            assets_unknown=ctx.assets_unknown,
            held_out=ctx.activity.held_out(ctx.user_id),
            claim_s=run.runtime.settings.claim_s,
        ),
    )
    if found.reserved:
        run.owed.append((SETTLE_TASK, (str(found.grant_id), 1)))
    run.tripped = found.tripped
    ctx.outcome, ctx.text = found.outcome, found.text
    ctx.assets = [one.to_json() for one in found.assets]
    if found.outcome not in SHOWN:
        ctx.stop(found.outcome, found.text)
