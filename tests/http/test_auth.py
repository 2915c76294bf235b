"""Who gets in: by key, or without any key from this machine alone; and what each scope opens."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from tactics.api import keyring
from tactics.api.auth import require_keys, unguarded
from tactics.api.loopback import is_loopback
from tactics.api.service import create_api
from tactics.config import Settings
from tactics.domain.api_key import SCOPES, NewApiKey, hashed
from tactics.errors import NotConfigured
from tactics.flows.api_key import CreatedKey, create, revoke
from tactics.runtime import Runtime
from tests.driving import Drive, make_drive
from tests.http.conftest import HERE, Client

PROBE = "/v1/rules/blocks"
"""A real route that any key may call, and that needs no database."""
# What DESIGN and the documentation say; a route that is not listed is still held to the general rules below.
WHO_MAY: Mapping[tuple[str, str], set[str]] = {
    ("POST", "/v1/events"): {"events:write"},
    ("POST", "/v1/placements/{channel_code}"): {"placements:call"},
    ("GET", "/v1/executions/{execution_id}"): {"placements:call", "grants:operate", "audit:read"},
    ("POST", "/v1/codes/{code}/redeem"): {"placements:call"},
    ("GET", "/v1/users/{user_id}/assets"): {"placements:call", "grants:operate", "audit:read"},
    ("POST", "/v1/assets/{asset_id}/redeem"): {"placements:call", "grants:operate"},
    ("POST", "/v1/assets/{asset_id}/revoke"): {"grants:operate"},
    ("PUT", "/v1/activities/{code}"): {"activities:edit"},
    ("POST", "/v1/activities/{code}/publish"): {"activities:publish"},
    ("POST", "/v1/activities/{code}/pause"): {"activities:publish"},
    ("POST", "/v1/activities/{code}/rollback"): {"activities:publish"},
    ("GET", "/v1/activities"): {"activities:edit", "activities:publish", "audit:read"},
    ("GET", "/v1/audit-log"): {"audit:read"},
    ("GET", "/metrics"): {"audit:read"},
}


def make(runtime: Runtime, *scopes: str, **options: Any) -> CreatedKey:
    """Make a key, with all scopes unless told otherwise."""
    return create(runtime, NewApiKey("test", scopes or SCOPES, **options))


def bearer(key: CreatedKey | str) -> dict[str, str]:
    """Give the header that a key is sent in."""
    return {"Authorization": f"Bearer {key if isinstance(key, str) else key.key}"}


def until(status: int, ask: Callable[[], Any], patience_s: float = 5.0) -> None:
    """Ask until the answer has this status."""
    end = time.monotonic() + patience_s
    while (found := ask().status_code) != status:
        assert time.monotonic() < end, found
        time.sleep(0.02)


def test_without_any_key_only_programs_on_this_machine(live: Drive, api_of: Callable[..., Any]) -> None:
    """No key: this machine under its own name comes in; others, what is passed on, and pages in a browser do not."""

    def status(headers: Mapping[str, str] | None = None, **client: Any) -> int:
        return Client(app, **{**HERE, **client}).get(PROBE, headers=headers).status_code  # type: ignore[no-any-return]

    app = api_of(live).app
    assert status() == 200
    assert status(base_url="http://[::1]:8470", client=("::1", 1)) == 200
    assert status(base_url="http://127.0.0.1:8470", client=("::ffff:127.0.0.1", 1)) == 200
    assert status({"Origin": "http://127.0.0.1:8470"}) == 200  # /docs of this very API
    for address in ("192.0.2.1", "::2", "testclient", "::ffff:192.0.2.1", "0.0.0.0"):  # noqa: S104
        assert status(client=(address, 1)) == 401, address
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "",
        "[::",
        "127.0.0.1@evil.example",
    ):
        assert status({"Host": host}) == 401, host
    for origin in ("http://evil.example", "null", "http://localhost.evil.example", "http://evil.example/localhost"):
        assert status({"Origin": origin}) == 401, origin
    for passed_on in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"):
        assert status({passed_on: "127.0.0.1"}) == 401, passed_on
    refused = Client(app, **{**HERE, "client": ("192.0.2.1", 1)}).get(PROBE)
    assert "tactics keys create" in refused.json()["detail"]
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    elsewhere = create_api(live.app, open_locally=False)
    with Client(elsewhere, **HERE) as client:
        assert client.get(PROBE).status_code == 401
        assert client.get("/openapi.json").status_code == 200


def test_only_the_whole_key_lets_in(
    live: Drive, api_of: Callable[..., Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key comes in; a changed one, another's secret, or another form does not; what is open stays open; nothing tells a secret."""
    caplog.set_level(logging.DEBUG)
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    api = api_of(live)
    key, other = make(live.runtime, "audit:read"), make(live.runtime, "events:write")
    secret, others = key.key[16:], other.key[16:]
    assert api.get(PROBE, headers=bearer(key)).status_code == 200
    assert api.get(PROBE, headers={"Authorization": f"bearer   {key.key} "}).status_code == 200
    assert compared == [(hashed(secret), hashed(secret))] * 2
    changed = key.key[:-1] + ("A" if key.key[-1] != "A" else "B")
    wrong = [
        *(changed, key.key[:-1], f"{key.key}A", f"tk_{key.id}_{others}", f"tk_{other.id}_{secret}", key.key.upper()),
        *(f"tk_{'a' * 12}_{secret}", secret, key.id, f"tk_{key.id}_{hashed(secret)}", f"tk_{key.id}_", "", "\u0661"),
    ]
    for one in wrong:
        answer = api.get(PROBE, headers={"Authorization": f"Bearer {one}".encode()})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), one
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Request-Id"] == answer.json()["request_id"]
    for header in (f"Basic {key.key}", key.key, "Bearer", ""):
        assert api.get(PROBE, headers={"Authorization": header}).status_code == 401, header
    twice = [("Authorization", f"Bearer {key.key}"), ("Authorization", f"Bearer {changed}")]
    assert api.get(PROBE, headers=twice).status_code == 401
    assert api.get(PROBE, headers=twice[::-1]).status_code == 401
    assert api.get(PROBE).status_code == 401  # on this machine too, now that there are keys
    assert api.get("/v1/nowhere").status_code == 401  # nor does it say what there is
    assert api.post("/openapi.json/../v1/events", json={}).status_code == 401
    for path in ("/openapi.json", "/healthz", "/readyz"):
        assert api.get(path).status_code == 200, path
    for found in (secret, hashed(secret), others):
        assert found not in caplog.text
    assert secret not in repr(key) + str(key)


def test_the_end_of_a_key(live: Drive, api_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired key ends on time, without waiting for anything; a revoked one soon; and the doors stay closed after the last."""
    api = api_of(live)
    monkeypatch.setattr(keyring, "FRESH_S", 60.0)
    monkeypatch.setattr(keyring, "AHEAD_S", 60.0)
    expiring = make(live.runtime)
    with live.runtime.engine.begin() as conn:
        conn.execute(text("UPDATE api_key SET expires_at = now() + interval '1 s'"))
    assert api.get(PROBE, headers=bearer(expiring)).status_code == 200
    until(401, lambda: api.get(PROBE, headers=bearer(expiring)))
    monkeypatch.setattr(keyring, "FRESH_S", 0.1)
    monkeypatch.setattr(keyring, "AHEAD_S", 0.05)
    revoked = make(live.runtime)
    assert api.get(PROBE, headers=bearer(revoked)).status_code == 200
    assert revoke(live.runtime, revoked.id)
    until(401, lambda: api.get(PROBE, headers=bearer(revoked)))
    assert api.get(PROBE).status_code == 401
    assert "no API key was made" not in api.get(PROBE).json()["detail"]


def test_each_scope_opens_what_it_says_and_nothing_else(live: Drive) -> None:
    """Every route that changes or tells something lets in the scopes it is for, over HTTP, and refuses each other scope."""
    api = Client(create_api(live.app), **HERE, raise_server_exceptions=False)
    keys = {scope: make(live.runtime, scope) for scope in SCOPES}
    schema = api.get("/openapi.json").json()["paths"]
    let_in: dict[tuple[str, str], set[str]] = {}
    open_to_all = {"/healthz", "/readyz"}
    with api:
        for path, operations in schema.items():
            if path in open_to_all or path.startswith("/v1/rules"):
                continue
            address = (
                path.replace("{", "").replace("}", "").replace("execution_id", "0" * 32).replace("asset_id", "0" * 32)
            )
            for method in operations:
                asked = {
                    scope: api.request(
                        method, address, headers=bearer(key), **({} if method == "get" else {"json": {}})
                    )
                    for scope, key in keys.items()
                }
                assert all(one.status_code != 401 for one in asked.values()), (method, path)
                let_in[method.upper(), path] = {scope for scope, one in asked.items() if one.status_code != 403}
                refused = [one.json() for one in asked.values() if one.status_code == 403]
                assert all(set(one["needed"]) <= let_in[method.upper(), path] for one in refused), (method, path)
    assert len(let_in) > 5
    for route, scopes in let_in.items():
        assert scopes, route
        assert scopes != set(SCOPES), f"{route} is open to any key"
        assert scopes == WHO_MAY.get(route, scopes), route
        if route[0] != "GET":
            assert "audit:read" not in scopes or route[1].endswith(("/dry-run", "/diff")), route
        if route[1] != "/v1/events":
            assert "events:write" not in scopes, route


def test_the_caller_has_the_name_and_scopes_of_the_key(live: Drive, api_of: Callable[..., Any]) -> None:
    """Routes act in the key's name; its use is written once, and is no change for the audit log."""
    api = api_of(live)
    key = make(live.runtime, "audit:read")

    def logged() -> int:
        with live.runtime.engine.connect() as conn:
            return int(conn.execute(text("SELECT count(*) FROM audit_log")).scalar_one())

    before, asked_at = logged(), datetime.now(UTC)
    assert api.get("/metrics", headers=bearer(key)).status_code == 200

    def used() -> datetime | None:
        with live.runtime.engine.connect() as conn:
            found: datetime | None = conn.execute(text("SELECT last_used_at FROM api_key")).scalar_one()
        return found

    end = time.monotonic() + 5
    while (first := used()) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert abs((first - asked_at).total_seconds()) < 60
    assert api.get(PROBE, headers=bearer(key)).status_code == 200
    assert used() == first
    assert logged() == before


def test_keys_while_the_database_cannot_tell(
    live: Drive, api_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that cannot be read: those known go on, others and callers without one are told to come again, never let in."""
    monkeypatch.setattr(keyring, "FRESH_S", 0.0)
    monkeypatch.setattr(keyring, "AHEAD_S", 0.0)
    monkeypatch.setattr(keyring, "AGAIN_S", 0.0)
    api, fresh = api_of(live), api_of(live)
    known, unknown = make(live.runtime), make(live.runtime)
    with live.runtime.engine.begin() as conn:
        conn.execute(text("DELETE FROM api_key WHERE id = :id"), {"id": unknown.id})
    assert api.get(PROBE, headers=bearer(known)).status_code == 200
    with live.runtime.engine.begin() as conn:
        conn.execute(text("ALTER TABLE api_key RENAME TO api_key_away"))
    assert api.get(PROBE, headers=bearer(known)).status_code == 200
    for answer in (
        api.get(PROBE, headers=bearer(unknown)),
        api.get(PROBE),
        fresh.get(PROBE, headers=bearer(known)),
        fresh.get(PROBE),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "database_down")
        assert int(answer.headers["Retry-After"]) >= 1
        assert "api_key_away" not in answer.text
    changed = known.key[:-1] + ("A" if known.key[-1] != "A" else "B")
    assert api.get(PROBE, headers=bearer(changed)).status_code == 401
    assert fresh.get("/openapi.json").status_code == 200


def test_an_api_without_a_database_lets_nobody_in(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """A database that cannot be reached from the start: 503 for everybody, with a key or without."""
    away = settings.model_copy(update={"database_url": "postgresql://u:geheim@127.0.0.1:1/x"})
    drive = make_drive(away, replay=False)
    client = Client(create_api(drive.app), **HERE)
    for headers in ({}, bearer(f"tk_{'a' * 12}_{'b' * 43}")):
        answer = client.get(PROBE, headers=headers)
        assert answer.status_code == 503
        assert "geheim" not in answer.text + caplog.text
    drive.runtime.close()


def test_other_kinds_of_connections_are_closed(live: Drive) -> None:
    """A WebSocket, for which nobody asks who it is, is closed."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(create_api(live.app)({"type": "websocket", "path": "/v1/rules/blocks", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_others_are_served_only_with_a_key(runtime: Runtime) -> None:
    """Listening for others needs an active key; listening for this machine does not."""
    for here in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        assert is_loopback(here)
        require_keys(runtime, here)
    for everywhere in ("0.0.0.0", "::", "192.0.2.1", "tactics.example"):  # noqa: S104
        assert not is_loopback(everywhere)
        with pytest.raises(NotConfigured, match="tactics keys create"):
            require_keys(runtime, everywhere)
    with pytest.raises(NotConfigured, match="--require-key was given, and there is no active API key"):
        require_keys(runtime, "127.0.0.1", always=True)
    assert unguarded(runtime)
    key = make(runtime)
    require_keys(runtime, "0.0.0.0")  # noqa: S104
    require_keys(runtime, "127.0.0.1", always=True)
    assert not unguarded(runtime)
    revoke(runtime, key.id)
    assert not unguarded(runtime)
    with pytest.raises(NotConfigured):
        require_keys(runtime, "0.0.0.0")  # noqa: S104
