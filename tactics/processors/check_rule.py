"""Rule check: the activity's rule decides, and its actions choose what is given (C-29)."""

from __future__ import annotations

from tactics import rules
from tactics.behaviour import behaviour_facts
from tactics.domain.context import TacticsInstanceContext
from tactics.processor import processor
from tactics.run import Run


@processor(needs=TacticsInstanceContext)
def check_rule(ctx: TacticsInstanceContext, run: Run) -> None:
    """Evaluate the rule over everything known by now; stop with the reasons unless it matches and gives something."""
    rule, needs = ctx.activity.parsed_rule, ctx.activity.rule_needs
    if needs.user_attributes is None or needs.user_attributes:
        ctx.user = run.gateways.users.attributes(run.conn, ctx.user_id)
    facts = ctx.facts()
    if needs.behaviours:
        facts["behaviours"] = behaviour_facts(run.conn, run.gateways.items, ctx.user_id, needs.behaviours, ctx.now)
    found = rules.calculate(rule, facts)
    ctx.status = found.status
    ctx.effects = [dict(effect) for effect in found.effects]
    ctx.reasons = [reason.to_json() for reason in found.reasons]
    if not found.matched:
        texts = "; ".join(str(reason["text"]) for reason in ctx.reasons[:3])
        ctx.stop("unknown" if found.status == "unknown" else "not_matched", texts or found.status)
    elif not ctx.effects:
        ctx.stop("not_matched", "the rule matches but gives nothing")
