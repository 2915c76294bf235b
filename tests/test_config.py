"""Settings: what the environment says, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from tactics import config
from tactics.config import Settings
from tactics.errors import NotConfigured


def test_environment_sets_every_field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A field is set by TACTICS_ and its name in capitals; other variables are none of our business."""
    for name, value in (("DATABASE_URL", "x"), ("REPLAY", "true"), ("LEASE_S", "80"), ("HOME", str(tmp_path))):
        monkeypatch.setenv(f"TACTICS_{name}", value)
    monkeypatch.setenv("TACTICS_NO_SUCH_THING", "1")
    monkeypatch.setenv("LEASE_S", "1")
    found = Settings()
    assert (found.database_url, found.replay, found.lease_s, found.home) == ("x", True, 80, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATCH_SIZE", "101"),
        ("BATCH_SIZE", "0"),
        ("MAX_ATTEMPTS", "0"),
        ("CLAIM_S", "-1"),
        ("LEASE_S", "x"),
        ("REPLAY", "perhaps"),
    ],
)
def test_setting_out_of_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A value that cannot work is refused when the settings are read, with the field's name."""
    monkeypatch.setenv(f"TACTICS_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ["TACTICS_DATABASE_URL", "TACTICS_REDIS_URL"]),
        ({"database_url": "x"}, ["TACTICS_REDIS_URL"]),
        ({"redis_url": "x"}, ["TACTICS_DATABASE_URL"]),
    ],
)
def test_servers_must_be_named(given: dict[str, str], missing: list[str]) -> None:
    """A command that needs servers refuses to go on without, and says which setting is missing."""
    with pytest.raises(NotConfigured, match="`tactics worker`") as raised:
        Settings(**given).require_servers("tactics worker")  # type: ignore[arg-type]
    assert raised.value.fields["missing"] == missing
    Settings(database_url="x", redis_url="y").require_servers("tactics worker")


def test_home_of_root_is_reachable_for_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's servers live where another user can reach them, anybody else's in its home."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Settings().home == config.ROOT_HOME
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/somewhere")
    assert Settings().home == Path("/somewhere/.local/share/tactics")


def test_a_lock_outlives_what_it_protects() -> None:
    """By default the lock's expiry is longer than a message may run, and a claim longer than both."""
    found = Settings()
    assert found.task_time_limit_s < found.lease_s < found.claim_s


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ({}, True),
        ({"claim_s": 76.0}, True),
        ({"claim_s": 75.0}, False),
        ({"lease_s": 60}, False),
        ({"task_time_limit_s": 90}, False),
    ],
)
def test_times_out_of_order_are_told(given: dict[str, float], ordered: bool) -> None:
    """Time limit < lock < claim is in order; anything else is told, with the three values, and not refused."""
    found = Settings(**given).out_of_order()  # type: ignore[arg-type]
    assert list(found) == ([] if ordered else ["TACTICS_TASK_TIME_LIMIT_S", "TACTICS_LEASE_S", "TACTICS_CLAIM_S"])


@pytest.mark.parametrize(("claim_s", "warned"), [("120", False), ("3", True)])
def test_worker_warns_of_times_out_of_order(tmp_path: Path, claim_s: str, warned: bool) -> None:
    """`tactics worker` starts all the same, and logs one warning with the values before it does."""
    program = "import os; os.execv = lambda *command: print('started'); from tactics.cli import main; main()"
    env = {
        **os.environ,
        "TACTICS_HOME": str(tmp_path),
        "TACTICS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "TACTICS_REDIS_URL": "redis://127.0.0.1:1/0",
        "TACTICS_CLAIM_S": claim_s,
    }
    ended = subprocess.run(
        [sys.executable, "-c", program, "worker"], check=True, capture_output=True, text=True, env=env
    )
    assert ended.stdout == "started\n"
    logged = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [(one["event"], one["level"], one["TACTICS_CLAIM_S"]) for one in logged] == (
        [("settings_out_of_order", "warning", 3.0)] if warned else []
    )
