"""The independent checker: reads the histories and nothing else, and says what does not hold. Knows nothing of Tactics' code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.chaos import checks_answers, checks_ends, checks_grants, checks_turns
from tests.chaos.past import Past, Row


@dataclass(frozen=True)
class Finding:
    """Something that does not hold. `category`: lost, over_issued, stuck or wrong."""

    check: str
    category: str
    text: str


@dataclass(frozen=True)
class Check:
    """One thing that must hold: `find` gives a sentence for each place where it does not."""

    name: str
    category: str
    find: Callable[[Past], Iterator[str]]


CHECKS: Sequence[Check] = (
    Check("event_missing", "lost", checks_ends.events_missing),
    Check("action_missing", "lost", checks_ends.actions_missing),
    Check("execution_missing", "lost", checks_ends.executions_missing),
    Check("change_missing", "lost", checks_answers.changes_missing),
    Check("notice_missing", "lost", checks_grants.notices_missing),
    Check("webhook_missing", "lost", checks_ends.webhooks_missing),
    Check("event_unended", "stuck", checks_ends.events_unended),
    Check("execution_unended", "stuck", checks_ends.executions_unended),
    Check("grant_unended", "stuck", checks_ends.grants_unended),
    Check("webhook_unended", "stuck", checks_ends.webhooks_unended),
    Check("grant_count", "over_issued", checks_grants.counts_taken_twice),
    Check("grant_execution", "over_issued", checks_grants.executions_granting_twice),
    Check("stock_negative", "over_issued", checks_grants.stock_below_zero),
    Check("stock_moment", "over_issued", checks_grants.stock_not_conserved),
    Check("stock_sum", "over_issued", checks_grants.stock_not_adding_up),
    Check("limits", "over_issued", checks_grants.limits_passed),
    Check("usable_sets", "over_issued", checks_grants.usable_sets_side_by_side),
    Check("grant_assets", "over_issued", checks_grants.assets_not_fitting),
    Check("abandoned_grant", "over_issued", checks_answers.grants_for_abandoned),
    Check("provider", "over_issued", checks_grants.provider_disagreeing),
    Check("count_gap", "wrong", checks_grants.counts_with_gaps),
    Check("attempt", "wrong", checks_turns.stale_attempts),
    Check("epoch", "wrong", checks_turns.stale_epochs),
    Check("epoch_shared", "wrong", checks_turns.shared_epochs),
    Check("epoch_back", "wrong", checks_turns.epochs_going_back),
    Check("webhook_untrue", "wrong", checks_ends.webhooks_untrue),
    Check("refused", "wrong", checks_answers.refusals),
    Check("answer", "wrong", checks_answers.answers_not_true),
    Check("answer_changed", "wrong", checks_answers.answers_changing),
)


def check(
    clients: Iterable[Row],
    database: Iterable[Row],
    provider: Iterable[Row] | None = None,
    told: Iterable[Row] | None = None,
) -> tuple[list[Finding], dict[str, Any]]:
    """Check a history.

    Args:
        clients: what clients and harness wrote.
        database: what the database wrote.
        provider: the outside provider's own log; None where there was none.
        told: what the receiver of webhooks, who wants to hear of everything, wrote; None where there was none.

    Returns:
        What does not hold, and figures of what happened.
    """
    past = Past(clients, database, provider, told)
    found = [Finding(one.name, one.category, text) for one in CHECKS for text in one.find(past)]
    return found, _figures(past)


def _figures(past: Past) -> dict[str, Any]:
    states: dict[str, int] = {}
    for row in past.all("grant_record"):
        name = f"{row['activity_code']} {row['state']}"
        states[name] = states.get(name, 0) + 1
    outcomes: dict[str, int] = {}
    for row in past.all("execution"):
        name = f"{row['link']} {row['outcome']}"
        outcomes[name] = outcomes.get(name, 0) + 1
    moments = sorted(change.at for changes in past.by_tx.values() for change in changes)
    return {
        "longest_silence_s": round(max((after - one for one, after in pairwise(moments)), default=0.0), 1),
        "accepted": len(checks_ends.acknowledged(past)),
        "parked": sum(row["parked_reason"] is not None for row in past.all("event")),
        "grants": dict(sorted(states.items())),
        "executions": dict(sorted(outcomes.items())),
        "attempts_most": max((row["attempts"] for row in past.all("execution")), default=0),
        "remaining": {f"{row['activity_code']}.{row['code']}": row["remaining"] for row in past.all("benefit")},
        "transactions": len(past.by_tx),
    }
