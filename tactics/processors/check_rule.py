"""Rule check: the activity's rule decides, and its actions choose what is given (C-29)."""

from __future__ import annotations

from tactics import rules
from tactics.domain.context import TacticsInstanceContext
from tactics.gathering import rule_facts
from tactics.processor import processor
from tactics.run import Run


@processor(needs=TacticsInstanceContext, after=("check_event", "load_prepared"))
def check_rule(ctx: TacticsInstanceContext, run: Run) -> None:
    """Evaluate the rule over everything known by now; stop with the reasons unless it matches and gives something."""
    found = rules.calculate(ctx.activity.parsed_rule, rule_facts(ctx, run))
    ctx.status = found.status
    ctx.effects = [dict(effect) for effect in found.effects]
    ctx.reasons = [reason.to_json() for reason in found.reasons]
    if not found.matched:
        texts = "; ".join(str(reason["text"]) for reason in ctx.reasons[:3])
        ctx.stop("unknown" if found.status == "unknown" else "not_matched", texts or found.status)
    elif not ctx.effects:
        ctx.stop("not_matched", "the rule matches but gives nothing")
