"""Handle item promotions: what the activity's rule makes of each item's price (C-24)."""

from __future__ import annotations

from tactics.domain.context import ItemContext
from tactics.domain.promotion import in_currency, lowers_prices, promoted
from tactics.gathering import rule_facts
from tactics.processor import processor
from tactics.run import Run


def _due(ctx: ItemContext) -> bool:
    """Tell whether there is something to price that is not priced yet.

    A placement shows what was prepared, unless it has an order to price, or the activity was published anew since: an
    old version's prices are not shown, also where the new one has none.
    """
    if not ctx.items:
        return False
    if ctx.link == "prepare":
        return lowers_prices(ctx.activity)
    known = ctx.priced_version
    return (ctx.order is not None or known != ctx.activity.version) and (
        known is not None or lowers_prices(ctx.activity)
    )


# Best before check_rule: what more pieces would bring is told also where the rule does not match yet. And before
# send_benefit, which locks the rows of limits and stock: others would wait for them while this one calculates.
@processor(needs=ItemContext, after=("query_item", "recall_item", "load_prepared"), when=_due)
def handle_item_promotion(ctx: ItemContext, run: Run) -> None:
    """Price each item: in preparation in an order of one piece, at a placement with the order that came along."""
    facts = rule_facts(ctx, run)
    ctx.items = [promoted(item, ctx.activity, facts) for item in ctx.items]
    ctx.priced_version, ctx.priced_here = ctx.activity.version, True
    foreign = [str(item["item_id"]) for item in ctx.items if not in_currency(item, ctx.activity)]
    if foreign and ctx.link == "prepare":  # for operators: a visitor sees each item in its own currency
        ctx.notes.append(f"not in {ctx.activity.currency}, so without promotion: {', '.join(foreign)}")
