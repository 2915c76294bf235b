"""Our grants against a provider's own list: each kind of difference is found, none where there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tactics.domain.provider import ListedGrant, Provider, ProviderPage
from tactics.errors import BadInput, GatewayError, NotFound
from tactics.flows import provider_list
from tactics.store import providers
from tactics.store.audit import audit
from tests.driving import NOON, Drive, at_checkout
from tests.outside import Wallet, connect

LIST = "https://wallet.example/list"


def _differences(drive: Drive, provider: Provider, *, settle: bool = False) -> list[tuple[str, str, str | None]]:
    # The first calls are by the clock, whatever the business time.
    begin, end = provider_list.span(drive.runtime, None, None)
    end += timedelta(minutes=1)
    found = provider_list.compare_with_list(drive.runtime, provider, begin, end, settle=settle)
    return sorted((one.difference.kind, one.difference.idempotency_id, one.settled) for one in found)


def _visits(drive: Drive, wallet: Wallet, **endings: Any) -> None:
    for user, ending in endings.items():
        wallet.next.append(ending)
        drive.visit(user)
        drive.work()
    drive.forget()


def test_each_difference_is_found_and_what_is_decided_there_is_settled(drive: Drive) -> None:
    """Missing on either side, open here, twice there, of another value; afterwards only people's work is left."""
    wallet = connect(drive, list_url=LIST)
    coupon = {"kind": "coupon", "value_minor": 500, "stock": 20, "provider": "wallet"}
    drive.load(at_checkout(benefits={"c18": coupon}))
    fine = dict.fromkeys(("a", "b", "c:d", "e"), "granted")
    _visits(drive, wallet, **fine)
    assert _differences(drive, wallet.provider) == []
    _visits(drive, wallet, f="refused", g="given_but_unclear", h="unclear", i="unclear", k="given_but_unclear")
    del wallet.effects["camp18:a:1"]
    wallet.effects["camp18:b:1"] += 1
    wallet.effects.update({"camp18:f:1": 1, "camp18:nobody:1": 1, "not one of ours": 1, "a:b:99999999999999": 1})
    listed = wallet.listing

    def listing(provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        page = listed(provider, begin, end, cursor)
        told = [replace(one, value_minor=400 if one.idempotency_id == "camp18:e:1" else 500) for one in page.grants]
        more = [ListedGrant("camp18:h:1", "refused"), ListedGrant("camp18:i:1", "pending")] if cursor is None else []
        return ProviderPage([*told, *more], page.next_cursor)

    wallet.listing = listing  # type: ignore[method-assign]  # this one's own
    people = [
        ("doubled", "camp18:b:1", None),
        ("missing_at_provider", "camp18:a:1", None),
        ("missing_here", "a:b:99999999999999", None),
        ("missing_here", "camp18:f:1", None),
        ("missing_here", "camp18:nobody:1", None),
        ("missing_here", "not one of ours", None),
        ("value", "camp18:e:1", None),
    ]
    opened = [("open_here", f"camp18:{user}:1") for user in "ghk"]
    assert _differences(drive, wallet.provider) == sorted([*people, *[(*one, None) for one in opened]])
    states = "SELECT user_id, state FROM grant_record WHERE user_id IN ('g', 'h', 'i', 'k') ORDER BY user_id"
    assert {state for _, state in drive.rows(states)} == {"unknown"}
    calls = len(wallet.calls)
    settled = dict(zip(opened, ("granted", "refused", "granted"), strict=True))
    expected = sorted([*people, *[(*one, state) for one, state in settled.items()]])
    assert _differences(drive, wallet.provider, settle=True) == expected
    assert drive.rows(states) == [("g", "granted"), ("h", "refused"), ("i", "unknown"), ("k", "granted")]
    assert drive.value("SELECT remaining FROM benefit") == 20 - 7
    assert len(wallet.calls) == calls
    assert _differences(drive, wallet.provider, settle=True) == people
    assert drive.value("SELECT count(*) FROM audit_log WHERE kind = 'grant' AND action = 'settled'") == 3
    with drive.runtime.engine.connect() as conn:
        assert not list(audit(conn))


def test_a_list_that_cannot_be_read_settles_nothing_and_leaves_nothing_behind(drive: Drive) -> None:
    """What fails on the second page is told; asked again on the same connections it compares as ever."""
    wallet = connect(drive, list_url=LIST)
    wallet.effects = Counter({f"camp18:{number}:1": 1 for number in range(5)})
    listed = wallet.listing

    def fail(provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        if cursor is not None:
            raise GatewayError("no second page: as the test wants it")
        return listed(provider, begin, end, cursor)

    wallet.listing = fail  # type: ignore[method-assign]  # this one's own
    with pytest.raises(GatewayError):
        _differences(drive, wallet.provider, settle=True)
    wallet.listing = listed  # type: ignore[method-assign]  # as above
    assert len(_differences(drive, wallet.provider)) == 5
    with drive.runtime.engine.begin() as conn:
        providers.save(conn, Provider("mute", "https://mute.example/"))
    assert [one.name for one in provider_list.listing_providers(drive.runtime, None)] == ["wallet"]
    with pytest.raises(BadInput):
        provider_list.listing_providers(drive.runtime, "mute")
    with pytest.raises(NotFound):
        provider_list.listing_providers(drive.runtime, "nobody")
    with pytest.raises(BadInput):
        provider_list.span(drive.runtime, NOON, NOON)
