"""`tactics up`, with real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tactics import embedded
from tactics.api.auth import UNGUARDED
from tactics.embedded.home import temporary
from tactics.embedded.postgres import Postgres
from tactics.embedded.server import Server
from tactics.embedded.valkey import Valkey
from tests.counting import counts_of
from tests.journey import offer
from tests.running import TACTICS, Up, environment, processes_of, running_up, written


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A new home that the servers' account may enter."""
    path = temporary()
    (path / "metrics").mkdir()
    (path / "metrics" / "counter_0.db").touch()
    yield path
    embedded.stop(path)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def up(home: Path) -> Iterator[Up]:
    """A running `tactics up` with a published offer, and a user who is prepared for it."""
    with running_up(home) as running:
        imported = running.run("activity", "import", written(home / "offer.json", offer()), "--publish")
        assert imported.returncode == 0, imported.stderr
        for _ in range(2):
            sent = running.run("event", "send", "--user", "u-secret", "--action", "purchase", "--item", "item-secret")
            assert sent.returncode == 0, sent.stderr
        yield running


def test_everything_runs_and_other_commands_find_it(up: Up) -> None:
    """What was sent from another process is worked on, and a visit from another one shows the coupon; all may do all, it says."""
    assert f"{UNGUARDED}\n" in up.said

    def granted() -> str | None:
        shown = up.run("visit", "home", "--user", "u-secret")
        assert shown.returncode == 0, shown.stderr
        return shown.stdout if "★" in shown.stdout else None

    assert up.until(granted, "a coupon").startswith("★ A coupon of 5.00 USD")


def test_everything_counts_together(up: Up) -> None:
    """The API tells what the worker has done; what processes of an earlier run had counted is gone."""
    address = re.search(r"API +(http://\S+)", "".join(up.said))
    assert address

    def counts() -> dict[str, float]:
        return counts_of(httpx.get(f"{address[1]}/metrics", timeout=10).text)

    up.until(lambda: counts().get("tactics_sweeps_total"), "a sweep is counted")
    found = counts()
    assert found['tactics_events_routed_total{type="action"}'] == 2
    assert found["tactics_database_up"] == 1
    assert not (up.home / "metrics" / "counter_0.db").exists()


def test_flower_comes_back_as_it_was(up: Up) -> None:
    """A Flower that dies is started again, at the same address and with the same password, and that is told."""
    before = up.ask_flower("/api/tasks")
    assert before.status == 200
    (pid,) = [
        pid for pid, line in processes_of(up.home).items() if "-m tactics.flower" in line and "keeper" not in line
    ]
    os.kill(pid, signal.SIGKILL)
    assert "'flower' ended with 137 and is started again" in up.hear("'flower' ended")

    def answers() -> bool:
        try:
            return up.ask_flower("/api/tasks").status == 200
        except OSError:
            return False

    up.until(answers, "Flower answers again")
    assert sum(up.flower[2] in line for line in up.said) == 1


def test_a_second_one_says_that_it_is_running(up: Up) -> None:
    """In one home Tactics runs once; who tries again is told where, and nothing is disturbed."""
    again = up.run("up")
    assert again.returncode == 1
    assert again.stderr == f"Error: Tactics is already running in {up.home} (process {up.process.pid}).\n"
    assert up.process.poll() is None


def test_a_taken_port_is_said(up: Up) -> None:
    """A port that was asked for and is taken is named, and nothing is left running."""
    other = temporary()
    try:
        port = str(up.flower[0])
        ended = subprocess.run(
            [*TACTICS, "up", "--port", port], check=False, capture_output=True, text=True, env=environment(other)
        )
        assert (ended.returncode, ended.stderr) == (2, f"Error: port {port} is taken: choose another with --port\n")
        assert not processes_of(other)
    finally:
        shutil.rmtree(other)


def test_killed_and_started_again_it_has_kept_everything() -> None:
    """After SIGKILL the next start works and shows the same coupon; told to end, it stops everything and says so."""
    home = temporary()
    try:
        with running_up(home, "--no-flower") as first:
            assert first.run("activity", "import", written(home / "offer.json", offer()), "--publish").returncode == 0
            event = ("event", "send", "--type", "behaviour", "--user", "u1", "--rule-key", "bought_twice")
            assert first.run(*event).returncode == 0
            code = first.until(lambda: _coupon(first), "a coupon")
            first.process.kill()
        with running_up(home, "--no-flower") as second:
            assert _coupon(second) == code
            second.process.send_signal(signal.SIGINT)
            assert second.rest() == f"Stopping …\nStopped. The data is kept in {home}.\n"
            assert second.process.returncode == 0
        assert embedded.attached(home) is None
        assert not processes_of(home)
        assert not (home / "flower.log").exists()
    finally:
        shutil.rmtree(home)


def _coupon(up: Up, user: str = "u1") -> str | None:
    results = json.loads(up.run("visit", "home", "--user", user, "--json").stdout)["results"]
    return results[0]["assets"][0]["code"] if results else None


@pytest.mark.parametrize("server", [Postgres, Valkey])
def test_a_server_that_dies_is_started_again(up: Up, server: type[Server]) -> None:
    """Killed under it, Postgres or Valkey is named within seconds and started again; everything goes on."""
    pid = server(up.home).pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert up.hear("ended and is started again").startswith(f"{server.name} ended and is started again; see {up.home}")
    up.hear(f"{server.name} runs again.")
    assert server(up.home).pid() not in {None, pid}
    user = f"after-{server.name}"
    sent = up.run("event", "send", "--type", "behaviour", "--user", user, "--rule-key", "bought_twice")
    assert sent.returncode == 0, sent.stderr
    shown = up.until(lambda: _coupon(up, user), "a coupon")
    assert up.process.poll() is None, shown


def test_a_server_that_does_not_start_again_ends_everything() -> None:
    """It ends with 1, names the server and shows the end of its log; nothing is left running."""
    home = temporary()
    try:
        with running_up(home, "--no-flower") as running:
            with (home / "postgres" / "postgresql.conf").open("a") as file:
                file.write("no_such_setting = 1\n")
            pid = Postgres(home).pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            said = running.rest()
            assert running.process.returncode == 1
        assert "Postgres ended and is started again" in said
        assert "Error: Postgres does not start." in said
        assert "no_such_setting" in said
        assert not processes_of(home)
    finally:
        embedded.stop(home)
        shutil.rmtree(home)
