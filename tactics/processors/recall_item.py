"""Recall items: others that go with what the user acted on, found by an algorithm (C-23)."""

from __future__ import annotations

import structlog

from tactics import metrics
from tactics.domain.context import ItemContext
from tactics.errors import GatewayError
from tactics.processor import processor
from tactics.run import Run

log = structlog.get_logger()

MOST_RECALLED = 10
WITHOUT = "prepared without recalled items"


@processor(needs=ItemContext, after=("query_item",), when=lambda ctx: bool(ctx.items))
def recall_item(ctx: ItemContext, run: Run) -> None:
    """Add what goes with the user's items, the best first and at most MOST_RECALLED, marked `recalled` with a score.

    It adds only what the catalogue has and the user never acted on. Without an answer the chain goes on without, and a
    note says so; then nobody is asked again for a moment, or a batch of preparations would wait for each of them.
    """
    if run.runtime.recall_breaker.tripped:
        metrics.FALLBACKS.count("no_recall")
        ctx.notes.append(f"{WITHOUT}: recall did not answer a moment ago")
        return
    known = [str(item["item_id"]) for item in ctx.items]
    try:
        found = run.gateways.recall.candidates(ctx.user_id, known, MOST_RECALLED)
    except GatewayError as error:
        run.runtime.recall_breaker.trip()
        metrics.FALLBACKS.count("no_recall")
        log.warning("not_recalled", execution=str(run.execution.id), error=error.message)
        ctx.notes.append(f"{WITHOUT}: {error.message}")
        return
    scores = {one.item_id: round(one.score, 6) for one in found}
    new = run.gateways.items.new_to_user(run.conn, ctx.user_id, list(scores)) if scores else ()
    best = sorted(new, key=lambda item: (-scores[item.item_id], item.item_id))[:MOST_RECALLED]
    ctx.items += [{**item.to_fact(), "recalled": True, "score": scores[item.item_id]} for item in best]
