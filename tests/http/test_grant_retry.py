"""Retrying and abandoning grants by HTTP: one, or page by page, in the name of whoever asks."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.driving import Drive
from tests.http.conftest import Client
from tests.http.giving import audited, problem, running
from tests.outside import connect

PATH = "/v1/grants"


def _pages(api: Client, path: str, **body: Any) -> tuple[list[Any], list[Any]]:
    done, skipped, cursor = [], [], None
    while True:
        answer = api.post(path, json={**body, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        done += found["done"]
        skipped += found["skipped"]
        cursor = found["next_cursor"]
        if cursor is None:
            return done, skipped


def _grant(api: Client, user: str, **params: Any) -> dict[str, Any]:
    (listed, *_) = api.get(PATH, params={"user_id": user, **params}).json()["grants"]
    return dict(api.get(f"{PATH}/{listed['grant_id']}").json())


def test_operators_see_retry_and_abandon_grants(api: Client, live: Drive) -> None:
    """What a retry would do is shown before, one and many are done once, and the audit log names who and why."""
    wallet = connect(live)
    coupon = {"kind": "coupon", "value_minor": 500, "stock": 20, "provider": "wallet"}
    live.load(running(benefits={"c18": coupon}))
    wallet.next.extend(["refused", "refused", "refused", "unclear", "unclear"])
    for number in range(6):
        live.visit(f"u{number}", "tea")
        live.work()
    assert len(api.get(PATH, params={"provider": "wallet"}).json()["grants"]) == 6
    assert api.get(PATH, params={"provider": "other"}).json()["grants"] == []

    shown = _grant(api, "u0")
    assert (shown["retry"]["action"], shown["retry"]["deducts"], shown["state"]) == ("renew", 1, "refused")
    assert shown["since"] == shown["settled_at"]
    assert [(one["kind"], one["answer"]) for one in shown["attempts"]] == [("call", "refused")]
    assert (shown["outside"]["provider"], shown["outside"]["calls"]) == ("wallet", 1)
    first = api.post(f"{PATH}/{shown['grant_id']}/retry", json={"reason": "again"})
    assert (first.status_code, first.json()["action"]) == (200, "renew"), first.text
    assert api.post(f"{PATH}/{shown['grant_id']}/retry").json()["action"] == "nothing"
    shown = api.get(f"{PATH}/{shown['grant_id']}").json()
    assert (shown["retried_as"], shown["retry"]["deducts"]) == (first.json()["execution_id"], 0)
    live.work()
    assert _grant(api, "u0", state="granted")["will_send_count"] == 2

    open_one = _grant(api, "u3")
    assert (open_one["state"], open_one["retry"]["action"], open_one["retry"]["deducts"]) == ("unknown", "ask", 0)
    given_up = api.post(f"{PATH}/{open_one['grant_id']}/abandon", json={"reason": "not in their books"})
    assert (given_up.status_code, given_up.json()["action"]) == (200, "abandon"), given_up.text
    assert api.post(f"{PATH}/{open_one['grant_id']}/abandon", json={"reason": "x"}).json()["action"] == "nothing"

    done, skipped = _pages(api, f"{PATH}/retry", activity="tea", limit=2, reason="all")
    assert sorted(one["action"] for one in done) == ["ask", "renew", "renew", "renew"]
    assert [one["why"].split(",")[0] for one in skipped] == ["it was retried before"]
    live.forget()
    live.settle()
    assert set(wallet.effects.values()) == {1}
    assert wallet.effects.total() == 6
    assert _pages(api, f"{PATH}/abandon", provider="wallet", reason="over") == ([], [])
    done, skipped = _pages(api, f"{PATH}/retry", **{"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"})
    assert (done, skipped) == ([], [])
    log = api.get("/v1/audit-log", params={"kind": "grant"}).json()["entries"]
    assert {one["actor"] for one in log} == {"local"}
    assert [one["after"]["reason"] for one in log if one["action"] == "abandoned"] == ["not in their books"]
    assert len(log) == 6
    assert not audited(live)


def test_what_cannot_be_asked_is_refused(api: Client) -> None:
    """Unknown grants, missing reasons, other keys and places of other lists are said, each with its code."""
    assert problem(api.post(f"{PATH}/{uuid4()}/retry")) == (404, "not_found")
    assert problem(api.post(f"{PATH}/{uuid4()}/abandon", json={"reason": "x"})) == (404, "not_found")
    bodies: list[dict[str, Any]] = [{}, {"reason": ""}, {"reason": None}, {"reason": "x", "begin": "2026-01-01T00:00Z"}]
    for body in bodies:
        assert problem(api.post(f"{PATH}/abandon", json={"all": True, **body})) == (422, "form")
    assert problem(api.get(f"{PATH}/retry")) == problem(api.get(f"{PATH}/abandon")) == (405, "method_not_allowed")
    assert problem(api.post(f"{PATH}/retry", json={"limit": 1_001})) == (422, "form")
    assert problem(api.post(f"{PATH}/retry", json={"all": True, "cursor": "WyJ4Il0"})) == (422, "bad_input")
    assert api.post(f"{PATH}/retry", json={"all": True}).json() == {"done": [], "skipped": [], "next_cursor": None}


def test_a_slip_of_the_pen_changes_nothing(api: Client, live: Drive) -> None:
    """Blank reasons, filters that are left out, and names that nobody has are refused, each where it stands."""
    live.load(running())
    one = uuid4()
    blank: list[tuple[str, dict[str, Any]]] = [("abandon", {"all": True}), ("retry", {"all": True})]
    for path, body in [*blank, (f"{one}/abandon", {}), (f"{one}/retry", {})]:
        answer = api.post(f"{PATH}/{path}", json={"reason": " \t ", **body})
        assert problem(answer) == (422, "form"), path
        assert [one["path"] for one in answer.json()["problems"]] == ["/reason"]
    moved = api.post("/v1/activities/tea/benefits/c18/movements", json={"delta": 1, "reason": " "})
    assert [one["path"] for one in moved.json()["problems"]] == ["/reason"]
    for verb in ("retry", "abandon"):
        nothing_named: list[dict[str, Any]] = [{}, {"limit": 5}, {"activity": None}, {"all": False}, {"all": None}]
        for body in nothing_named:
            assert problem(api.post(f"{PATH}/{verb}", json={"reason": "x", **body})) == (422, "form"), body
        for name in ("provider", "activity"):
            answer = api.post(f"{PATH}/{verb}", json={"reason": "x", name: "nobdy"})
            assert problem(answer) == (404, "not_found")
            assert "nobdy" in answer.json()["detail"]
        assert problem(api.post(f"{PATH}/{verb}", json={"reason": "x", "provider": ""})) == (422, "form")
        assert api.post(f"{PATH}/{verb}", json={"reason": "x", "activity": "tea"}).status_code == 200
