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
    refused = refusal(found)
    if refused is not None:
        ctx.stop(*refused)


def refusal(found: rules.Evaluation) -> tuple[str, str] | None:
    """Give the reason, as a code and for people, why an evaluated rule gives nothing; None where it gives something."""
    if not found.matched:
        texts = "; ".join(reason.text for reason in found.reasons[:3])
        return "unknown" if found.status == "unknown" else "not_matched", texts or found.status
    return None if found.effects else ("not_matched", "the rule matches but gives nothing")
