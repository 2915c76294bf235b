"""Settling grants with outside benefit systems: ask, note what was answered, write what it means.

A worker that dies at any point leaves a grant that is due again: what may have happened is then asked for by its id, or
the same call is repeated. Who asks, and when, is decided by `tactics.domain.settlement`; what an answer means is written
by `tactics.settling`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from kombu.exceptions import OperationalError
from sqlalchemy import Connection

from tactics import metrics, settling
from tactics.celery_app import TacticsApp
from tactics.chain import TacticsTask
from tactics.domain.provider import Provider, ProviderAnswer, ProviderCall
from tactics.domain.settlement import may_repeat, next_move, repeatable_until
from tactics.runtime import Runtime
from tactics.settling import SETTLE_TASK
from tactics.store import outside_grants, provider_gate, providers
from tactics.store.outside_grants import AttemptKind, Claim, OutsideGrant

log = structlog.get_logger()

QUEUE = "provider"
# Asking by id and calling, each with its time limit, and what it takes to write both down.
TIME_LIMIT_S, SOFT_LIMIT_S = 80, 70
_ASIDE_S = 5.0
_WELL = frozenset({"granted", "refused", "pending", "unknown_id"})


def settle_grant(app: TacticsApp, grant_id: UUID, attempt: int) -> str | None:
    """Run one attempt at settling a grant.

    Args:
        app: its database, Redis and the gateway to benefit systems.
        grant_id: which grant.
        attempt: the claimed one; any other is late, and asks nobody.

    Returns:
        The grant's state afterwards; None where there was nothing to do.
    """
    runtime = app.runtime
    with runtime.reading() as conn:
        one = outside_grants.find(conn, grant_id)
        if one is None or not one.open or one.attempts != attempt or one.next_attempt_at is None:
            return None
        provider = providers.find(conn, one.provider)
    if provider is None or not provider.enabled:
        return _later(runtime, one, runtime.settings.retry_max_s)
    if next_move(provider, one.standing, one.read_at) == "park":
        return _park(runtime, provider, one)
    admitted = provider_gate.enter(
        runtime.redis,
        provider_gate.gate_of(provider.name),
        limit=provider.max_concurrency,
        call_ms=_longest_ms(provider),
    )
    if admitted.mark is None:
        metrics.PROVIDER_HELD_BACK.count(provider.name, "breaker" if admitted.breaker else "limit")
        return _later(runtime, one, admitted.wait_s)
    answer = None
    try:
        state, answer = _attempt(runtime, provider, one)
    finally:
        well = None if answer is None else answer.kind in _WELL
        after_s = (answer.retry_after_s or 0.0) if answer is not None else 0.0
        gate = provider_gate.gate_of(provider.name)
        provider_gate.leave(runtime.redis, gate, admitted.mark, well=well, retry_after_s=after_s)
    return state


def _longest_ms(provider: Provider) -> int:
    return 2 * provider.timeout_ms + int(_ASIDE_S * 1000)


def _later(runtime: Runtime, one: OutsideGrant, wait_s: float) -> str:
    """Ask nobody now; the attempt does not count."""
    # Longer and longer, so that a long queue is not handed round for the few calls that are let in.
    drawn = wait_s + settling.drawn_wait_s(runtime.settings, min(3 + one.waits, 6))
    with runtime.engine.begin() as conn:
        outside_grants.postpone(conn, one, attempt=one.attempts, wait_s=drawn, asked=False)
    return one.state


def _attempt(runtime: Runtime, provider: Provider, one: OutsideGrant) -> tuple[str | None, ProviderAnswer | None]:
    """Do what is next: ask what became of it, then call where that is safe."""
    if next_move(provider, one.standing, one.read_at) == "call":
        return _ask(runtime, provider, one, "call")
    state, answer = _ask(runtime, provider, one, "look_up")
    if answer is None or answer.kind != "unknown_id":
        return state, answer
    with runtime.reading() as conn:
        again = outside_grants.find(conn, one.grant_id)
    # A newer attempt has its own look-up to go by.
    if again is None or not again.open or again.attempts != one.attempts:
        return state, answer
    if not may_repeat(provider, again.standing, again.read_at):
        return state, answer
    return _ask(runtime, provider, again, "call")


def _ask(
    runtime: Runtime, provider: Provider, one: OutsideGrant, kind: AttemptKind
) -> tuple[str | None, ProviderAnswer | None]:
    """Ask once, between two transactions: that it is asked, and what that means.

    A process that was stopped in between may go on after hours, when others have settled the grant and the provider has
    forgotten the call. It then sends nothing.
    """
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    with runtime.engine.begin() as conn:
        number = outside_grants.begin_attempt(
            conn,
            one,
            kind,
            attempt=one.attempts,
            horizon_s=_longest_ms(provider) / 1000,
            until=repeatable_until(provider, one.standing) if kind == "call" else None,
        )
    if number is None:  # a twin of this message was quicker, or it is settled
        return None, None
    if time.clock_gettime(time.CLOCK_BOOTTIME) - began > provider.timeout_ms / 1000:
        answer = ProviderAnswer("not_sent", "this process was held up before it could ask")
    elif kind == "call":
        answer = runtime.gateways.benefits.grant(provider, ProviderCall(one.idempotency_id, one.body.encode()))
    else:
        answer = runtime.gateways.benefits.look_up(provider, one.idempotency_id)
    with runtime.engine.begin() as conn:
        state = settling.settle(
            conn,
            one,
            answer,
            business_now(runtime, conn, one),
            number=number,
            attempt=one.attempts,
            provider=provider,
            settings=runtime.settings,
        )
    metrics.GRANTS_SETTLED.count(provider.name, state)
    log.info(
        "provider_asked", grant=str(one.grant_id), provider=provider.name, asked=kind, answer=answer.kind, state=state
    )
    return state, answer


def _park(runtime: Runtime, provider: Provider, one: OutsideGrant) -> str | None:
    with runtime.engine.begin() as conn:
        held = settling.locked(conn, one.grant_id)
        if held is None or not held.open or held.attempts != one.attempts:
            return None
        settling.park(conn, held, settling.why_parked(provider, held))
    metrics.PARKED.count("grant")
    return "parked"


def business_now(runtime: Runtime, conn: Connection, one: OutsideGrant) -> datetime:
    """Give the time from which a grant's assets are valid: when it is settled, or in replay its event's own."""
    return runtime.now(conn, one.business_at)


def publish_settling(app: TacticsApp, claims: Sequence[Claim]) -> int:
    """Publish claimed grants.

    Returns:
        How many were published; the others are due again later.
    """
    for count, claim in enumerate(claims):
        try:
            app.tasks[SETTLE_TASK].apply_async((str(claim.grant_id), claim.attempt), retry=False)
        except (OperationalError, OSError) as error:
            log.warning("settling_not_published", grants=len(claims) - count, error=str(error))
            return count
    return len(claims)


def register(app: TacticsApp) -> None:
    """Make the task `tactics.settle_grant`, on a queue of its own: a slow provider holds nobody else up."""

    def run(_: TacticsTask, grant_id: str, attempt: int) -> None:
        settle_grant(app, UUID(grant_id), attempt)

    options = {"base": TacticsTask, "bind": True, "shared": False}
    app.task(name=SETTLE_TASK, time_limit=TIME_LIMIT_S, soft_time_limit=SOFT_LIMIT_S, **options)(run)
    app.send_to(SETTLE_TASK, QUEUE)
