"""Our records against a provider's own list: what differs, and what the list settles.

Read top-down: read its list → compare → settle what it has decided and is still open here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tactics import settling
from tactics.domain.erased import PREFIX
from tactics.domain.plain import plain_problem
from tactics.domain.provider import Provider, ProviderAnswer
from tactics.errors import BadInput, GatewayError, NotFound
from tactics.flows.grant_outlook import is_asked
from tactics.flows.settle import business_now
from tactics.runtime import Runtime
from tactics.store import audit_log, grant_retries, provider_list, providers
from tactics.store.provider_list import Difference

SPAN_S = 86_400.0
"""What is compared where nothing else is said: the last day."""
# Clocks differ, and what a provider lists by is its own.
_SLACK_S = 600.0


@dataclass(frozen=True, slots=True)
class Compared:
    """A difference, and the state that the grant was settled to; None where nothing was settled."""

    difference: Difference
    settled: str | None = None


def listing_providers(runtime: Runtime, name: str | None) -> list[Provider]:
    """Give the providers whose lists can be compared: the named one, or all that list.

    Raises:
        NotFound: there is no such provider.
        BadInput: it does not list its grants.
    """
    with runtime.engine.connect() as conn:
        if name is None:
            return [one for one in providers.listing(conn) if one.list_url is not None]
        found = providers.find(conn, name)
    if found is None:
        raise NotFound(f"there is no provider {name!r}: `tactics providers list` shows them", provider=name)
    if found.list_url is None:
        raise BadInput(f"provider {name!r} has no list_url: it cannot list its grants", problems=[])
    return [found]


def span(runtime: Runtime, begin: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Give the time that is compared: up to now, and from a day before the end, where nothing else is said.

    Raises:
        BadInput: it ends before it begins.
    """
    with runtime.engine.connect() as conn:
        until = end or runtime.now(conn)
    since = begin or until - timedelta(seconds=SPAN_S)
    if since >= until:
        raise BadInput("the time that is to be compared ends before it begins", problems=[])
    return since, until


def compare_with_list(
    runtime: Runtime, provider: Provider, begin: datetime, end: datetime, *, settle: bool = False
) -> Iterator[Compared]:
    """Compare our grants with a provider's list.

    Args:
        runtime: database and gateway, acting as whoever asks.
        provider: which lists its grants.
        begin: grants first asked for from then on are looked for in the list.
        end: and before then. The list is read for as much longer as a call may be repeated, so that what the provider
            gave late is in it.
        settle: write what the list has decided and is open here. What is listed as refused is only reported where the
            list has it twice, a look-up does not say so too, or somebody may be asking the provider.

    Yields:
        Each difference, as it is found.

    Raises:
        GatewayError: the list cannot be read, or does not end.
    """
    with runtime.engine.connect() as conn:
        asked_at = provider_list.begin(conn)
        conn.commit()
        try:
            for foreign in _read(runtime, conn, provider, begin, end):
                yield Compared(foreign)
            to_settle: list[Difference] = []
            for one in provider_list.compare(
                conn, provider.name, begin=begin, end=end, asked_at=asked_at, erased=PREFIX
            ):
                if settle and one.kind == "open_here":
                    to_settle.append(one)  # the provider may be asked for each: not within this transaction
                else:
                    yield Compared(one)
            conn.rollback()
            for one in to_settle:
                yield Compared(one, _settle(runtime, provider, one))
        finally:
            conn.rollback()
            provider_list.end(conn)
            conn.commit()


def _read(
    runtime: Runtime, conn: Connection, provider: Provider, begin: datetime, end: datetime
) -> Iterator[Difference]:
    """Keep the list; what it granted under ids that nothing here can have is told at once."""
    slack = timedelta(seconds=_SLACK_S)
    seen: set[str | None] = {None}
    cursor: str | None = None
    foreign: Counter[str] = Counter()
    while True:
        page = runtime.gateways.benefits.listing(
            provider, begin - slack, end + timedelta(seconds=provider.remembers_s) + slack, cursor
        )
        provider_list.add(conn, [one for one in page.grants if plain_problem(one.idempotency_id) is None])
        conn.commit()  # the next page is not waited for in a transaction
        foreign.update(
            one.idempotency_id for one in page.grants if one.status == "granted" and plain_problem(one.idempotency_id)
        )
        cursor = page.next_cursor
        if cursor is None:
            break
        if cursor in seen:
            raise GatewayError(
                f"provider {provider.name!r}: its list does not end: it gave the same next_cursor twice",
                provider=provider.name,
            )
        seen.add(cursor)
    for name, times in foreign.items():
        escaped = json.dumps(name)[1:-1]
        yield Difference("missing_here", escaped, None, None, "granted", None, None, times)


def _decided(runtime: Runtime, provider: Provider, one: Difference) -> ProviderAnswer | None:
    """Give what the provider has decided; None where it is not certain that it will never be given.

    What was given stays given, whoever says so. To free what is reserved takes more: nothing may speak against it.
    """
    listed = ProviderAnswer("granted" if one.there == "granted" else "refused", "as its list has it")
    if provider.look_up_url is None:
        return listed if listed.kind == "granted" or one.times == 1 else None
    asked = runtime.gateways.benefits.look_up(provider, one.idempotency_id)
    if asked.kind == "granted":
        return asked
    if listed.kind == "granted":
        return listed if asked.kind != "refused" else None
    return asked if asked.kind == "refused" and one.times == 1 else None


def _settle(runtime: Runtime, provider: Provider, one: Difference) -> str | None:
    """Write what the provider has decided: as it says itself where it can be asked by id, else as its list has it."""
    if one.grant_id is None:
        return None
    answer = _decided(runtime, provider, one)
    if answer is None:
        return None
    with runtime.changing() as conn:
        found = settling.locked(conn, one.grant_id)
        if found is None or not found.open:
            return None if found is None else found.state
        if answer.kind == "refused":
            if is_asked(conn, found, provider):  # a call on its way may still give it
                return None
            grant_retries.fence(conn, found)
        state = settling.settle(conn, found, answer, business_now(runtime, conn, found))
        after = {"state": state, "reason": f"provider {provider.name!r} has it in its list"}
        audit_log.add(
            conn,
            action="settled",
            kind="grant",
            subject=str(one.grant_id),
            before={"state": found.state},
            after=after,
        )
    return state
