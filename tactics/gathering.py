"""Gathering what an activity's rule sees: what the context knows, and what the rule reads of the user beside it."""

from __future__ import annotations

from typing import Any

from tactics import rules
from tactics.behaviour import behaviour_facts
from tactics.domain.context import TacticsInstanceContext
from tactics.run import Run


def reads_user(needs: rules.Needs) -> bool:
    """Tell whether a rule reads the user's attributes."""
    return needs.user_attributes is None or bool(needs.user_attributes)


def rule_facts(ctx: TacticsInstanceContext, run: Run) -> dict[str, Any]:
    """Give the facts, loading of user and behaviours only what the rule reads.

    A later step does not ask again: the user stays in the context, the behaviours, which may be many, in the run.
    """
    needs = ctx.activity.rule_needs
    if ctx.user is None and reads_user(needs):
        ctx.user = run.gateways.users.attributes(run.conn, ctx.user_id)
    facts = ctx.facts()
    if needs.behaviours:
        if run.behaviours is None:
            run.behaviours = behaviour_facts(run.conn, run.gateways.items, ctx.user_id, needs.behaviours, ctx.now)
        facts["behaviours"] = run.behaviours
    return facts
