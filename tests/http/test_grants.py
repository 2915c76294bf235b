"""Grants and parked work by HTTP: listed by pages along an index, shown whole, tried once more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tactics.store import grant_listing
from tests.driving import Drive, acted
from tests.http.conftest import Client
from tests.http.giving import give, problem, running

PATH = "/v1/grants"


def _all(api: Client, path: str, key: str, **params: Any) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = None
    while True:
        answer = api.get(path, params={**params, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        found += answer.json()[key]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


def test_grants_are_listed_newest_first_and_filtered(api: Client, live: Drive) -> None:
    """Each grant is on one page, also of those made in the same moment and while others come; filters join."""
    live.load(running(), running("tee"))
    for number in range(5):
        give(live, str(number))
    give(live, "1", "tee")
    moment = datetime.now(UTC) - timedelta(hours=2)
    live.run("UPDATE grant_record SET created_at = :moment WHERE user_id IN ('2', '3')", moment=moment)
    live.run("UPDATE grant_record SET created_at = now() WHERE user_id NOT IN ('2', '3')")
    live.run("UPDATE grant_record SET state = 'unknown' WHERE user_id = '4'")
    everything = _all(api, PATH, "grants")
    assert [one["grant_id"] for one in _all(api, PATH, "grants", limit=1)] == [one["grant_id"] for one in everything]
    places = [(one["created_at"], one["grant_id"]) for one in everything]
    assert places == sorted(places, reverse=True)
    assert {one["user_id"] for one in everything[-2:]} == {"2", "3"}
    first = api.get(PATH, params={"limit": 2}).json()
    give(live, "9")
    rest = _all(api, PATH, "grants", cursor=first["next_cursor"])
    assert [one["grant_id"] for one in [*first["grants"], *rest]] == [one["grant_id"] for one in everything]

    def users(**params: Any) -> list[str]:
        return sorted(one["user_id"] for one in _all(api, PATH, "grants", limit=2, **params))

    assert users(activity="tee") == ["1"]
    assert users(user_id="1") == ["1", "1"]
    assert users(user_id="1", activity="tea") == ["1"]
    assert users(state="unknown") == ["4"]
    assert users(state="granted", activity="tea") == ["0", "1", "2", "3", "9"]
    later = (moment + timedelta(seconds=1)).isoformat()
    assert users(to=later) == ["2", "3"]
    assert users(**{"from": moment.isoformat(), "to": later, "activity": "tea"}) == ["2", "3"]
    assert users(to=moment.isoformat()) == []
    assert problem(api.get(PATH, params={"state": "lost"})) == (422, "form")
    assert problem(api.get(PATH, params={"from": "2026-01-01T00:00:00"})) == (422, "form")


def test_a_grant_is_shown_with_lines_and_assets(api: Client, live: Drive) -> None:
    """A grant shows what it gave and what became of it."""
    live.load(running())
    asset = give(live, "1")
    api.post(f"/v1/assets/{asset['asset_id']}/redeem", json={"reference": "o1"})
    (listed,) = _all(api, PATH, "grants")
    shown = api.get(f"{PATH}/{listed['grant_id']}").json()
    (held,) = shown.pop("assets")
    assert {name: shown[name] for name in listed} == listed
    assert (shown["outside"], shown["attempts"], shown["retry"]["deducts"]) == (None, [], 0)
    assert (shown["usable"], shown["lines"][0]["benefit"], shown["idempotency_id"]) == (False, "c18", "tea:1:1")
    assert (held["asset_id"], held["status"], held["reference"]) == (asset["asset_id"], "redeemed", "o1")
    assert held["details"] == {"code": asset["code"]}
    assert problem(api.get(f"{PATH}/{uuid4()}")) == (404, "not_found")
    assert problem(api.get(f"{PATH}/seven")) == (422, "form")


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (grant_listing.Wanted(), "created_at_id"),
        (grant_listing.Wanted(activity_code="tea"), "activity_code_created_at_id"),
        (grant_listing.Wanted(state="refused"), "state_created_at_id"),
    ],
)
def test_a_page_of_grants_is_read_along_an_index(live: Drive, wanted: grant_listing.Wanted, index: str) -> None:
    """However many grants there are, a page reads them in order from an index, and sorts nothing."""
    with live.runtime.engine.connect() as conn:
        conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        conn.exec_driver_sql("LOAD 'auto_explain'")
        conn.exec_driver_sql("SET LOCAL auto_explain.log_min_duration = 0")
        notices: list[str] = []
        driver: Any = conn.connection.driver_connection
        driver.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        conn.exec_driver_sql("SET LOCAL client_min_messages = log")
        place = (datetime.now(UTC), UUID(int=0))
        assert grant_listing.listing(conn, wanted, after=place, limit=5) == []
    (plan,) = [one for one in notices if "grant_record" in one]
    assert index in plan
    assert "Sort" not in plan.replace("Sort Key", "")


def test_what_is_parked_is_listed_by_pages_and_tried_once_more(api: Client, live: Drive) -> None:
    """Parked events and executions are on one page each; trying some leaves the others, and trying twice changes nothing."""
    live.load(running())
    live.happen(*[acted(f"u {number}", at=datetime.now(UTC)) for number in range(4)])
    for number in range(3):
        live.visit(f"u {number}", "tea")
    live.run("UPDATE event SET parked_reason = 'gone', received_at = '2026-01-01Z' WHERE type = 'action'")
    live.run("UPDATE execution SET outcome = 'parked', reason = 'gone', finished_at = now()")
    live.run("UPDATE execution SET created_at = '2026-01-01Z' WHERE user_id <> 'u 0'")
    everything = _all(api, "/v1/parked", "parked")
    assert sorted(one["kind"] for one in everything) == ["event"] * 4 + ["execution"] * 3
    assert _all(api, "/v1/parked", "parked", limit=2) == everything
    assert everything[0]["user_id"] == "u 0"
    chosen = [everything[1]["id"], everything[-1]["id"]]
    assert api.post("/v1/parked/retry", json={"ids": chosen}).json() == {"retried": 2}
    assert api.post("/v1/parked/retry", json={"ids": chosen}).json() == {"retried": 0}
    left = [one["id"] for one in _all(api, "/v1/parked", "parked")]
    assert left == [one["id"] for one in everything if one["id"] not in chosen]
    assert api.post("/v1/parked/retry", json={"all": True}).json() == {"retried": 5}
    assert _all(api, "/v1/parked", "parked") == []
    refused: list[dict[str, Any]] = [{}, {"all": True, "ids": chosen}, {"all": False}, {"ids": []}]
    for body in refused:
        assert problem(api.post("/v1/parked/retry", json=body)) == (422, "form")
    assert problem(api.post("/v1/parked/retry", json={"ids": ["neither"]})) == (422, "bad_input")
    assert problem(api.get("/v1/parked", params={"cursor": "WyJ4IiwieSIsInoiXQ"})) == (422, "bad_input")
