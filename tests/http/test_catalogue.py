"""Users, items and item sets by HTTP: edited on conditions, listed by pages, saved many at once; users erased."""

from __future__ import annotations

import json
from typing import Any

from tests.driving import Drive
from tests.http.conftest import Client
from tests.http.giving import audited, give, problem, running

TEA = {"category": "tea", "title": "Green tea", "price_minor": 450, "currency": "EUR", "attributes": {"a": [1, None]}}
PLAIN: dict[str, Any] = {"category": None, "title": None, "price_minor": None, "currency": None, "attributes": {}}


def _edits(api: Client, path: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Edit something that is not there yet, on every condition."""
    assert problem(api.get(path)) == (404, "not_found")
    assert problem(api.put(path, json=first, headers={"If-Match": "*"})) == (412, "precondition_failed")
    made = api.put(path, json=first, headers={"If-None-Match": "*"})
    assert made.status_code == 200, made.text
    shown = api.get(path)
    assert (shown.json(), shown.headers["ETag"]) == (made.json(), made.headers["ETag"])
    assert problem(api.put(path, json=second, headers={"If-None-Match": "*"})) == (412, "precondition_failed")
    edited = api.put(path, json=second, headers={"If-Match": made.headers["ETag"]})
    assert edited.headers["ETag"] != made.headers["ETag"]
    assert problem(api.put(path, json=first, headers={"If-Match": made.headers["ETag"]})) == (
        412,
        "precondition_failed",
    )
    assert api.get(path).json() == edited.json()
    assert api.put(path, json=second).headers["ETag"] == edited.headers["ETag"]
    assert problem(api.put(path, json={"colour": "red"})) == (422, "form")
    assert problem(api.put(path)) == (415, "media_type")


def test_users_items_and_sets_are_edited_on_conditions(api: Client) -> None:
    """An edit of what somebody else has changed is refused, whatever is edited; without a condition the last one wins."""
    _edits(api, "/v1/users/alice", {"attributes": {"level": "gold", "n": [1, {"x": None}]}}, {"attributes": {}})
    assert api.get("/v1/users/alice").json() == {"user_id": "alice", "attributes": {}}
    _edits(api, "/v1/items/7", TEA, {"price_minor": 0})
    found = api.get("/v1/items/7").json()
    assert found.pop("updated_at") is not None
    assert found == {"item_id": "7", **PLAIN, "title": "7", "price_minor": 0}
    _edits(api, "/v1/item-sets/hot", {"item_ids": ["7", "8", "7"]}, {"item_ids": ["9"]})
    assert api.get("/v1/item-sets/hot").json() == {"name": "hot", "item_ids": ["9"]}
    assert problem(api.delete("/v1/item-sets/hot", headers={"If-Match": '"x"'})) == (412, "precondition_failed")
    assert [api.delete("/v1/item-sets/hot").status_code for _ in range(2)] == [204, 204]
    assert problem(api.get("/v1/item-sets/hot")) == (404, "not_found")
    for path, body in (
        ("/v1/users/a%00b", {"attributes": {}}),
        ("/v1/users/a", {"attributes": {"x": "\x00"}}),
        ("/v1/items/b", {"title": "\ud800"}),
        ("/v1/items/b", {"price_minor": -1}),
        ("/v1/items/b", {"currency": "euro"}),
        ("/v1/item-sets/b", {"item_ids": []}),
        ("/v1/item-sets/b", {"item_ids": [7]}),
        (f"/v1/items/{'x' * 257}", {}),
    ):
        answer = api.put(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert problem(answer) == (422, "form"), (path, body)


def test_many_are_saved_at_once_or_none(api: Client, live: Drive) -> None:
    """Rows are saved all or none, and what is wrong is told by its place in the body; users' ids are not told."""
    users = [{"user_id": f"u{n}", "attributes": {"n": n}} for n in range(3)]
    for _ in range(2):
        assert api.post("/v1/users", json={"users": users}).json() == {"saved": 3}
    assert api.get("/v1/users/u2").json()["attributes"] == {"n": 2}
    twice = api.post("/v1/users", json={"users": [*users, {"user_id": "u1"}]})
    assert (problem(twice), twice.json()["problems"][0]["path"]) == ((422, "form"), "/users")
    assert "u1" not in twice.text
    wrong = api.post("/v1/users", json={"users": [{"user_id": "u9"}, {"user_id": "", "attributes": {}}]})
    assert (problem(wrong), wrong.json()["problems"][0]["path"]) == ((422, "form"), "/users/1/user_id")
    assert live.value("SELECT count(*) FROM user_profile") == 3
    items = [{"item_id": str(n), "category": "tea" if n % 2 else "cup"} for n in range(5)]
    assert api.post("/v1/items", json={"items": items}).json() == {"saved": 5}
    again = api.post("/v1/items", json={"items": [{"item_id": "9"}, {"item_id": "9"}]})
    assert (problem(again), again.json()["problems"][0]["path"]) == ((422, "bad_input"), "/items/1")
    assert live.value("SELECT count(*) FROM item") == 5


def test_items_and_sets_are_listed_by_pages(api: Client) -> None:
    """Pages hold each item and set once, in order, also when others are added meanwhile."""
    api.post("/v1/items", json={"items": [{"item_id": f"i{n}", "category": "ab"[n % 2]} for n in range(7)]})
    first = api.get("/v1/items", params={"limit": 3}).json()
    api.put("/v1/items/i00", json={})
    second = api.get("/v1/items", params={"limit": 200, "cursor": first["next_cursor"]}).json()
    assert [one["item_id"] for one in first["items"] + second["items"]] == [f"i{n}" for n in range(7)]
    assert second["next_cursor"] is None
    assert [one["item_id"] for one in api.get("/v1/items", params={"category": "b"}).json()["items"]] == [
        "i1",
        "i3",
        "i5",
    ]
    for name, size in (("x", 1), ("y", 2), ("z", 3)):
        api.put(f"/v1/item-sets/{name}", json={"item_ids": [str(n) for n in range(size)]})
    page = api.get("/v1/item-sets", params={"limit": 2}).json()
    rest = api.get("/v1/item-sets", params={"cursor": page["next_cursor"]}).json()
    assert [(one["name"], one["items"]) for one in page["item_sets"] + rest["item_sets"]] == [
        ("x", 1),
        ("y", 2),
        ("z", 3),
    ]
    assert problem(api.get("/v1/items", params={"limit": 0})) == (422, "form")
    assert problem(api.get("/v1/items", params={"cursor": "WyJcdTAwMDAiXQ"})) == (422, "bad_input")


def test_a_user_is_erased(api: Client, live: Drive) -> None:
    """Erasing leaves nothing under the user's id, neither attributes nor orders, and everything still adds up."""
    live.load(running())
    asset = give(live, "alice")
    api.post(f"/v1/assets/{asset['asset_id']}/redeem", json={"reference": "order-of-alice"})
    api.put("/v1/users/alice", json={"attributes": {"level": "gold"}})
    erased = api.delete("/v1/users/alice")
    assert (erased.status_code, erased.json()["deleted"]["user_profile"]) == (200, 1), erased.text
    assert problem(api.get("/v1/users/alice")) == (404, "not_found")
    assert problem(api.delete("/v1/users/alice")) == (404, "not_found")
    assert api.get("/v1/users/alice/assets").json()["assets"] == []
    after = api.get(f"/v1/assets/{asset['asset_id']}").json()
    assert (after["status"], after["reference"]) == ("redeemed", None)
    assert audited(live) == []
