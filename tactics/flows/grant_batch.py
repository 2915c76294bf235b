"""Retrying and abandoning many grants: page by page, each grant in a transaction of its own.

So nobody who visits waits for a batch, no two batches wait for each other, and what was done stays done when it is
stopped: begun anew, it finds nothing more to do with those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from tactics.celery_app import TacticsApp
from tactics.errors import Busy, NotFound
from tactics.flows.grant_abandon import AbandonResult, abandon_grant
from tactics.flows.grant_outlook import is_asked, outlook
from tactics.flows.grant_retry import RetryResult, begin_retry, publish_retries
from tactics.runtime import Runtime
from tactics.store import activities, grant_listing, grants, outside_grants, providers
from tactics.store.grant_listing import Wanted

PAGE = 500
RETRIED = ("pending", "unknown", "parked", "refused")
"""The states that a retry is for, where none is asked for; abandoning is for those that are open."""
ABANDONED = RETRIED[:-1]

Place = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of a page of grants, and where the next one begins: None is the end."""

    results: Sequence[RetryResult | AbandonResult]
    following: Place | None = None


def check_names(conn: Connection, wanted: Wanted) -> None:
    """See that what grants are chosen by exists, so that a slip of the pen is not taken for "there are none".

    Raises:
        NotFound: there is no such activity, or there never was such a provider.
    """
    if wanted.activity_code is not None:
        activities.current(conn, wanted.activity_code)
    name = wanted.provider
    if name is not None and not providers.was_known(conn, name):
        raise NotFound(
            f"there is no outside provider {name!r}; `tactics providers list` shows those there are", provider=name
        )


def retry_page(
    app: TacticsApp, wanted: Wanted, *, runtime: Runtime, reason: str, after: Place | None = None, limit: int = PAGE
) -> Batch:
    """Retry the next grants of those that are wanted, the newest first.

    Args:
        app: database and broker.
        wanted: which.
        runtime: acting as whoever asks.
        reason: for the audit log.
        after: where the page before ended.
        limit: at most so many.

    Raises:
        NotFound: the activity or the provider that is wanted never was.
    """
    ids, following = _page(app.runtime, wanted, after, limit)
    return Batch(retry_each(app, ids, runtime=runtime, reason=reason), following)


def retry_each(app: TacticsApp, ids: Sequence[UUID], *, runtime: Runtime, reason: str) -> list[RetryResult]:
    """Retry these grants; one that somebody else works on is left alone."""
    done: list[RetryResult] = []
    try:
        for one in ids:
            try:
                done.append(begin_retry(app, runtime, one, reason))
            except (Busy, NotFound) as error:
                done.append(RetryResult(one, "nothing", error.message))
    finally:
        publish_retries(app, done)
    return done


def abandon_page(
    runtime: Runtime, wanted: Wanted, *, reason: str, after: Place | None = None, limit: int = PAGE
) -> Batch:
    """Abandon the next grants of those that are wanted; arguments as for `retry_page`."""
    ids, following = _page(runtime, wanted, after, limit)
    return Batch(abandon_each(runtime, ids, reason=reason), following)


def abandon_each(runtime: Runtime, ids: Sequence[UUID], *, reason: str) -> list[AbandonResult]:
    """Abandon these grants; one that somebody else works on is left alone."""
    done = []
    for one in ids:
        try:
            done.append(abandon_grant(runtime, one, reason=reason))
        except (Busy, NotFound) as error:
            done.append(AbandonResult(one, done=False, why=error.message))
    return done


def foresee_retry(runtime: Runtime, ids: Sequence[UUID]) -> Counter[str]:
    """Count what retrying these grants would do, by what becomes of them and why; nothing is changed."""
    found: Counter[str] = Counter()
    with runtime.engine.connect() as conn:
        for one in ids:
            row = grants.find(conn, one)
            if row is not None:
                seen = outlook(runtime, conn, row, outside_grants.find(conn, one))
                found[f"{seen.action}: {seen.why}"] += 1
    return found


def foresee_abandon(runtime: Runtime, ids: Sequence[UUID]) -> Counter[str]:
    """Count what abandoning these grants would do; nothing is changed."""
    found: Counter[str] = Counter()
    with runtime.engine.connect() as conn:
        for grant_id in ids:
            one = outside_grants.find(conn, grant_id)
            if one is None or not one.open:
                found["nothing: it is settled"] += 1
            elif is_asked(conn, one, providers.find(conn, one.provider)):
                found["nothing: the provider is being asked at this moment"] += 1
            else:
                found[f"abandon: it is {one.state}"] += 1
    return found


def pages(runtime: Runtime, wanted: Wanted, limit: int | None = None) -> Iterator[list[UUID]]:
    """Give the ids of the grants that are wanted, page by page, the newest first; at most `limit` of them."""
    after: Place | None = None
    left = limit
    while left is None or left > 0:
        ids, after = _page(runtime, wanted, after, PAGE if left is None else min(PAGE, left))
        if ids:
            yield ids
        left = None if left is None else left - len(ids)
        if after is None:
            return


def _page(runtime: Runtime, wanted: Wanted, after: Place | None, limit: int) -> tuple[list[UUID], Place | None]:
    with runtime.engine.connect() as conn:
        check_names(conn, wanted)
        found = grant_listing.places(conn, wanted, after=after, limit=limit + 1)
    kept = found[:limit]
    return [grant_id for _, grant_id in kept], kept[-1] if len(found) > limit else None
