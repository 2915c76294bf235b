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


def test_nothing_is_refused_by_a_list_that_is_not_certain(drive: Drive) -> None:
    """Granted wins over refused, wherever it stands; refused is reported alone where a look-up or a call may say otherwise."""
    wallet = connect(drive, list_url=LIST)
    coupon = {"kind": "coupon", "value_minor": 500, "stock": 20, "provider": "wallet"}
    drive.load(at_checkout(benefits={"c18": coupon}))
    _visits(drive, wallet, **dict.fromkeys("abcd", "unclear"))
    names = [f"camp18:{user}:1" for user in "abcd"]
    pages: list[list[tuple[str, str]]] = [
        [(names[0], "refused"), (names[0], "granted"), (names[1], "refused"), (names[2], "refused")],
        [(names[1], "granted"), (names[2], "refused"), (names[3], "refused")],
    ]

    def listing(provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        page = pages[int(cursor or 0)]
        return ProviderPage([ListedGrant(*one) for one in page], "1" if cursor is None else None)

    def settled(provider: Provider = wallet.provider) -> dict[str, str | None]:
        found = _differences(drive, provider, settle=True)
        return {name: state for kind, name, state in found if kind == "open_here"}

    wallet.listing = listing  # type: ignore[method-assign]  # this one's own
    # The call to the last one may still be under way.
    drive.run("UPDATE provider_attempt SET finished_at = NULL, answer = NULL, text = NULL WHERE user_id = 'd'")
    assert settled() == dict(zip(names, ("granted", "granted", None, None), strict=True))
    drive.run("UPDATE provider_attempt SET started_at = started_at - interval '1 hour'")
    pages[:] = [[(names[2], "refused")], [(names[3], "refused")]]
    able = replace(wallet.provider, look_up_url="https://wallet.example/look/{idempotency_id}")
    wallet.next.extend(["unclear", "pending"])
    assert settled(able) == {names[2]: None, names[3]: None}
    wallet.effects[names[3]] = 1
    assert settled(able) == {names[2]: None, names[3]: "granted"}  # a call may still reach whoever knows of none
    attempts = "SELECT attempts FROM outside_grant WHERE user_id = 'c'"
    before = drive.value(attempts)
    assert settled() == {names[2]: "refused"}
    assert drive.value(attempts) == before + 1  # a worker that was about to ask is late now
    assert drive.rows("SELECT user_id, state FROM grant_record ORDER BY 1") == [
        ("a", "granted"), ("b", "granted"), ("c", "refused"), ("d", "granted")]  # fmt: skip


def test_a_list_without_end_and_ids_that_nothing_has_are_told(drive: Drive) -> None:
    """A cursor that comes again ends the comparison with an error; ids that cannot be stored are shown escaped, as not ours."""
    wallet = connect(drive, list_url=LIST)
    odd = ["a\x00:b:1", "a:\ud800:1", "a:\ud800:1"]

    def listing(provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        page = [ListedGrant("x\x00", "refused"), *[ListedGrant(one, "granted") for one in odd]]
        return ProviderPage(page, {None: "1", "1": "2", "2": ends}[cursor])

    wallet.listing = listing  # type: ignore[method-assign]  # this one's own
    ends: str | None = "1"
    with pytest.raises(GatewayError, match="its list does not end"):
        _differences(drive, wallet.provider)
    ends = None
    assert _differences(drive, wallet.provider, settle=True) == [
        ("missing_here", r"a:\ud800:1", None),
        ("missing_here", r"a\u0000:b:1", None),
    ]
