"""`tactics keys`, as a person types it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.domain.api_key import SCOPES, hashed, parts_of
from tactics.flows import api_key
from tactics.runtime import Runtime


@pytest.fixture(autouse=True)
def _attached(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)


def _run(*args: object) -> Result:
    return CliRunner().invoke(app, ["keys", *[str(arg) for arg in args]])


def _ok(*args: object) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def _json(*args: object) -> Any:
    return json.loads(_ok(*args, "--json"))


def test_a_key_from_its_making_to_its_end(runtime: Runtime) -> None:
    """A person makes a key, which is shown once and alone, sees it in the list without its secret, and revokes it."""
    assert _ok("list").startswith("there are no API keys")
    assert _json("list") == []
    result = _run("create", "--name", "shop", "--scope", "events:write", "--scope", "placements:call")
    assert result.exit_code == 0
    key = result.stdout.removesuffix("\n")
    parts = parts_of(key)
    assert parts is not None  # standard output has nothing else
    key_id, secret = parts
    assert "shown once" in result.stderr
    assert secret not in result.stderr
    (listed,) = _json("list")
    assert listed["created_at"] is not None
    assert {name: value for name, value in listed.items() if name != "created_at"} == {
        "id": key_id,
        "name": "shop",
        "state": "active",
        "scopes": ["events:write", "placements:call"],
        "rate_per_s": None,
        "burst": None,
        "signed": False,
        "rotating": False,
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
    }
    with runtime.engine.connect() as conn:
        row = dict(conn.execute(text("SELECT * FROM api_key")).one()._mapping)
    assert row["secret_hash"] == hashed(secret)
    assert secret not in str(row)
    assert _ok("revoke", key_id) == f"key {key_id} is now revoked\n"
    assert _ok("revoke", key_id) == f"key {key_id} is already revoked\n"
    assert _json("revoke", key_id) == {"id": key_id, "state": "revoked", "changed": False}
    assert _json("list")[0]["state"] == "revoked"
    for shown in (_ok("list"), _ok("list", "--json")):
        assert key_id in shown
        assert secret not in shown
        assert hashed(secret) not in shown


def test_limits_and_expiry(runtime: Runtime) -> None:
    """A rate has a second's worth of burst unless told otherwise; a key is valid as long as said, from now on."""
    made = _json("create", "--name", "a", "--scope", "audit:read", "--rate", 2.5, "--expires-in", "90d")
    assert (made["rate_per_s"], made["burst"], made["state"], made["signing_secret"]) == (2.5, 3, "active", None)
    lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lifetime == timedelta(days=90)
    made = _json("create", "--name", "a", "--scope", "audit:read", "--rate", 100, "--burst", 200)
    assert (made["rate_per_s"], made["burst"]) == (100.0, 200)
    shown = _ok("list")
    assert "2.5, burst 3" in shown
    assert "100, burst 200" in shown
    with runtime.engine.begin() as conn:
        conn.execute(text("UPDATE api_key SET expires_at = now()"))
    assert {one["state"] for one in _json("list")} == {"expired"}


def test_signing_secrets_are_exchanged(runtime: Runtime) -> None:
    """A new secret stands before the old one until the rotation is ended; a third has to wait for that."""
    made = _json("create", "--name", "shop", "--scope", "events:write", "--signed")
    key_id, first = made["id"], made["signing_secret"]

    def stored() -> list[str]:
        with runtime.engine.connect() as conn:
            found: list[str] = conn.execute(text("SELECT signing_secrets FROM api_key")).scalar_one()
        return found

    assert stored() == [first]
    assert "already" in _ok("end-rotation", key_id)
    second = _ok("rotate-signing", key_id).strip()
    assert stored() == [second, first]
    result = _run("rotate-signing", key_id)
    assert (result.exit_code, f"tactics keys end-rotation {key_id}" in result.stderr) == (1, True)
    for shown in (_ok("list"), _ok("list", "--json")):
        assert "rotating" in shown
        assert first not in shown
        assert second not in shown
    assert _json("end-rotation", key_id) == {"id": key_id, "changed": True}
    assert stored() == [second]
    third = _json("rotate-signing", key_id)["signing_secret"]
    assert stored() == [third, second]
    with runtime.engine.connect() as conn:
        log = str([tuple(row) for row in conn.execute(text("SELECT * FROM audit_log"))])
    assert all(one not in log for one in (first, second, third, made["key"], hashed(made["key"][16:])))
    assert _ok("revoke", key_id)
    assert _run("rotate-signing", key_id).exit_code == 1
    plain = parts_of(_ok("create", "--name", "plain", "--scope", "events:write").strip())
    assert plain is not None
    assert "does not sign" in _run("rotate-signing", plain[0]).stderr
    lines = _ok("create", "--name", "both", "--scope", "events:write", "--signed").splitlines()
    assert [line[:4] for line in lines] == [lines[0][:4], "tss_"]
    assert parts_of(lines[0]) is not None


def test_what_cannot_be_done_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong scope is answered with those there are; an unknown id is not repeated, for it may be a whole key."""
    result = _run("create", "--name", "a", "--scope", "events:read")
    assert result.exit_code == 2
    assert "'events:read'" in result.stderr
    assert all(scope in result.stderr for scope in SCOPES)
    error = json.loads(_run("create", "--name", "a", "--scope", "x", "--json").stdout)["error"]
    assert error["problems"][0]["path"] == "/scopes"
    assert _run("create", "--name", "a", "--scope", "audit:read", "--expires-in", "soon").exit_code == 2
    for command in ("revoke", "rotate-signing", "end-rotation"):
        result = _run(command, "tk_geheim")
        assert result.exit_code == 2
        assert "geheim" not in result.output
    assert _json("list") == []
    monkeypatch.setattr(api_key, "MAX_ACTIVE", 1)
    assert _run("create", "--name", "a", "--scope", "audit:read").exit_code == 0
    result = _run("create", "--name", "b", "--scope", "audit:read")
    assert (result.exit_code, "revoke those" in result.stderr) == (1, True)


def test_the_api_is_not_opened_to_others_without_a_key() -> None:
    """`tactics api` on another address than loopback says what is missing, and does not start to listen."""
    result = CliRunner().invoke(app, ["api", "--host", "0.0.0.0", "--port", "0"])  # noqa: S104
    assert (result.exit_code, "`tactics keys create" in result.stderr) == (2, True), result.output
