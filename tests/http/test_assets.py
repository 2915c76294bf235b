"""Assets by HTTP: listed, claimed, redeemed, released, revoked, and never by two orders."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from tactics import rules
from tests.driving import Drive
from tests.http.conftest import Client
from tests.http.giving import audited, give, giving, problem, running

THREADS = 8


def _change(api: Client, asset: dict[str, Any], verb: str, **body: Any) -> Any:
    return api.post(f"/v1/assets/{asset['asset_id']}/{verb}", **({"json": body} if body else {}))


def _pages(api: Client, path: str, key: str, **params: Any) -> list[list[Any]]:
    pages, cursor = [], None
    while True:
        answer = api.get(path, params={**params, **({"cursor": cursor} if cursor else {})}).json()
        pages.append(answer[key])
        cursor = answer["next_cursor"]
        if cursor is None:
            return pages


def test_a_users_assets_are_listed_by_pages_and_filters(api: Client, live: Drive) -> None:
    """Each asset of a user is on exactly one page, newest first; what is due shows as expired before it is written so."""
    twice = giving(rules.send_coupon("c18"), rules.give_points(7))
    live.load(running(rule=twice), running("tee", rule=twice))
    for code in ("tea", "tee"):
        give(live, "1", code)
    give(live, "2")
    path = "/v1/users/1/assets"
    (everything,) = _pages(api, path, "assets")
    pages = _pages(api, path, "assets", limit=3)
    assert [len(part) for part in pages] == [3, 1]
    assert [one for part in pages for one in part] == everything
    assert Counter(one["activity"] for one in everything) == {"tea": 2, "tee": 2}
    points = next(one for one in everything if one["kind"] == "points")
    assert (points["points"], points["code"], points["usable"]) == (7, None, True)
    _change(api, points, "redeem")
    past = datetime.now(UTC) - timedelta(days=1)
    coupon = next(one for one in everything if one["kind"] == "coupon")
    live.run("UPDATE asset SET valid_until = :past WHERE id::text = :id", past=past, id=coupon["asset_id"])

    def found(**params: Any) -> list[str]:
        return sorted(one["status"] for one in api.get(path, params=params).json()["assets"])

    assert found() == ["available", "available", "expired", "redeemed"]
    assert found(status="expired") == ["expired"]
    assert found(status="available") == ["available", "available"]
    assert found(usable="true") == ["available", "available"]
    assert found(usable="false") == ["expired", "redeemed"]
    assert [len(found(activity=code)) for code in ("tea", "tee", "tie")] == [2, 2, 0]
    assert api.get("/v1/users/nobody/assets").json() == {"assets": [], "next_cursor": None}
    assert api.get(f"/v1/assets/{coupon['asset_id']}").json()["status"] == "expired"
    assert problem(_change(api, coupon, "redeem")) == (409, "conflict")
    for cursor in ("x", "WyIxIiwiMiJd", "WyIyMDI2LTAxLTAxIiwiMiJd"):
        assert problem(api.get(path, params={"cursor": cursor})) == (422, "bad_input")


def test_changes_are_idempotent_and_what_the_state_does_not_allow_is_refused(api: Client, live: Drive) -> None:
    """Each change answers the asset afterwards, again the same; a refusal says the status that stays; unknown is a 404."""
    live.load(running())
    asset = give(live, "1")
    for verb, status in (("claim", "claimed"), ("redeem", "redeemed"), ("release", "available"), ("revoke", "revoked")):
        first, second = _change(api, asset, verb), _change(api, asset, verb)
        assert first.json() == second.json() == api.get(f"/v1/assets/{asset['asset_id']}").json()
        assert (first.status_code, first.json()["status"]) == (200, status)
        assert first.json()["usable"] is (status in {"claimed", "available"})
    refused = _change(api, asset, "redeem")
    assert problem(refused) == (409, "conflict")
    assert (refused.json()["asset_status"], refused.json()["reason"]) == ("revoked", "revoked")
    for verb in ("claim", "redeem", "release", "revoke"):
        assert problem(api.post(f"/v1/assets/{uuid4()}/{verb}")) == (404, "not_found")
    assert problem(api.get(f"/v1/assets/{uuid4()}")) == (404, "not_found")
    assert problem(api.get("/v1/assets/7")) == (422, "form")
    assert audited(live) == []


def test_only_the_order_that_redeemed_an_asset_is_told_so(api: Client, live: Drive) -> None:
    """With a reference, 200 means that this order has it; another order, or a redemption without one, is a 409."""
    live.load(running())
    asset = give(live, "1")
    mine = _change(api, asset, "redeem", reference="o1")
    assert (mine.status_code, mine.json()["status"], mine.json()["reference"]) == (200, "redeemed", "o1")
    assert _change(api, asset, "redeem", reference="o1").json() == mine.json()
    assert _change(api, asset, "redeem").json() == mine.json()
    for verb in ("redeem", "release"):
        refused = _change(api, asset, verb, reference="o2")
        assert (problem(refused), refused.json()["reason"]) == ((409, "conflict"), "other_order")
    freed = _change(api, asset, "release", reference="o1").json()
    assert (freed["status"], freed["reference"]) == ("available", None)
    assert _change(api, asset, "redeem", reference="o2").json()["reference"] == "o2"
    # The first order's cancellation is told again, late: it must not free what the second one has.
    assert problem(_change(api, asset, "release", reference="o1")) == (409, "conflict")
    assert _change(api, asset, "release").json()["status"] == "available"
    _change(api, asset, "redeem")
    assert problem(_change(api, asset, "redeem", reference="o3")) == (409, "conflict")


def test_what_happened_before_the_last_change_is_overtaken(api: Client, live: Drive) -> None:
    """A change reported late, by its time, changes nothing; told for an order it is no success either."""
    live.load(running())
    asset = give(live, "1")
    early = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    _change(api, asset, "redeem", reference="o1")
    assert _change(api, asset, "release", at=early).json()["status"] == "redeemed"
    late = _change(api, asset, "release", at=early, reference="o1")
    assert (problem(late), late.json()["reason"]) == ((409, "conflict"), "overtaken")
    assert _change(api, asset, "redeem", at=early, reference="o1").json()["status"] == "redeemed"
    assert _change(api, asset, "release").json()["status"] == "available"
    assert problem(_change(api, asset, "redeem", at=early, reference="o1")) == (409, "conflict")
    for at in (7, "2026-01-01T00:00:00", "yesterday"):
        assert problem(_change(api, asset, "claim", at=at)) == (422, "form")


def test_many_orders_at_once_redeem_an_asset_once(api: Client, live: Drive) -> None:
    """Of orders that redeem and release one asset at the same time, a success is never told to two at once."""
    live.load(running())
    asset = give(live, "1")

    def order(number: int) -> list[tuple[str, int]]:
        told = []
        for verb in ("redeem", "release", "redeem"):
            answer = _change(api, asset, verb, reference=f"o{number}")
            told.append((verb, answer.status_code))
            if answer.status_code == 200:
                done = answer.json()
                if verb == "redeem":
                    assert (done["status"], done["reference"]) == ("redeemed", f"o{number}")
                else:
                    assert done["status"] == "available"
            else:
                assert problem(answer) == (409, "conflict")
        return told

    with ThreadPoolExecutor(THREADS) as pool:
        told = list(pool.map(order, range(THREADS)))
    final = api.get(f"/v1/assets/{asset['asset_id']}").json()
    # Whoever's last redeeming was a success has it still, for nobody else can release it.
    holders = [f"o{number}" for number, steps in enumerate(told) if steps[-1] == ("redeem", 200)]
    assert holders == ([final["reference"]] if final["status"] == "redeemed" else [])
    assert any(steps[0] == ("redeem", 200) for steps in told)
    assert audited(live) == []


def test_without_an_order_threads_see_only_what_the_states_allow(api: Client, live: Drive) -> None:
    """Redeeming, releasing and redeeming again from many threads never fails, and the last word is what is stored."""
    live.load(running())
    asset = give(live, "1")
    verbs = ["redeem", "release"] * THREADS + ["redeem"]
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda verb: (verb, _change(api, asset, verb)), verbs))
    for verb, answer in answers:
        expected = "redeemed" if verb == "redeem" else "available"
        assert (answer.status_code, answer.json()["status"]) == (200, expected)
    assert _change(api, asset, "redeem").json()["status"] == "redeemed"
    assert audited(live) == []


def test_a_change_waits_for_another_only_for_a_while(api: Client, live: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody keeps what is to be changed for too long, who asks is told to ask again, and nothing has happened."""
    live.load(running())
    asset = give(live, "ann")
    monkeypatch.setattr("tactics.api.access.PATIENCE_MS", 50)
    with live.runtime.engine.begin() as conn:
        conn.execute(text("SELECT FROM instance FOR UPDATE"))
        answer = api.post(f"/v1/assets/{asset['asset_id']}/claim")
    assert problem(answer) == (409, "busy")
    assert answer.headers["Retry-After"] == "1"
    again = api.post(f"/v1/assets/{asset['asset_id']}/claim")
    assert (again.status_code, again.json()["status"]) == (200, "claimed")
