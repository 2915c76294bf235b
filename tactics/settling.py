"""Settling a grant that an outside benefit system gives: one transaction, fenced by the grant's own state.

Whoever heard from the provider may settle: a worker whose attempt is long over, the operator's retry, the comparison
with the provider's list. The first definite answer stands; what comes later finds the grant closed and changes nothing.
No epoch is asked for: an answer is as true after a newer execution began as before it.
"""

from __future__ import annotations

import random
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import Connection

from tactics import metrics
from tactics.config import Settings
from tactics.domain.outside import asset_of
from tactics.domain.provider import Provider, ProviderAnswer
from tactics.domain.settlement import is_over, longest_wait_s, next_move
from tactics.store import grants, instances, outbox, outside_grants, settlements
from tactics.store.outside_grants import OutsideGrant

log = structlog.get_logger()

SETTLE_TASK = "tactics.settle_grant"
REFUSED_TEXT = "the benefit system has refused it"
LONGEST_RETRY_AFTER_S = 3_600.0


def settle(
    conn: Connection,
    found: OutsideGrant,
    answer: ProviderAnswer,
    now: datetime,
    *,
    number: int | None = None,
    attempt: int | None = None,
    provider: Provider | None = None,
    settings: Settings | None = None,
) -> str:
    """Write what a provider's answer makes of a grant.

    Args:
        conn: a transaction of its own.
        found: the grant, as it was read before.
        answer: what the provider said.
        now: business time, from which the assets are valid.
        number: of the attempt that it answers, if it is noted.
        attempt: whose answer it is; what is not definite only counts for the current one.
        provider: who said it; needed with `attempt`.
        settings: how retries wait; needed with `attempt`.

    Returns:
        The grant's state afterwards.
    """
    if not instances.lock_known(conn, found.user_id, found.activity_code):  # its user was erased meanwhile
        return "gone"
    if number is not None:
        outside_grants.end_attempt(conn, found, number, answer)
    one = outside_grants.lock(conn, found.user_id, found.grant_id)
    if one is None:  # retention took it: nobody waits for it any more
        return "gone"
    if not one.open:
        _told_late(one, answer)
        return one.state
    if answer.kind in {"granted", "refused"}:
        _close(conn, one, answer, now)
        return answer.kind
    if attempt == one.attempts and one.next_attempt_at is not None and provider is not None and settings is not None:
        return _go_on(conn, one, answer, attempt, provider, settings)
    return one.state


def _close(conn: Connection, one: OutsideGrant, answer: ProviderAnswer, now: datetime) -> None:
    if answer.kind == "granted":
        give(conn, one, answer, now)
    else:
        refuse(conn, one, answer.text, outcome="refused")


def give(conn: Connection, one: OutsideGrant, answer: ProviderAnswer, now: datetime) -> None:
    """Hand over what the provider has granted: assets, record, outcome, answer, and what other systems hear."""
    said = {each.line: each for each in answer.lines}
    if said.keys() - {draft["line"] for draft in one.drafts}:
        log.warning("provider_names_other_lines", grant=str(one.grant_id), provider=one.provider)
    assets = [asset_of(draft, one.user_id, one.activity_code, one.grant_id, now, said) for draft in one.drafts]
    settlements.hand_over(conn, one, assets, now)
    notice = grants.notice_of(one.activity_code, one.user_id, one.grant_id, assets)
    outbox.add(conn, "tactics.granted", one.idempotency_id, {**notice, "will_send_count": one.will_send_count})
    outside_grants.rest(conn, one, answer.reference)
    shown = [each.to_json() for each in assets]
    settlements.close_execution(conn, one, "granted", None, {"outcome": "granted", "assets": shown})
    settlements.close_others(conn, one, "reused", {"outcome": "reused", "assets": shown})


def refuse(conn: Connection, one: OutsideGrant, reason: str, *, outcome: str) -> None:
    """Close a grant that will never be given, and give back what it reserved.

    Args:
        conn: the transaction, which holds the instance and the grant.
        one: the grant.
        reason: for operators.
        outcome: of the execution: refused, or abandoned by an operator.
    """
    outside_grants.set_state(conn, one, "refused", reason)
    settlements.take_back(conn, one)
    outside_grants.rest(conn, one)
    part = {"activity": one.activity_code, "reason": "error", "text": REFUSED_TEXT}
    settlements.close_execution(conn, one, outcome, reason, part)
    settlements.close_others(conn, one, "error", part)
    outbox.add(conn, "tactics.refused", one.idempotency_id, _told(one, reason))


def park(conn: Connection, one: OutsideGrant, reason: str) -> None:
    """Leave a grant to operators. It stays open: nobody knows whether it was given, and nothing is given back."""
    outside_grants.set_state(conn, one, "parked", reason)
    outside_grants.rest(conn, one)
    outbox.add(conn, "tactics.parked", one.idempotency_id, _told(one, reason))


def _go_on(
    conn: Connection, one: OutsideGrant, answer: ProviderAnswer, attempt: int, provider: Provider, settings: Settings
) -> str:
    """Wait for the next attempt, or park what no attempt can settle any more."""
    if next_move(provider, one.standing, one.read_at) == "park" or is_over(provider, one.standing, one.read_at):
        park(conn, one, f"{why_parked(provider, one)}; last answer: {answer.text}")
        metrics.PARKED.count("grant")
        return "parked"
    state = "pending" if answer.kind == "pending" or one.calls == 0 else "unknown"
    outside_grants.set_state(conn, one, state, answer.text)
    left_alone_s = min(answer.retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
    wait_s = max(drawn_wait_s(settings, one.tries), left_alone_s)
    outside_grants.postpone(conn, one, attempt=attempt, wait_s=wait_s, asked=True)
    return state


def why_parked(provider: Provider, one: OutsideGrant) -> str:
    """Say why no attempt can settle a grant any more."""
    if not provider.idempotent and one.calls:
        return "this provider is called once"
    return "the provider may have forgotten the call: to repeat it could give twice"


def drawn_wait_s(settings: Settings, tries: int) -> float:
    """Draw the wait after so many tries: anything up to a bound that doubles, so that retries spread (full jitter)."""
    return random.uniform(0, longest_wait_s(tries, settings.retry_base_s, settings.retry_max_s))  # noqa: S311  # no secret


def _told(one: OutsideGrant, reason: str) -> dict[str, object]:
    return {
        "what": "grant",
        "activity": one.activity_code,
        "user_id": one.user_id,
        "grant_id": str(one.grant_id),
        "will_send_count": one.will_send_count,
        "reason": reason,
    }


def _told_late(one: OutsideGrant, answer: ProviderAnswer) -> None:
    """Say where a provider's definite answer is not what the grant was closed with: people have to know."""
    if answer.kind in {"granted", "refused"} and answer.kind != one.state:
        metrics.GRANTS_CONTRADICTED.count(one.provider)
        log.error("provider_contradicts", grant=str(one.grant_id), state=one.state, answer=answer.kind)


def locked(conn: Connection, grant_id: UUID) -> OutsideGrant | None:
    """Find a grant by its id, and hold its instance and itself."""
    found = outside_grants.find(conn, grant_id)
    if found is None:
        return None
    if not instances.lock_known(conn, found.user_id, found.activity_code):
        return None
    return outside_grants.lock(conn, found.user_id, grant_id)
