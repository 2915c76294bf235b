"""`tactics webhooks`, as a person types it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.runtime import Runtime
from tactics.store import outbox
from tests.flows.receiver import receiving, signed_by


def _run(*args: str) -> Result:
    return CliRunner().invoke(app, ["webhooks", *args])


def _ok(*args: str) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def _json(*args: str) -> Any:
    return json.loads(_ok(*args, "--json"))


def test_a_webhook_from_its_making_to_its_end(
    runtime: Runtime, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person sets up a webhook whose secret is shown once, tries it, sees what waits, has it tried again, and removes it."""
    with receiving() as receiver:
        told = {**environment, "TACTICS_OUTBOUND_HOSTS": receiver.url, "TACTICS_OUTBOUND_NETWORKS": "127.0.0.0/8"}
        for name, value in told.items():
            if name.startswith("TACTICS_"):
                monkeypatch.setenv(name, value)
        assert _ok("list").startswith("there are no webhooks")
        for bad, said in (
            (("https://elsewhere.example.com/",), "TACTICS_OUTBOUND_HOSTS"),
            ((receiver.url, "--topic", "tactics.sold"), "no topic"),
        ):
            refused = _run("add", *bad)
            assert (refused.exit_code, said in refused.stderr) == (2, True), refused.output
        webhook, secret = _ok("add", receiver.url, "--topic", "tactics.paused", "--description", "the shop").split()
        assert _ok("test", webhook) == "delivered: answered 204\n"
        assert signed_by(secret, receiver.got[0].headers, receiver.got[0].body)
        receiver.answer = lambda _one, _before: 500
        failed = _run("test", webhook)
        assert (failed.exit_code, "answered 500" in failed.stderr) == (1, True)
        newer = _ok("rotate-secret", webhook, "--drop-last").strip()
        assert newer.startswith("whsec_")
        with runtime.engine.begin() as conn:
            outbox.add_all(conn, "tactics.paused", [("a", {}), ("b", {})])
            conn.exec_driver_sql(
                "UPDATE webhook_delivery SET next_attempt_at = NULL, parked_reason = 'answered 500' WHERE outbox_id = 1"
            )
        (listed,) = _json("list")
        assert (listed["topics"], listed["waiting"], listed["parked"]) == (["tactics.paused"], 1, 1)
        assert not any(one[6:20] in _ok("list", "--json") for one in (secret, newer))
        (parked,) = _json("deliveries", webhook, "--state", "parked")
        assert (parked["id"], parked["key"]) == ("msg_1", "a")
        assert "msg_2" in _ok("deliveries", webhook)
        assert _run("retry", webhook).exit_code == 2
        assert _run("retry", webhook, "msg_x").exit_code == 2
        assert _json("retry", webhook, "msg_1") == {"retried": 1}
        assert _json("retry", webhook, "--all") == {"retried": 0}
        assert _json("disable", webhook)["changed"]
        assert _ok("disable", webhook) == f"webhook {webhook} is already disabled\n"
        assert "disabled" in _ok("list")
        assert "state" in _ok("list").split()
        assert "`tactics webhooks list` shows those there are" in _run("test", "nonsense").output
        assert _json("enable", webhook)["changed"]
        assert _json("remove", webhook) == {"id": webhook, "not_delivered": 2}
        assert _run("remove", webhook).exit_code == 2
        assert _json("list") == []
