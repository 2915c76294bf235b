"""The audit log over HTTP: who changed what by which request, read page by page by those who may."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from tactics.domain.api_key import NewApiKey
from tactics.flows import api_key, setup
from tests.driving import Drive
from tests.http.conftest import Client
from tests.making import document


def _entries(api: Client, **params: Any) -> list[dict[str, Any]]:
    answer = api.get("/v1/audit-log", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


def test_a_request_is_found_again(api: Client, live: Drive) -> None:
    """What a request changed stands under the caller's name and the request's id; the newest comes first."""
    live.load(document())
    answer = api.post("/v1/activities/camp18/pause", headers={"X-Request-Id": "request-7"})
    assert answer.status_code == 200, answer.text
    (newest, *_) = _entries(api)
    assert (newest["actor"], newest["request_id"]) == ("local", "request-7")
    assert (newest["kind"], newest["action"], newest["subject"]) == ("activity", "changed", "camp18")
    assert (newest["before"]["status"], newest["after"]["status"]) == ("live", "paused")


def test_the_log_comes_in_pages_and_parts(api: Client, live: Drive) -> None:
    """Pages follow each other without a gap while more is changed; filters leave out what they say."""
    live.load(document(), document(code="camp19"))
    setup.pause(live.runtime.acting_as("ann"), "camp19")
    every = _entries(api)
    paged: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = api.get("/v1/audit-log", params=params).json()
        paged += answer["entries"]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
        live.run("UPDATE activity SET priority = priority + 1 WHERE code = 'camp18'")
    assert paged == every
    assert len(every) > 4
    assert [one["kind"] for one in _entries(api, actor="ann")] == ["activity"]
    assert {one["kind"] for one in _entries(api, kind="benefit")} == {"benefit"}
    assert {one["subject"] for one in _entries(api, subject="camp19")} == {"camp19"}
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert _entries(api, **{"from": soon}) == []
    assert len(_entries(api, to=soon, limit=200)) > len(every)


def test_what_cannot_be_asked_is_refused(api: Client) -> None:
    """Cursors that no list gave, times without a zone and texts that cannot be stored are a 422."""
    places = ('["2026-01-01T00:00:00+00:00","9223372036854775808"]', '["x","1"]', '["2026-01-01","1"]', "{}")
    for place in places:
        cursor = urlsafe_b64encode(place.encode()).decode()
        assert api.get("/v1/audit-log", params={"cursor": cursor}).status_code == 422
    for wrong in ({"kind": "a\x00"}, {"from": "2026-01-01T00:00:00"}, {"limit": 0}, {"subject": "x" * 300}):
        assert api.get("/v1/audit-log", params=wrong).status_code == 422


def test_only_those_who_may_read_it(api: Client, live: Drive) -> None:
    """A key without the scope audit:read is refused; making a key is told, and none of its secrets."""
    wanted = ("audit:read", "events:write")
    made = {scope: api_key.create(live.runtime, NewApiKey(f"for {scope}", (scope,))) for scope in wanted}
    status = {}
    for scope, key in made.items():
        status[scope] = api.get("/v1/audit-log", headers={"Authorization": f"Bearer {key.key}"})
    assert status["events:write"].status_code == 403
    assert status["audit:read"].status_code == 200
    text = status["audit:read"].text
    assert "for events:write" in text
    hashes = [row[0] for row in live.rows("SELECT secret_hash FROM api_key")]
    assert len(hashes) == 2
    for hidden in (*hashes, *(key.key for key in made.values())):
        assert hidden not in text
