"""Outside benefit systems over their life: set up, given a secret to know us by, tried out, removed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import redis
from sqlalchemy import Connection

from tactics.domain.activity import refused
from tactics.domain.provider import Provider
from tactics.domain.provider_document import addresses, parse_provider, provider_document
from tactics.errors import BadInput, Conflict, GatewayError, NotFound
from tactics.flows.reading import Around, transaction
from tactics.gateways.signing import new_secret
from tactics.runtime import Runtime
from tactics.store import provider_gate, providers
from tactics.store.activities import Change
from tactics.store.provider_gate import HeldBack

MOST_NAMED = 5
"""So many grants are named in an error."""
MOST_SECRETS = 2
_LISTED_S = 60


@dataclass(frozen=True, slots=True)
class SavedProvider:
    """What saving a provider came to."""

    provider: Provider
    change: Change


@dataclass(frozen=True, slots=True)
class Seen:
    """What a trial of one of a provider's addresses saw; `ok` is None where there was nothing to try."""

    what: str
    ok: bool | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def save(runtime: Runtime, document: Mapping[str, Any], *, around: Around = nullcontext) -> SavedProvider:
    """Save a provider whole; the same again changes nothing, and its secrets stay.

    Args:
        runtime: the process's runtime; its settings say which addresses may be called.
        document: as `parse_provider` reads it.
        around: surrounds it within its transaction.

    Raises:
        BadInput: with all `problems`.
    """
    said = parse_provider(document)
    problems = list(_address_problems(runtime, said))
    if problems:
        raise refused("provider", said.name, problems)
    with transaction(runtime, around) as conn:
        return _save(conn, said)


def change(runtime: Runtime, name: str, changes: Mapping[str, Any]) -> SavedProvider:
    """Change what is said of a provider, or set up a new one; what is not named stays.

    Args:
        runtime: as for `save`.
        name: the provider's.
        changes: other members of its document.

    Raises:
        BadInput: with all `problems`.
    """
    with runtime.engine.connect() as conn:
        found = providers.find(conn, name)
    before = provider_document(found) if found else {}
    return save(runtime, {**before, **changes, "name": name})


def rotate_secret(runtime: Runtime, name: str, *, around: Around = nullcontext) -> str:
    """Make a provider's next signing secret: calls carry a signature by it, and one by the secret before.

    Returns:
        The secret, which is told once.

    Raises:
        NotFound: there is no such provider.
    """
    made = new_secret()
    with transaction(runtime, around) as conn:
        found(conn, name)
        providers.put_secret_first(conn, name, made)
    return made


def remove(runtime: Runtime, name: str, *, around: Around = nullcontext) -> None:
    """Remove a provider that nobody needs any more.

    Raises:
        NotFound: there is no such provider.
        Conflict: live activities give its benefits, or grants are still being settled with it.
    """
    with transaction(runtime, around) as conn:
        found(conn, name)
        codes = providers.live_activities(conn, name)
        if codes:
            raise Conflict(
                f"provider {name!r} gives benefits of live activities: {', '.join(codes)}; pause them first, or "
                "disable the provider: its grants then wait",
                provider=name,
                activities=codes,
            )
        grants = providers.open_grants(conn, name, MOST_NAMED + 1)
        if grants:
            named = ", ".join(map(str, grants[:MOST_NAMED])) + (" and more" if len(grants) > MOST_NAMED else "")
            raise Conflict(
                f"provider {name!r} has not settled grants {named}: settle them first",
                provider=name,
                grants=[str(one) for one in grants[:MOST_NAMED]],
            )
        providers.remove(conn, name)


def found(conn: Connection, name: str) -> Provider:
    """Give a provider.

    Raises:
        NotFound: there is no such provider.
    """
    one = providers.find(conn, name)
    if one is None:
        raise NotFound(f"there is no provider {name!r}; `tactics providers list` shows those there are", provider=name)
    return one


def shown(provider: Provider) -> dict[str, Any]:
    """Give a provider as it is shown: of its signing secrets, only how many there are."""
    return {**provider_document(provider), "signing_secrets": len(provider.signing_secrets)}


def held_back(runtime: Runtime, name: str) -> HeldBack | None:
    """Tell how long the workers call a provider no more, because it failed; None: they do, or Redis cannot say."""
    try:
        return provider_gate.held_back(runtime.redis, provider_gate.gate_of(name))
    except redis.RedisError:
        return None


def held_back_said(held: HeldBack | None) -> str | None:
    """Put into words how long nobody calls a provider; None where it is called."""
    if held is None:
        return None
    many = "1 failure" if held.failures == 1 else f"{held.failures} failures in a row"
    return f"held back for another {math.ceil(held.wait_s)} s after {many}"


def try_out(runtime: Runtime, name: str) -> list[Seen]:
    """Call a provider without asking for any grant: each address, as far as that shows whether it would work.

    Raises:
        NotFound: there is no such provider.
    """
    with runtime.engine.connect() as conn:
        provider = found(conn, name)
    return [_reached(runtime, provider), _looked_up(runtime, provider), _listed(runtime, provider)]


def _save(conn: Connection, said: Provider) -> SavedProvider:
    before = providers.find(conn, said.name)
    if before is None:
        providers.save(conn, said)
        return SavedProvider(said, "new")
    said = replace(said, signing_secrets=before.signing_secrets)
    if said == before:
        return SavedProvider(said, "unchanged")
    providers.save(conn, said)
    return SavedProvider(said, "updated")


def _address_problems(runtime: Runtime, said: Provider) -> Iterator[dict[str, str]]:
    for name, url in addresses(said).items():
        try:
            runtime.gateways.outbound.check_url(url)
        except BadInput as error:
            yield {"path": f"/{name}", "message": error.message}


def _reached(runtime: Runtime, provider: Provider) -> Seen:
    # HEAD asks for nothing (RFC 9110, 9.2.1): whatever the answer, name, allow-list, connection and TLS are good. The
    # connection is not used again, for some answer HEAD with a body, which would be taken for the next answer.
    try:
        reply = runtime.gateways.outbound.request(
            "HEAD", provider.url, headers={"Connection": "close"}, deadline_s=provider.timeout_ms / 1_000
        )
    except GatewayError as error:
        return Seen("url", ok=False, text=error.message)
    return Seen("url", ok=True, text=f"reached; HEAD is answered with status {reply.status}, whatever that means there")


def _looked_up(runtime: Runtime, provider: Provider) -> Seen:
    if provider.look_up_url is None:
        then = "is repeated under the same id" if provider.idempotent else "is parked, for an operator to look into"
        return Seen("look_up_url", ok=None, text=f"there is none: what is unclear {then}")
    answer = runtime.gateways.benefits.look_up(provider, f"tactics-test:{uuid4()}")
    match answer.kind:
        case "unknown_id":
            return Seen("look_up_url", ok=True, text=f"of an id that nobody has used, it {answer.text}")
        case "granted" | "refused" | "pending":
            return Seen("look_up_url", ok=False, text=f"it says of an id that nobody has used: {answer.text}")
        case _:
            return Seen("look_up_url", ok=False, text=answer.text)


def _listed(runtime: Runtime, provider: Provider) -> Seen:
    if provider.list_url is None:
        return Seen("list_url", ok=None, text="there is none: its grants cannot be compared with ours")
    with runtime.engine.connect() as conn:
        now = runtime.now(conn)
    try:
        page = runtime.gateways.benefits.listing(provider, now - timedelta(seconds=_LISTED_S), now)
    except GatewayError as error:
        return Seen("list_url", ok=False, text=error.message)
    more = " and more" if page.next_cursor else ""
    return Seen("list_url", ok=True, text=f"it lists {len(page.grants)}{more} of the last {_LISTED_S} s")
