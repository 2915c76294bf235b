"""Outside benefit systems by HTTP: set up, shown without secrets, removed when nobody needs them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driving import Drive, Maker, at_checkout
from tests.http.conftest import Client
from tests.http.test_auth import bearer, make

AT = "/v1/providers"
WALLET = f"{AT}/wallet"
SAID = {"url": "https://wallet.example.com/grants"}


@pytest.fixture
def live(driven: Maker) -> Drive:
    """A drive that may call some hosts."""
    return driven(replay=False, outbound_hosts=("*.example.com", "http://plain.test:8080"))


def _paths(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input"), answer.text
    return {one["path"] for one in answer.json()["problems"]}


def _secrets(live: Drive) -> list[str]:
    return list(live.value("SELECT signing_secrets FROM provider WHERE name = 'wallet'"))


def test_a_provider_is_saved_edited_and_removed(api: Client, live: Drive) -> None:
    """The same again changes nothing, an edit of what somebody else changed is refused, what is left out has its default."""
    new = api.put(WALLET, json=SAID, headers={"If-None-Match": "*"})
    assert (new.status_code, new.headers["location"]) == (201, WALLET)
    assert new.json() == {"name": "wallet", "change": "new", "signing_secrets": 0}
    shown = api.get(WALLET)
    assert shown.headers["etag"] == new.headers["etag"]
    defaults = {"idempotent": True, "remembers_s": 86_400, "timeout_ms": 5_000, "max_concurrency": 8, "enabled": True}
    nowhere = {"look_up_url": None, "list_url": None}
    assert shown.json() == {"name": "wallet", **SAID, **nowhere, **defaults, "signing_secrets": 0}
    again = api.put(WALLET, json=SAID)
    assert (again.status_code, again.json()["change"], again.headers["etag"]) == (
        200,
        "unchanged",
        shown.headers["etag"],
    )
    asked = {**SAID, "look_up_url": "https://wallet.example.com/grants/{idempotency_id}", "enabled": False}
    edited = api.put(WALLET, json=asked, headers={"If-Match": shown.headers["etag"]})
    assert (edited.status_code, edited.json()["change"]) == (200, "updated")
    assert api.put(WALLET, json=SAID, headers={"If-Match": shown.headers["etag"]}).status_code == 412
    assert api.put(WALLET, json=SAID, headers={"If-None-Match": "*"}).status_code == 412
    assert api.get(WALLET).json()["enabled"] is False
    for name in ("a", "b"):
        assert api.put(f"{AT}/{name}", json={"url": "http://plain.test:8080/g"}).status_code == 201
    first = api.get(AT, params={"limit": 2}).json()
    rest = api.get(AT, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["name"] for part in (first, rest) for one in part["providers"]] == ["a", "b", "wallet"]
    assert rest["next_cursor"] is None
    assert api.delete(WALLET, headers={"If-Match": shown.headers["etag"]}).status_code == 412
    assert api.delete(WALLET, headers={"If-Match": edited.headers["etag"]}).status_code == 204
    for answer in (api.get(WALLET), api.delete(WALLET), api.post(f"{WALLET}/rotate-secret")):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_secrets_are_told_once_and_two_are_kept(api: Client, live: Drive) -> None:
    """A new secret stands first, the one before stays beside it; nothing else says them, the audit log only that they changed."""
    api.put(WALLET, json=SAID)
    made = []
    for number in range(1, 4):
        tag = api.get(WALLET).headers["etag"]
        answer = api.post(f"{WALLET}/rotate-secret", headers={"If-Match": tag})
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        made.append(answer.json()["signing_secret"])
        assert made[-1].startswith("whsec_")
        assert _secrets(live) == made[::-1][:2]
        assert api.get(WALLET).headers["etag"] == answer.headers["etag"] != tag
        assert api.get(WALLET).json()["signing_secrets"] == min(number, 2)
        # Who did not see the last exchange would push out the secret that is in use.
        assert api.post(f"{WALLET}/rotate-secret", headers={"If-Match": tag}).status_code == 412
    saved = api.put(WALLET, json={**SAID, "timeout_ms": 100})
    assert (saved.json()["change"], saved.json()["signing_secrets"], _secrets(live)) == ("updated", 2, made[:0:-1])
    log = api.get("/v1/audit-log", params={"kind": "provider", "subject": "wallet"})
    said = f"{log.text}{api.get(AT).text}{api.get(WALLET).text}{saved.text}"
    assert not [one for one in made if one in said]
    entries = log.json()["entries"]
    assert [one["action"] for one in entries] == [*["changed"] * 4, "created"]
    assert (entries[0]["before"]["timeout_ms"], entries[0]["after"]["timeout_ms"]) == (5_000, 100)
    hashes = [one["after"]["signing_secrets_md5"] for one in entries]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[1:])) == 4
    assert api.delete(WALLET).status_code == 204
    assert api.get("/v1/audit-log", params={"kind": "provider"}).json()["entries"][0]["action"] == "deleted"


def test_mistakes_are_named_and_nothing_is_stored(api: Client, live: Drive) -> None:
    """Every address must be one that may be called, and each member what it says; the name `local` is taken."""
    look_up = "https://wallet.example.com/{idempotency_id}"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"url": "https://elsewhere.test/grants"}, "/url"),
        ({"url": "http://wallet.example.com/grants"}, "/url"),
        ({"url": "https://user:secret@wallet.example.com/"}, "/url"),
        ({**SAID, "look_up_url": "https://wallet.example.com/grants"}, "/look_up_url"),
        ({**SAID, "look_up_url": "https://{idempotency_id}.example.com/grants"}, "/look_up_url"),
        ({**SAID, "look_up_url": look_up.replace("wallet.example.com", "elsewhere.test")}, "/look_up_url"),
        ({**SAID, "list_url": "ftp://wallet.example.com/"}, "/list_url"),
        ({**SAID, "remembers_s": 20}, "/remembers_s"),
        ({**SAID, "remembers_s": 120, "timeout_ms": 30_000}, "/remembers_s"),
    ]
    for body, path in wrong:
        assert _paths(api.put(WALLET, json=body)) == {path}, body
    for body in (
        {},
        {**SAID, "timeout_ms": 30_001},
        {**SAID, "max_concurrency": 0},
        {**SAID, "enabled": "no"},
        {**SAID, "signing_secrets": ["whsec_x"]},
        {**SAID, "url": None},
        {"url": "https://wallet.example.com/\x00"},
    ):
        assert api.put(WALLET, json=body).status_code == 422, body
    assert _paths(api.put(f"{AT}/local", json=SAID)) == {"/name"}
    assert api.put(f"{AT}/a%20b", json=SAID).status_code == 422
    assert api.put(WALLET, json={**SAID, "remembers_s": 21, "look_up_url": look_up}).status_code == 201
    assert live.rows("SELECT name FROM provider") == [("wallet",)]


def test_who_needs_a_provider_keeps_it(api: Client, live: Drive) -> None:
    """An activity needs the provider that it names to be there, live ones and open grants keep it; disabled is told."""
    benefits = {"c18": {"kind": "coupon", "provider": "wallet"}, "p": {"kind": "points"}}
    activity = at_checkout(schedule={"from": "2017-10-30T00:00:00Z", "to": "2100-01-01T00:00:00Z"}, benefits=benefits)
    early = api.post("/v1/activities", json=activity)
    assert _paths(early) == {"/benefits/c18/provider"}
    assert "tactics providers set wallet" in early.json()["problems"][0]["message"]
    assert _paths(api.post("/v1/activities/dry-run", json={"activity": activity, "facts": {}})) == {
        "/activity/benefits/c18/provider"
    }
    api.put(WALLET, json={**SAID, "enabled": False})
    told = api.post("/v1/activities", json=activity, params={"publish": "true"})
    assert told.status_code == 201, told.text
    assert [one for one in told.json()["notes"] if "'wallet' is disabled" in one]
    kept = api.delete(WALLET)
    assert (kept.status_code, kept.json()["code"], kept.json()["activities"]) == (409, "conflict", ["camp18"])
    api.post("/v1/activities/camp18/pause")
    assert api.delete(WALLET).status_code == 204
    # It was there when the version was saved: it has to be there when that goes live again.
    assert _paths(api.post("/v1/activities/camp18/publish")) == {"/benefits/c18/provider"}
    assert live.value("SELECT status FROM activity") == "paused"
    api.put(WALLET, json=SAID)
    back = api.post("/v1/activities/camp18/publish").json()
    assert (back["status"], back["notes"]) == ("live", [])
    assert live.outcome("ann", at=None) == "pending"
    api.post("/v1/activities/camp18/pause")
    ((grant,),) = live.rows("SELECT id::text FROM grant_record")
    open_still = api.delete(WALLET)
    assert (open_still.status_code, open_still.json()["grants"]) == (409, [grant])
    live.run("UPDATE grant_record SET state = 'refused', usable = false")
    assert api.delete(WALLET).status_code == 204


def test_what_is_live_is_changed_by_those_who_may_publish(api: Client, live: Drive) -> None:
    """Who may only edit neither redirects the grants of a live activity nor exchanges its provider's secret; readers only read."""
    header = {one: bearer(make(live.runtime, one)) for one in ("activities:edit", "audit:read", "events:write")}
    header["both"] = bearer(make(live.runtime, "activities:edit", "activities:publish"))
    other = {**SAID, "timeout_ms": 100}

    def statuses(who: str, body: dict[str, Any]) -> list[int]:
        rotate = api.post(f"{WALLET}/rotate-secret", headers=header[who])
        return [api.put(WALLET, json=body, headers=header[who]).status_code, rotate.status_code]

    assert api.put(WALLET, json=SAID, headers=header["activities:edit"]).status_code == 201
    live.load(at_checkout(benefits={"c18": {"kind": "coupon", "provider": "wallet"}}))
    assert statuses("activities:edit", other) == [403, 403]
    assert statuses("both", other) == [200, 200]
    live.run("UPDATE activity SET status = 'paused'")
    assert statuses("activities:edit", SAID) == [200, 200]
    assert statuses("audit:read", SAID) == [403, 403]
    assert api.delete(WALLET, headers=header["audit:read"]).status_code == 403
    assert [api.get(WALLET, headers=header[who]).status_code for who in ("audit:read", "events:write")] == [200, 403]
    assert api.delete(WALLET, headers=header["activities:edit"]).status_code == 204
