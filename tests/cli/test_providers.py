"""`tactics providers`, as a person types it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.flows import provider
from tactics.runtime import Runtime
from tactics.store import providers


@pytest.fixture(autouse=True)
def _attached(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = {"TACTICS_OUTBOUND_HOSTS": "http://127.0.0.1:1", "TACTICS_OUTBOUND_NETWORKS": "127.0.0.0/8"}
    for name, value in {**environment, **allowed}.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)


def _run(*args: str) -> Result:
    return CliRunner().invoke(app, ["providers", *args])


def _ok(*args: str) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def _json(*args: str) -> Any:
    return json.loads(_ok(*args, "--json"))


def test_a_provider_from_its_set_up_to_its_end(runtime: Runtime) -> None:
    """A person sets a provider up, changes what they name and nothing else, tries it, and removes it."""
    assert _ok("list").startswith("there are no outside providers")
    url = "http://127.0.0.1:1/grants"
    said = _ok("set", "wallet", "--url", url, "--look-up-url", f"{url}/{{idempotency_id}}").splitlines()
    assert said == ["provider wallet: new", "`tactics providers test wallet` tries its addresses"]
    assert _json("set", "wallet", "--timeout-ms", "200", "--disabled", "--not-idempotent")["change"] == "updated"
    shown = _json("show", "wallet")
    assert (shown["url"], shown["timeout_ms"], shown["enabled"], shown["idempotent"]) == (url, 200, False, False)
    assert _json("set", "wallet")["change"] == "unchanged"
    assert _json("set", "wallet", "--look-up-url", "")["look_up_url"] is None
    assert _json("list") == [{name: value for name, value in _json("show", "wallet").items() if name != "held_back"}]
    assert "disabled" in _ok("list")
    assert "look_up_url: none" in _ok("show", "wallet")
    tried = _run("test", "wallet")
    assert tried.exit_code == 1
    assert "url: FAILED: " in tried.stdout
    assert [one["ok"] for one in json.loads(_run("test", "wallet", "--json").stdout)] == [False, None, None]
    assert _ok("remove", "wallet") == "provider wallet is removed\n"
    for command in ("show", "remove", "test"):
        assert "there is no provider 'wallet'" in _run(command, "wallet").output
    refused = _run("set", "wallet", "--url", "https://elsewhere.test/")
    assert refused.exit_code != 0
    assert "TACTICS_OUTBOUND_HOSTS" in refused.output
    assert "then restart API and workers" in refused.output
    assert "/url" in _run("set", "wallet").output


def test_a_secret_is_shown_once_and_alone(runtime: Runtime) -> None:
    """Standard output has the new secret alone; two are kept, the newest first; nothing shows them again."""
    made = []
    for _ in range(3):
        result = _run("set", "wallet", "--url", "http://127.0.0.1:1/", "--new-secret")
        assert result.exit_code == 0
        made.append(result.stdout.removesuffix("\n"))
        assert made[-1] not in result.stderr
        assert "new secret" in result.stderr
        assert ("The one before" in result.stderr) == (len(made) > 1)
        assert ("tactics providers test wallet" in result.stderr) == (len(made) == 1)
    told = _json("set", "wallet", "--new-secret")
    made.append(told["signing_secret"])
    with runtime.engine.connect() as conn:
        found = providers.find(conn, "wallet")
    assert found is not None
    assert found.signing_secrets == (made[3], made[2])
    assert told["signing_secrets"] == _json("show", "wallet")["signing_secrets"] == provider.MOST_SECRETS
    said = _ok("show", "wallet") + _ok("list", "--json")
    assert not [one for one in made if one in said]
