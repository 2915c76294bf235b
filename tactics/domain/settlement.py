"""What to do next about a grant that an outside benefit system gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tactics.domain.provider import Provider

Move = Literal["call", "look_up", "park"]
MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Standing:
    """How far it is: `calls` may have reached the provider, the first of them at `first_called_at`."""

    calls: int
    first_called_at: datetime | None


def next_move(provider: Provider, standing: Standing, now: datetime) -> Move:
    """Tell what the next attempt does.

    What may have happened is asked for by its id, where the provider can be asked; else the same call is repeated, as
    long as the provider remembers it.
    """
    if standing.calls == 0:
        return "call"
    if provider.look_up_url is not None:
        return "look_up"
    return "call" if may_repeat(provider, standing, now) else "park"


def may_repeat(provider: Provider, standing: Standing, now: datetime) -> bool:
    """Tell whether the call may be sent, for the first time or again: a repeat must not be able to give twice."""
    until = repeatable_until(provider, standing)
    return until is None or now < until


def repeatable_until(provider: Provider, standing: Standing) -> datetime | None:
    """Give the time until which the call may be sent; None: it never was, so nothing can be repeated."""
    if standing.calls == 0 or standing.first_called_at is None:
        return None
    return provider.repeatable_until(standing.first_called_at)


def is_over(provider: Provider, standing: Standing, now: datetime) -> bool:
    """Tell whether nothing is tried any more without a person: the provider's memory of the call is over."""
    if standing.first_called_at is None:
        return False
    ends = timedelta(seconds=provider.remembers_s, milliseconds=-2 * provider.timeout_ms)
    return now >= standing.first_called_at + ends


def longest_wait_s(tries: int, base_s: float, max_s: float) -> float:
    """Give what the wait after so many tries is drawn from, from zero on (full jitter): doubling, up to `max_s`."""
    return min(base_s * 2.0 ** min(max(tries - 1, 0), MOST_DOUBLINGS), max_s)
