"""Activities by HTTP: saved, published, paused, rolled back, on conditions and by those who may."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from tactics.domain.api_key import NewApiKey
from tactics.flows import api_key
from tests.driving import Drive
from tests.http.conftest import Client
from tests.making import bought, document

AT = "/v1/activities"


def _told(answer: Any) -> tuple[Any, ...]:
    assert answer.status_code < 300, answer.text
    found = answer.json()
    return tuple(found[name] for name in ("change", "version", "status", "draft"))


def _paths(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input"), answer.text
    return {one["path"] for one in answer.json()["problems"]}


def _waiting(live: Drive) -> int:
    query = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    return int(live.value(f"{query} WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"))


def at_once(live: Drive, *requests: Any) -> list[Any]:
    """Send requests that all find another one in the middle of a change; it ends once all of them wait for it."""
    with ThreadPoolExecutor(len(requests)) as pool:
        with live.runtime.engine.begin() as conn:
            conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('tactics.setup', 0))"))
            sent = [pool.submit(one) for one in requests]
            until = time.monotonic() + 30
            while _waiting(live) < len(requests):
                assert time.monotonic() < until, "they do not wait for each other"
        return [one.result() for one in sent]


def test_documents_are_saved_and_published_by_idempotent_verbs(api: Client, live: Drive) -> None:
    """New is 201, the same again unchanged; publishing, pausing and rolling back twice changes nothing the second time."""
    assert _told(api.post(AT, json=document())) == ("new", 1, "draft", False)
    assert _told(api.post(AT, json=document())) == ("unchanged", 1, "draft", False)
    assert api.post(f"{AT}/camp18/pause").status_code == 409
    for change in ("updated", "unchanged"):
        assert _told(api.post(f"{AT}/camp18/publish")) == (change, 1, "live", False)
    assert _told(api.post(AT, json=document(priority=1), params={"draft": "true"})) == ("updated", 2, "live", True)
    assert api.get(f"{AT}/camp18").json()["newest_draft"] == 2
    for change in ("updated", "unchanged"):
        assert _told(api.post(f"{AT}/camp18/pause")) == (change, 1, "paused", False)
    unclear = api.post(f"{AT}/camp18/publish")
    assert (unclear.status_code, unclear.json()["draft"]) == (409, 2)
    assert _told(api.post(f"{AT}/camp18/publish", json={"version": 2})) == ("updated", 2, "live", False)
    assert api.post(f"{AT}/camp18/publish", json={"version": 1}).status_code == 409
    for change in ("updated", "unchanged"):
        assert _told(api.post(f"{AT}/camp18/rollback", json={"to": 1})) == (change, 3, "live", False)
    assert live.value("SELECT version FROM activity WHERE code = 'camp18' AND status = 'live'") == 3
    assert _told(api.post(AT, json=document(code="now"), params={"publish": "true"})) == ("new", 1, "live", False)
    both = api.post(AT, json=document(code="now"), params={"publish": "true", "draft": "true"})
    assert (both.status_code, both.json()["code"]) == (422, "bad_input")
    shown = api.get(f"{AT}/camp18").json()["activity"]
    assert _told(api.post(AT, json=shown)) == ("unchanged", 3, "live", False)
    for missing in ("publish", "pause", "rollback", "dry-run"):
        body: Any = {"facts": {}} if missing == "dry-run" else None
        assert api.post(f"{AT}/none/{missing}", json=body).status_code == 404, missing
    for missing in (
        "none",
        "none/versions",
        "none/versions/1",
        "none/diff",
        "camp18/versions/9",
        "camp18/diff?after=9",
    ):
        assert api.get(f"{AT}/{missing}").status_code == 404, missing
    assert api.get(f"{AT}/now/diff").status_code == 409


def test_behaviour_rules_come_with_their_activity(api: Client) -> None:
    """A document's behaviour rules are defined with it; alone they have another address, and a second meaning is refused."""
    found = api.post(AT, json=document(behaviour_rules={"bought": bought(2)})).json()
    assert found["behaviour_rules"] == [{"rule_key": "bought", "version": 1, "change": "new"}]
    other = api.post(AT, json=document(code="other", behaviour_rules={"bought": bought(3)}))
    assert (other.status_code, other.json()["rule_key"]) == (409, "bought")
    assert other.json()["defined_by"] == ["activity 'other'", "activity 'camp18'"]
    assert _paths(api.post(AT, json={"behaviour_rules": {"bought": bought(2)}})) == {"/behaviour_rules"}
    assert api.get(AT).json()["activities"][0]["code"] == "camp18"
    assert len(api.get(AT).json()["activities"]) == 1


def test_every_mistake_of_a_document_is_told_with_its_path(api: Client, live: Drive) -> None:
    """Nothing wrong is stored, nothing wrong fails inside: each mistake is a 422 with the JSON Pointer of its place."""
    wrong = document(schedule={"from": "2017-10-30", "to": "soon"}, priority="high", colour="red")
    assert _paths(api.post(AT, json=wrong)) == {"/schedule/from", "/schedule/to", "/priority", "/colour"}
    unknown = document(template_type="t9")
    assert _paths(api.post(AT, json=unknown)) == {"/template_type"}
    no_block = document(rule={"so": {"then": [{"block": "acme.action.gone", "params": {}}]}})
    assert _paths(api.post(AT, json=no_block)) == {"/rule/so/then/0"}
    assert _paths(api.post(AT, json={"code": "a", "play": "none"})) == {"/play"}
    assert _paths(api.put(f"{AT}/camp18", json=document(code="camp19"))) == {"/code"}
    text_ = document(expression={"en": "a\x00b"})
    assert _paths(api.post(AT, json=text_)) == {"/expression/en"}
    half = '{"code": "a", "currency": "\\ud800"}'
    headers = {"content-type": "application/json"}
    assert _paths(api.post(AT, content=half, headers=headers)) == {"/currency"}
    assert _paths(api.post(AT, content='{"code": "a", "priority": 1e400}', headers=headers)) == {"/priority"}
    far = {
        "priority": 2**31,
        "schedule": {"from": "0001-01-01T00:00:00+14:00", "to": "2018-01-01T00:00:00Z"},
        "behaviour_rules": {"bought": {**bought(2), "cooldown_s": 2**31}},
        "benefits": {"c18": {"kind": "coupon", "code": "x" * 257, "stock": 2**53 + 1}},
    }
    for key, part in far.items():
        assert {path.split("/")[1] for path in _paths(api.post(AT, json=document(**{key: part})))} == {key}
    assert _paths(api.post(AT, json={"code": "a", "play": "none", "play_version": 2**31})) == {"/play_version"}
    late = document(schedule={"from": "2017-01-01T00:00:00Z", "to": "9999-12-31T23:59:59-14:00"})
    assert _paths(api.post(AT, json=late)) == {"/schedule"}
    long = api.post(AT, json=document(benefits={"k" * 1_000_000: {str(number): 1 for number in range(50_000)}}))
    assert (_paths(long), len(long.content) < 2_000) == ({""}, True)
    many = api.post(AT, json={str(number): 1 for number in range(50_000)}).json()
    assert (len(many["problems"]), many["more_problems"]) == (100, 900)
    for code in (None, 7, "a\x00", "-", "x" * 129, ["a"]):
        assert "/code" in _paths(api.post(AT, json=document(code=code)))
    for address in ("/%00", "/a%00b/publish", "/-/versions", "/a/versions/0", "/a/versions/2147483648"):
        method = api.post if address.endswith("publish") else api.get
        assert method(AT + address).status_code == 422, address
    for query in ({"channel": "\x00"}, {"status": "gone"}, {"cursor": "x"}, {"cursor": "W10"}, {"limit": 0}):
        assert api.get(AT, params=query).status_code == 422, query
    bodies: list[Any] = [{"version": "2"}, {"version": 0}, {"version": 2**31}, {"verson": 2}, [], 7]
    for body in bodies:
        assert api.post(f"{AT}/a/publish", json=body).status_code == 422, body
    assert api.post(AT, json=[document()]).status_code == 422
    assert api.post(AT).status_code == 415
    for address, allowed in ((AT, "GET, POST"), (f"{AT}/a", "GET, PUT"), (f"{AT}/dry-run", "POST")):
        refused = api.delete(address)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
    assert live.value("SELECT count(*) FROM activity") == 0


def test_of_two_editors_at_once_one_is_refused(api: Client, live: Drive) -> None:
    """Both have read the same state and both send: one saves, the other is a 412 and changes nothing; so with a new code."""

    def put(priority: int, **headers: str) -> Any:
        return lambda: api.put(f"{AT}/camp18", json=document(priority=priority), headers=headers)

    created = at_once(live, *[put(number, **{"If-None-Match": "*"}) for number in (1, 2)])
    assert sorted(one.status_code for one in created) == [201, 412]
    tag = api.get(f"{AT}/camp18").headers["etag"]
    edited = at_once(live, *[put(number, **{"If-Match": tag}) for number in (3, 4)])
    assert sorted(one.status_code for one in edited) == [200, 412]
    refused = next(one for one in edited if one.status_code == 412)
    assert (refused.json()["code"], refused.headers["content-type"]) == (
        "precondition_failed",
        "application/problem+json",
    )
    assert live.value("SELECT count(*) FROM activity_version") == 2
    (saved,) = (one.headers["etag"] for one in edited if one.status_code == 200)
    assert put(5, **{"If-Match": saved})().status_code == 200
    tag = api.get(f"{AT}/camp18").headers["etag"]
    for address, body in ((f"{AT}?draft=true", document(priority=6)), (f"{AT}/camp18/publish", None)):
        assert api.post(address, json=body).status_code == 200
        assert put(7, **{"If-Match": tag})().status_code == 412
        tag = api.get(f"{AT}/camp18").headers["etag"]
    assert api.post(f"{AT}/camp18/pause").headers["etag"] != tag
    assert put(7, **{"If-Match": "*"})().status_code == 200
    assert api.put(f"{AT}/none", json=document(code="none"), headers={"If-Match": "*"}).status_code == 412


@pytest.fixture
def keys(live: Drive) -> dict[str, dict[str, str]]:
    """Headers with a key of each scope alone."""
    scopes = ("activities:edit", "activities:publish", "audit:read", "placements:call")
    made = {scope: api_key.create(live.runtime, NewApiKey(scope, (scope,))) for scope in scopes}
    return {scope: {"Authorization": f"Bearer {one.key}"} for scope, one in made.items()}


def test_each_scope_may_do_its_part_and_no_more(api: Client, live: Drive, keys: dict[str, dict[str, str]]) -> None:
    """Editors save what does not run yet, publishers let it run, auditors read; the audit log names whoever changed something."""
    edit, publish, audit, other = keys.values()
    assert api.post(AT, json=document(), headers=edit).status_code == 201
    for headers in (publish, audit, other):
        assert api.post(AT, json=document(), headers=headers).status_code == 403
        assert api.put(f"{AT}/camp18", json=document(), headers=headers).status_code == 403
        asked = api.post(f"{AT}/camp18/dry-run", json={"facts": {}}, headers=headers)
        assert asked.status_code == 403
    refused = api.post(AT, json=document(), params={"publish": "true"}, headers=edit)
    assert (refused.status_code, refused.json()["needed"]) == (403, ["activities:publish"])
    for verb in ("publish", "pause", "rollback"):
        assert api.post(f"{AT}/camp18/{verb}", headers=edit).status_code == 403
    assert api.post(f"{AT}/camp18/publish", headers=publish).status_code == 200
    for method, address in ((api.post, AT), (api.put, f"{AT}/camp18")):
        live_one = method(address, json=document(priority=2), headers=edit)
        assert (live_one.status_code, live_one.json()["code"]) == (403, "forbidden")
        assert method(address, json=document(priority=2), params={"draft": "true"}, headers=edit).status_code == 200
    assert live.value("SELECT priority FROM activity") == 0
    for address in (AT, f"{AT}/camp18", f"{AT}/camp18/versions", f"{AT}/camp18/diff", "/v1/channels"):
        assert [api.get(address, headers=headers).status_code for headers in (edit, publish, audit, other)] == [
            *[200] * 3,
            403,
        ]
    actors = dict(live.rows("SELECT name, 'key:' || id FROM api_key"))
    changed = live.rows("SELECT DISTINCT actor, kind FROM audit_log WHERE kind IN ('activity', 'activity_version')")
    assert set(changed) == {
        (actors["activities:edit"], "activity"),
        (actors["activities:edit"], "activity_version"),
        (actors["activities:publish"], "activity"),
    }


def test_rules_of_what_is_live_are_changed_by_publishers(
    api: Client, live: Drive, keys: dict[str, dict[str, str]]
) -> None:
    """A rule that a live activity defines or prepares on stays as it is for editors, whichever way they try."""
    edit, publish, *_ = keys.values()
    made = api_key.create(live.runtime, NewApiKey("both", ("activities:edit", "activities:publish")))
    both = {"Authorization": f"Bearer {made.key}"}

    def put(key: str, times: int, headers: dict[str, str], **more: Any) -> tuple[int, str]:
        answer = api.put(f"/v1/behaviour-rules/{key}", json={**bought(times), **more}, headers=headers)
        return answer.status_code, answer.json().get("change", answer.json().get("code"))

    defining = document(behaviour_rules={"bought": bought(2)}, channels={"prepare": [], "grant": ["home_banner"]})
    assert api.post(AT, json=defining, headers=edit).status_code == 201
    assert put("viewed", 2, edit) == (201, "new")
    bound = document(code="bound", channels={"prepare": ["viewed", "later"], "grant": ["home"]})
    assert api.post(AT, json=bound, headers=edit).status_code == 201
    for enabled in (False, True):
        assert put("bought", 2, edit, enabled=enabled) == (200, "updated")
    for code in ("camp18", "bound"):
        assert api.post(f"{AT}/{code}/publish", headers=publish).status_code == 200
    known = live.rows("SELECT rule_key, version, enabled FROM behaviour_rule ORDER BY 1")
    assert (
        put("bought", 2, edit, enabled=False) == put("viewed", 3, edit) == put("later", 1, edit) == (403, "forbidden")
    )
    other = document(code="other", behaviour_rules={"viewed": bought(9)})
    for method, address in ((api.post, AT), (api.put, f"{AT}/other")):
        refused = method(address, json=other, headers=edit)
        assert (refused.status_code, refused.json()["needed"]) == (403, ["activities:publish"])
    assert live.rows("SELECT rule_key, version, enabled FROM behaviour_rule ORDER BY 1") == known
    assert live.value("SELECT count(*) FROM activity") == 2
    assert put("bought", 2, edit) == put("viewed", 2, edit) == (200, "unchanged")
    assert put("own", 1, edit) == (201, "new")
    assert put("viewed", 3, both) == (200, "updated")
    assert api.post(f"{AT}/bound/pause", headers=publish).status_code == 200
    assert put("viewed", 4, edit) == (200, "updated")


def test_lists_are_paged_and_filtered(api: Client, live: Drive) -> None:
    """Pages come by code and lose nothing to what is added meanwhile; status and channel leave the others out."""
    live.load(*[document(code=f"c{number}") for number in (1, 3, 5, 7)])
    live.load(document(code="elsewhere", channels={"prepare": ["viewed"], "grant": []}), publish=False)
    first = api.get(AT, params={"limit": 2}).json()
    live.load(document(code="c0"), document(code="c4"))
    rest = api.get(AT, params={"limit": 200, "cursor": first["next_cursor"]}).json()
    codes = [one["code"] for part in (first, rest) for one in part["activities"]]
    assert codes == ["c1", "c3", "c4", "c5", "c7", "elsewhere"]
    assert rest["next_cursor"] is None

    def listed(**query: str) -> list[str]:
        return [one["code"] for one in api.get(AT, params=query).json()["activities"]]

    assert listed(status="draft") == ["elsewhere"]
    assert listed(channel="viewed") == listed(channel="viewed", status="draft") == ["elsewhere"]
    assert listed(channel="home_banner", status="draft") == listed(channel="none") == []
    assert listed(channel="home_banner") == listed(status="live") == ["c0", "c1", "c3", "c4", "c5", "c7"]
    page = api.get("/v1/channels", params={"limit": 1}).json()
    (bought_,) = page["channels"]
    assert (bought_["channel_code"], bought_["link"], len(bought_["activities"])) == ("bought", "prepare", 6)
    page = api.get("/v1/channels", params={"cursor": page["next_cursor"]}).json()
    assert [(one["channel_code"], one["link"]) for one in page["channels"]] == [
        ("home_banner", "grant"),
        ("viewed", "prepare"),
    ]


def test_dry_runs_say_what_would_be_given_and_refuse_by_place(api: Client, live: Drive) -> None:
    """A dry run answers for the draft or the version named; problems are at their places in the body, too much work is refused."""
    live.load(document())
    more = {"c18": {"kind": "coupon", "value_minor": 900, "stock": 10}}
    assert api.post(AT, json=document(benefits=more), params={"draft": "true"}).json()["version"] == 2
    facts = {"now": "2017-11-01T12:00:00Z"}

    def run(**body: Any) -> Any:
        return api.post(f"{AT}/camp18/dry-run", json={"facts": facts, **body})

    assert [run(**body).json()["value_minor"] for body in ({}, {"version": 1}, {"version": 2})] == [900, 500, 900]
    assert run(version=3).status_code == 404
    for now in ("soon", "2017-11-01T12:00:00", "0001-01-01T00:00:00+14:00", 7):
        assert _paths(run(facts={"now": now})) == {"/facts/now"}
        whole = {"activity": document(), "facts": {"now": now}}
        assert _paths(api.post(f"{AT}/dry-run", json=whole)) == {"/facts/now"}
    assert _paths(run(facts={"user": {"name": "a\x00"}})) == {"/facts/user/name"}
    wrong = {"activity": document(colour="red"), "facts": facts}
    assert _paths(api.post(f"{AT}/dry-run", json=wrong)) == {"/activity/colour"}
    alone = {"activity": {"behaviour_rules": {"bought": bought(2)}}, "facts": facts}
    assert _paths(api.post(f"{AT}/dry-run", json=alone)) == {"/activity/behaviour_rules"}
    off = {"block": "pbb.action.order_amount_off", "params": {"amount_minor": 100}}
    lines = [{"item_id": "7", "quantity": 1, "price_minor": 300}]
    priced = {"activity": document(rule=rule_of_json(off)), "facts": {**facts, "order": {"lines": lines}}}
    found = api.post(f"{AT}/dry-run", json=priced).json()
    assert (found["activity"], found["version"], found["prices"]["total_minor"]) == ("camp18", None, 200)
    priced["facts"]["order"] = {"lines": lines * 20_000}
    much = api.post(f"{AT}/dry-run", json=priced)
    assert (much.status_code, much.json()["code"]) == (422, "too_much_work")
    assert live.value("SELECT max(version) FROM activity_version") == 2


def rule_of_json(*actions: dict[str, Any]) -> dict[str, Any]:
    """Give a rule of actions that are JSON already."""
    return {"so": {"then": list(actions)}}
