"""`tactics grants …` and `tactics reconcile`, as an operator types them."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.store import provider_gate, providers
from tests.driving import Drive, Maker, at_checkout
from tests.making import document
from tests.outside import connect


def _run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def _ok(*args: str) -> Any:
    result = _run(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _refused(*args: str) -> str:
    result = _run(*args)
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.fixture
def drive(driven: Maker, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Drive:
    """A drive whose database and Redis are those of the commands."""
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)
    return driven(replay=False)


def test_an_operator_looks_tries_once_more_and_gives_up(drive: Drive) -> None:
    """What a retry would do is said before; one, some or all that options find are changed, and then nothing is left."""
    wallet = connect(drive)
    schedule = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    coupon = {"kind": "coupon", "value_minor": 500, "stock": 20, "provider": "wallet"}
    drive.load(
        at_checkout(benefits={"c18": coupon}, schedule=schedule, priority=9),
        document(code="last", schedule=schedule, channels={"prepare": [], "grant": ["home_banner"]}),
    )
    wallet.next.extend(("refused", "refused", "refused", "unclear", "unclear", "unclear"))
    for number in range(6):
        drive.visit(f"u{number}", best_only=True)
        drive.work()
    listed = _ok("grants", "list", "--provider", "wallet", "--limit", "9")
    assert len(listed) == 6
    of = {one["user_id"]: one["id"] for one in listed}

    shown = _ok("grants", "show", of["u0"])
    assert (shown["retry"]["action"], shown["retry"]["deducts"], shown["state"]) == ("renew", 1, "refused")
    assert [(one["activity"], one["outcome"]) for one in shown["others"]] == [("last", None)]
    assert [one["answer"] for one in shown["attempts"]] == ["refused"]
    assert shown["rule"]["lines"][0] == "matched"
    assert "send_benefit" in [one["step"] for one in shown["execution"]["trace"]]
    said = _run("grants", "show", of["u3"]).stdout
    for part in (
        "unknown since",
        "would deduct 0",
        "camp18:u3:1",
        "unclear",
        "send_benefit",
        "provider wallet",
        "last",
    ):
        assert part in said, part

    foreseen = _ok("grants", "retry", "--all-matching", "--activity", "camp18", "--dry-run")["would"]
    assert sorted(foreseen.values()) == [3, 3]
    retried = _ok("grants", "retry", of["u0"], of["u0"], "--reason", "they had a bug")
    assert (retried["retried"], retried["left_alone"]) == (1, 1)
    assert [one["action"] for one in retried["grants"]] == ["renew", "nothing"]
    foreseen = _ok("grants", "abandon", "--all-matching", "--state", "unknown", "--reason", "gone", "--dry-run")[
        "would"
    ]
    assert foreseen == {"abandon: it is unknown": 3}
    assert _ok("grants", "abandon", of["u3"], "--reason", "gone")["abandoned"] == 1
    drive.forget()
    many = _run("grants", "retry", "--all-matching", "--activity", "camp18")
    assert "retried" in many.stdout
    drive.settle()
    assert wallet.effects.total() == 6
    assert set(wallet.effects.values()) == {1}
    assert drive.value("SELECT remaining FROM benefit WHERE activity_code = 'camp18'") == 14
    log = _ok("audit-log", "--kind", "grant")
    assert {one["actor"].split(":")[0] for one in log} == {"cli"}
    assert "they had a bug" in {one["after"]["reason"] for one in log}


def test_a_pause_of_the_provider_is_said(drive: Drive) -> None:
    """Nobody is told that a provider is asked now while its breaker keeps the workers from it; a refusal says so once."""
    wallet = connect(drive)
    coupon = {"kind": "coupon", "value_minor": 500, "stock": 20, "provider": "wallet"}
    schedule = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    drive.load(at_checkout(benefits={"c18": coupon}, schedule=schedule))
    wallet.next.extend(("refused", "unclear"))
    for user in ("1", "2"):
        drive.visit(user)
        drive.work()
    of = {one["user_id"]: one["id"] for one in _ok("grants", "list")}
    drive.run("UPDATE grant_record SET reason = 'refused: account_closed' WHERE state = 'refused'")
    said = _run("grants", "show", of["1"]).stdout.splitlines()[0]
    assert said.startswith("refused since ")
    assert said.endswith(": account_closed")
    assert "refused: " not in said
    drive.forget()
    assert "held_back" in _ok("providers", "show", "wallet")
    assert "calls: not held back" in _run("providers", "show", "wallet").stdout
    gate = provider_gate.gate_of("wallet")
    for _ in range(provider_gate.FAILURES_OPEN + 1):
        admitted = provider_gate.enter(drive.runtime.redis, gate, limit=9, call_ms=60_000)
        provider_gate.leave(drive.runtime.redis, gate, admitted.mark or "", well=False, retry_after_s=60)
    for command in (("grants", "show", of["2"]), ("providers", "show", "wallet"), ("providers", "test", "wallet")):
        said = _run(*command).stdout
        assert " s after 6 failures in a row" in said, said
    assert "held back until" in _ok("grants", "show", of["2"])["retry"]["why"]
    said = _run("grants", "retry", of["2"]).stdout
    assert said.startswith("1 retried\nnot yet asked, 1: "), said
    assert "provider 'wallet' is held back until" in said
    drive.forget()
    drive.settle()
    assert "held back" not in _run("grants", "retry", of["2"]).stdout


def test_reconcile_says_what_it_compared(drive: Drive) -> None:
    """Without lists there is nothing to compare with; a list that cannot be read is an error, and no difference."""
    assert "no provider lists" in _run("reconcile").stdout
    assert _ok("reconcile") | {"from": "", "to": ""} == {
        "ok": True,
        "tagged": 0,
        "providers": [],
        "from": "",
        "to": "",
        "counts": {},
        "differences": [],
    }
    wallet = connect(drive, list_url="https://wallet.example/list")
    failed = _run("reconcile")
    assert failed.exit_code == 1, failed.output
    assert "wallet" in failed.stderr
    with drive.runtime.engine.begin() as conn:
        assert providers.remove(conn, wallet.provider.name)
    assert "there is no provider" in _refused("reconcile", "--provider", "wallet")


def test_what_a_command_cannot_do_is_said(drive: Drive) -> None:
    """Options that contradict each other, and what is no id, no reason and no time, are refused before anything is done."""
    nobody = str(uuid4())
    assert "no id of a grant" in _refused("grants", "retry", "seven")
    assert "there are no such grants" in _refused("grants", "retry", nobody)
    assert "say which" in _refused("grants", "retry", "--activity", "camp18")
    assert "not both" in _refused("grants", "retry", nobody, "--all-matching")
    assert "--reason" in _refused("grants", "abandon", nobody)
    assert "empty" in _refused("grants", "abandon", nobody, "--reason", " ")
    assert "no time" in _refused("grants", "list", "--from", "noon")
    for wrong in (("--provider", "nobdy"), ("--provider", ""), ("--activity", "nobdy"), ("--activity", "")):
        assert f"{wrong[1]!r}" in _refused("grants", "list", *wrong)
        for verb in ("retry", "abandon", "revoke"):
            refused = _run("grants", verb, "--all-matching", *wrong, "--reason", "x")
            assert (refused.exit_code, refused.stdout) == (2, "")
            assert f"{wrong[1]!r}" in refused.stderr
    assert not drive.rows("SELECT FROM audit_log WHERE kind = 'grant'")
