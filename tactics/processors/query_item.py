"""Query items: what the user acted on or likes (C-22)."""

from __future__ import annotations

from tactics.domain.context import ItemContext
from tactics.processor import processor
from tactics.run import Run

MOST_ITEMS = 20


@processor(needs=ItemContext)
def query_item(ctx: ItemContext, run: Run) -> None:
    """Fill the context's items: favourites first, then the latest, at most MOST_ITEMS."""
    found = run.gateways.items.of_user(run.conn, ctx.user_id, MOST_ITEMS)
    ctx.items = [item.to_fact() for item in found]
