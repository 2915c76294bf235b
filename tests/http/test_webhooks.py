"""Webhooks by HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tactics.store import outbox
from tests.driving import Maker
from tests.flows.receiver import receiving, signed_by
from tests.http.giving import problem

AT = "/v1/webhooks"


def test_a_webhook_over_its_life(driven: Maker, api_of: Callable[..., Any]) -> None:
    """Set up, tried, given new secrets, switched off and on, looked into page by page, retried and removed; secrets are told once."""
    with receiving() as receiver:
        drive = driven(replay=False, outbound_hosts=(receiver.url,), outbound_networks=("127.0.0.0/8",))
        api = api_of(drive)
        assert problem(api.post(AT, json={"url": "https://elsewhere.example.com"})) == (422, "bad_input")
        assert problem(api.post(AT, json={"url": receiver.url, "topics": ["x"]})) == (422, "form")
        made = api.post(AT, json={"url": receiver.url, "topics": ["tactics.paused", "tactics.paused"]})
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        where, secret = made.headers["location"], made.json()["secret"]
        assert made.json()["topics"] == ["tactics.paused"]
        assert api.post(f"{where}/test").json() == {"outcome": "delivered", "text": "answered 204", "status": 204}
        newer = api.post(f"{where}/rotate-secret").json()["secret"]
        assert api.get(where).json()["rotating"]
        api.post(f"{where}/test")
        last = receiver.got[-1]
        assert [signed_by(one, last.headers, last.body) for one in (secret, newer)] == [True, True]
        newest = api.post(f"{where}/rotate-secret", json={"keep_last": False}).json()["secret"]
        assert not api.get(where).json()["rotating"]
        with drive.runtime.engine.begin() as conn:
            outbox.add_all(conn, "tactics.paused", [(str(number), {}) for number in range(5)])
            conn.exec_driver_sql(
                "UPDATE webhook_delivery SET next_attempt_at = NULL, parked_reason = 'answered 500' WHERE outbox_id > 2"
            )
        listed = api.get(AT)
        (found,) = listed.json()["webhooks"]
        assert (found["waiting"], found["parked"]) == (2, 3)
        assert not any(one[6:20] in listed.text for one in (secret, newer, newest))
        gauges = api.get("/metrics").text
        assert "tactics_webhooks_waiting 2.0" in gauges
        assert "tactics_webhooks_parked 3.0" in gauges
        ids: list[str] = []
        cursor = None
        while not ids or cursor:
            asked = {"limit": 2, "state": "parked", **({"cursor": cursor} if cursor else {})}
            answer = api.get(f"{where}/deliveries", params=asked).json()
            ids += [one["id"] for one in answer["deliveries"]]
            cursor = answer["next_cursor"]
        assert ids == ["msg_5", "msg_4", "msg_3"]
        assert api.post(f"{where}/retry", json={"ids": ["msg_3", "msg_99"]}).json() == {"retried": 1}
        assert api.post(f"{where}/retry", json={}).json() == {"retried": 2}
        assert not api.post(f"{where}/disable").json()["enabled"]
        assert api.post(f"{where}/enable").json()["enabled"]
        assert api.delete(where).status_code == 204
        assert problem(api.delete(where)) == (404, "not_found")
        assert problem(api.post(f"{where}/test")) == (404, "not_found")
        assert drive.value("SELECT count(*) FROM webhook_delivery") == 0
        assert {row[0] for row in drive.rows("SELECT actor FROM audit_log WHERE kind LIKE 'webhook%'")} == {"local"}
