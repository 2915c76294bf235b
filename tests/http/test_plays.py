"""Plays and behaviour rules by HTTP."""

from __future__ import annotations

from typing import Any

from tactics.domain.api_key import NewApiKey
from tactics.flows import api_key
from tests.driving import Drive
from tests.http.conftest import Client
from tests.http.test_activities import at_once
from tests.making import bought, document, from_play, play_document

AT = "/v1/plays"
PLAY = f"{AT}/spend_and_save"
RULE = "/v1/behaviour-rules/bought"


def _told(answer: Any) -> tuple[Any, ...]:
    assert answer.status_code < 300, answer.text
    found = answer.json()
    return tuple(found[name] for name in ("change", "version", "current_version", "draft"))


def _paths(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input"), answer.text
    return {one["path"] for one in answer.json()["problems"]}


def test_plays_are_saved_published_and_rolled_back_by_idempotent_verbs(api: Client, live: Drive) -> None:
    """A draft is current once published, a rollback is a new version, and each verb twice is unchanged; activities stay as they are."""
    first = api.post(AT, json=play_document(), params={"draft": "true"})
    assert (first.status_code, first.headers["location"]) == (201, PLAY)
    assert _told(first) == ("new", 1, None, True)
    assert api.get(PLAY).json()["current_version"] is None
    early = api.post("/v1/activities", json=from_play())
    assert _paths(early) == {"/play_version"}
    for change in ("updated", "unchanged"):
        assert _told(api.post(f"{PLAY}/publish")) == (change, 1, 1, False)
    assert api.post("/v1/activities", json=from_play()).status_code == 201
    shown = api.get(PLAY).json()["play"]
    assert _told(api.put(PLAY, json=shown)) == ("unchanged", 1, 1, False)
    assert _told(api.put(PLAY, json={**shown, "title": "Save"})) == ("updated", 2, 2, False)
    assert api.post(f"{PLAY}/publish", json={"version": 1}).status_code == 409
    for change in ("updated", "unchanged"):
        assert _told(api.post(f"{PLAY}/rollback", json={"to": 1})) == (change, 3, 3, False)
    assert api.get(f"{PLAY}/activities").json() == {
        "activities": [{"code": "camp18", "play_version": 1, "status": "draft", "older": True}]
    }
    assert api.get(f"{PLAY}/form").json() == shown["parameters"]
    assert [one["state"] for one in api.get(f"{PLAY}/versions").json()["versions"]] == ["current", *["earlier"] * 2]
    assert api.get(f"{PLAY}/diff?before=1&after=2").json()["changes"] == [
        {"path": "/title", "before": "Spend and save", "after": "Save"}
    ]
    assert api.post("/v1/activities", json=api.get("/v1/activities/camp18").json()["activity"]).json()["version"] == 1
    for missing in (
        "none",
        "none/form",
        "none/activities",
        "none/versions",
        "none/diff",
        "spend_and_save/form?version=9",
    ):
        assert api.get(f"{AT}/{missing}").status_code == 404, missing
    for verb in ("publish", "rollback"):
        assert api.post(f"{AT}/none/{verb}").status_code == 404


def test_plays_are_listed_by_pages_and_mistakes_have_paths(api: Client, live: Drive) -> None:
    """Pages come by code; each mistake of a play is told with its path, and nothing of it is stored."""
    for code in ("a", "b", "c"):
        assert api.post(AT, json=play_document(code=code)).status_code == 201
    first = api.get(AT, params={"limit": 2}).json()
    rest = api.get(AT, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["code"] for part in (first, rest) for one in part["plays"]] == ["a", "b", "c"]
    assert rest["next_cursor"] is None
    assert _paths(api.post(AT, json=play_document(title=7, colour="red"))) == {"/title", "/colour"}
    assert _paths(api.post(AT, json=play_document(parameters={"type": "object", "properties": {}}))) == {
        "/rule/so/when/params/amount_at",
        "/rule/so/then/0/params/benefit",
    }
    assert _paths(api.post(AT, json=play_document(version=2**31))) == {"/version"}
    assert _paths(api.post(AT, json=play_document(title="a\x00"))) == {"/title"}
    assert _paths(api.put(f"{AT}/a", json=play_document())) == {"/code"}
    assert api.get(f"{AT}/a%00").status_code == api.get(f"{AT}/a/form?version=0").status_code == 422
    other = api.post(AT, json=play_document(code="a", version=1, title="other"))
    assert (other.status_code, other.json()["version"]) == (409, 1)
    assert live.rows("SELECT code, version FROM play ORDER BY code") == [("a", 1), ("b", 1), ("c", 1)]


def test_of_two_editors_of_a_play_or_a_rule_one_is_refused(api: Client, live: Drive) -> None:
    """Both send what they made of the same state at once: one saves, the other is a 412; so where both make a new one."""
    rule = bought(2)

    def edit(address: str, body: Any, **headers: str) -> Any:
        return lambda: api.put(address, json=body, headers=headers)

    for address, bodies in (
        (PLAY, [play_document(title=str(number)) for number in range(4)]),
        (RULE, [{**rule, "cooldown_s": number} for number in range(4)]),
    ):
        made = at_once(live, *[edit(address, body, **{"If-None-Match": "*"}) for body in bodies[:2]])
        assert sorted(one.status_code for one in made) == [201, 412]
        (tag,) = (one.headers["etag"] for one in made if one.status_code == 201)
        assert tag == api.get(address).headers["etag"]
        edited = at_once(live, *[edit(address, body, **{"If-Match": tag}) for body in bodies[2:]])
        assert sorted(one.status_code for one in edited) == [200, 412]


def test_a_disabled_rule_stays_and_nothing_is_checked_against_it(api: Client, live: Drive) -> None:
    """Saved, switched off and on again, a rule keeps what it says; user actions count only while it is enabled."""
    made = api.put(RULE, json=bought(1))
    assert (made.status_code, made.headers["location"]) == (201, RULE)
    assert made.json() == {"rule_key": "bought", "version": 1, "change": "new", "enabled": True}

    def act(name: str) -> int:
        event = {"specversion": "1.0", "id": name, "source": "shop", "type": "tactics.action"}
        live.happen({**event, "data": {"user_id": name, "action": "purchase"}})
        return int(live.value("SELECT count(*) FROM event WHERE type = 'behaviour'"))

    assert act("ann") == 1
    off = api.put(RULE, json={**bought(1), "enabled": False})
    assert (off.status_code, off.json()["change"], off.json()["enabled"]) == (200, "updated", False)
    assert off.headers["etag"] != made.headers["etag"]
    assert act("bob") == 1
    again = api.put(RULE, json=bought(1)).json()
    assert (again["change"], again["enabled"], again["version"]) == ("unchanged", False, 1)
    assert api.get("/v1/behaviour-rules").json()["behaviour_rules"][0]["enabled"] is False
    assert api.put(RULE, json={**bought(2), "enabled": True}).json()["version"] == 2
    assert act("cid") == 1
    assert api.put(RULE, json=bought(1)).json()["change"] == "updated"
    assert act("dan") == 2


def test_a_rule_that_an_activity_defines_stays_its_own(api: Client, live: Drive) -> None:
    """Another meaning is a conflict that names both, as an import's is; mistakes have their places in the body; scopes hold."""
    live.load(document(behaviour_rules={"bought": bought(2)}))
    shown = api.get(RULE).json()
    assert (shown["defined_by"], shown["version"], shown["rule"]) == (["camp18"], 1, bought(2)["rule"])
    other = api.put(RULE, json=bought(3))
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert other.json()["defined_by"] == ["this request", "activity 'camp18'"]
    assert api.put(RULE, json={**bought(2), "enabled": False}).json()["change"] == "updated"
    assert live.rows("SELECT version, enabled FROM behaviour_rule") == [(1, False)]
    assert _paths(api.put(RULE, json={"rule": {"block": "acme.condition.gone"}})) == {"/rule"}
    assert _paths(api.put(RULE, json={"rule": {"block": "a\x00"}})) == {"/rule/block"}
    for body in ({}, {"rule": 7}, {**bought(1), "cooldown_s": -1}, {**bought(1), "cooldown_s": 2**31}, {"colour": 1}):
        assert api.put(RULE, json=body).status_code == 422, body
    for address in ("/v1/behaviour-rules/none", "/v1/behaviour-rules/%00"):
        assert api.get(address).status_code in {404, 422}
    assert api.put("/v1/behaviour-rules/viewed", json=bought(1)).status_code == 201
    first = api.get("/v1/behaviour-rules", params={"limit": 1}).json()
    rest = api.get("/v1/behaviour-rules", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    listed = [(one["rule_key"], one["defined_by"]) for part in (first, rest) for one in part["behaviour_rules"]]
    assert listed == [("bought", ["camp18"]), ("viewed", [])]
    reader = api_key.create(live.runtime, NewApiKey("reader", ("audit:read",)))
    headers = {"Authorization": f"Bearer {reader.key}"}
    assert api.get(RULE, headers=headers).status_code == api.get(AT, headers=headers).status_code == 200
    changes: list[tuple[str, str, Any]] = [
        ("PUT", RULE, bought(2)),
        ("POST", AT, play_document()),
        ("PUT", PLAY, play_document()),
        ("POST", f"{PLAY}/publish", None),
        ("POST", f"{PLAY}/rollback", None),
    ]
    for method, address, body in changes:
        assert api.request(method, address, json=body, headers=headers).status_code == 403, address
