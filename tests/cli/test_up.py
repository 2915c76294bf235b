"""`tactics up`, with real processes."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tactics import embedded
from tactics.config import Settings
from tactics.embedded.home import temporary
from tactics.supervisor import last_lines
from tactics.worker import make_app
from tests.journey import offer

TACTICS = [sys.executable, "-c", "from tactics.cli import main; main()"]
IN_PLACE = ("query_item", "save_prepared", "record_event", "finish_execution")


@dataclass
class Up:
    """A running `tactics up`: its home, its process and what it has said."""

    home: Path
    process: subprocess.Popen[str]
    said: list[str]

    @property
    def flower(self) -> tuple[int, str, str]:
        """Flower's port, user and password, as they were shown."""
        found = re.search(r"http://127\.0\.0\.1:(\d+)  user (\S+), password (\S+)", "".join(self.said))
        assert found, self.said
        return int(found[1]), found[2], found[3]

    def run(self, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run another command on the same home."""
        return subprocess.run(
            [*TACTICS, *args], check=False, capture_output=True, text=True, input=stdin, env=_environment(self.home)
        )

    def until(self, found: Callable[[], Any], what: str) -> Any:
        """Wait until something is found, and give it."""
        until = time.monotonic() + 60
        while not (value := found()):
            assert time.monotonic() < until, f"not in time: {what}\n{last_lines(self.home / 'worker.log')}"
            time.sleep(0.1)
        return value

    def rest(self) -> str:
        """Give what it says until it ends."""
        return self.process.communicate(timeout=60)[0]


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TACTICS_")}
    return {**kept, "TACTICS_HOME": str(home)}


@contextmanager
def _up(home: Path, *args: str) -> Iterator[Up]:
    process = subprocess.Popen(
        [*TACTICS, "up", *args], env=_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said: list[str] = []
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if line.startswith("  tactics visit"):
                break
        else:
            pytest.fail(f"it did not start: {''.join(said)}")
        try:
            yield Up(home, process, said)
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=60)


def _processes_of(home: Path) -> list[str]:
    """The command lines of all processes that were told of the home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            if line and int(folder.name) != os.getpid() and str(home).encode() in line + environ:
                found.append(line.replace(b"\0", b" ").decode())
    return found


def _get(up: Up, path: str, *, authorized: bool = True) -> tuple[int, Any]:
    port, user, password = up.flower
    secret = base64.b64encode(f"{user}:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Basic {secret}"} if authorized else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, json.loads(body) if answer.status == http.HTTPStatus.OK else body


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A new home that the servers' account may enter."""
    path = temporary()
    yield path
    embedded.stop(path)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def up(home: Path) -> Iterator[Up]:
    """A running `tactics up` with a published offer, and a user who is prepared for it."""
    with _up(home) as running:
        imported = running.run("activity", "import", _written(home / "offer.json", offer()), "--publish")
        assert imported.returncode == 0, imported.stderr
        for _ in range(2):
            sent = running.run("event", "send", "--user", "u-secret", "--action", "purchase", "--item", "item-secret")
            assert sent.returncode == 0, sent.stderr
        yield running


def _written(path: Path, content: object) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def _tasks(up: Up) -> dict[str, dict[str, Any]] | None:
    """What Flower knows, by task name, once the steps of the preparation are among it."""
    status, tasks = _get(up, "/api/tasks")
    assert status == http.HTTPStatus.OK
    by_name = {task["name"]: task for task in tasks.values() if task["state"] == "SUCCESS"}
    return by_name if all(f"tactics.{step}" in by_name for step in IN_PLACE) else None


def test_everything_runs_and_other_commands_find_it(up: Up) -> None:
    """What was sent from another process is worked on, and a visit from another one shows the coupon."""

    def granted() -> str | None:
        shown = up.run("visit", "home", "--user", "u-secret")
        assert shown.returncode == 0, shown.stderr
        return shown.stdout if "★" in shown.stdout else None

    assert up.until(granted, "a coupon").startswith("★ A coupon of 5.00 USD")


def test_flower_shows_the_steps_that_ran_in_place(up: Up) -> None:
    """Flower shows each step with name, state and runtime, under the one delivery's worker."""
    tasks = up.until(lambda: _tasks(up), "the steps in Flower")
    for step in IN_PLACE:
        task = tasks[f"tactics.{step}"]
        assert task["runtime"] > 0
        assert task["worker"] == tasks["tactics.route_events"]["worker"]
        assert re.fullmatch(r"\('[0-9a-f-]{36}', 1\)", task["args"])
    assert tasks["tactics.save_prepared"]["parent_id"] == tasks["tactics.query_item"]["uuid"]


def test_flower_shows_no_personal_data(up: Up) -> None:
    """Neither users nor what they did can be seen in Flower; an event handed in as a task has its arguments masked."""
    data = {"user_id": "u-secret", "action": "purchase", "item_id": "item-secret", "attributes": {"email": "ada@x.org"}}
    event = {"specversion": "1.0", "id": "direct", "source": "s", "type": "tactics.action", "data": data}
    servers = embedded.attached(up.home)
    assert servers is not None
    app = make_app(Settings(database_url=servers.database_url, redis_url=servers.redis_url, home=up.home))
    app.send_task("tactics.ingest_event", (event,), queue="prepare")
    app.close()
    tasks = up.until(lambda: (found := _tasks(up)) and "tactics.ingest_event" in found and found, "the task in Flower")
    assert (tasks["tactics.ingest_event"]["args"], tasks["tactics.ingest_event"]["kwargs"]) == ("(…)", "(…)")
    everything = json.dumps(_get(up, "/api/tasks")[1])
    logs = "".join(log.read_text() for log in up.home.glob("*.log") if os.access(log, os.R_OK))
    for secret in ("u-secret", "item-secret", "ada@x.org"):
        assert secret not in everything
        assert secret not in logs


def test_flower_is_for_those_who_know_the_password(up: Up) -> None:
    """Without the password Flower shows nothing, also to its API; the password's file is its owner's alone."""
    for path in ("/", "/tasks", "/api/tasks", "/api/workers"):
        assert _get(up, path, authorized=False)[0] == http.HTTPStatus.UNAUTHORIZED, path
    file = up.home / "flower.password"
    assert file.read_text() == up.flower[2]
    assert file.stat().st_mode & 0o777 == 0o600
    assert not any(up.flower[2] in line for line in _processes_of(up.home))


def test_flower_listens_on_loopback_alone(up: Up) -> None:
    """Nobody reaches Flower from another machine."""
    port = f"{up.flower[0]:04X}"
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    listening = "0A"
    assert {one[1].split(":")[0] for one in lines if one[1].endswith(f":{port}") and one[3] == listening} == {
        "0100007F"
    }


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
            [*TACTICS, "up", "--port", port], check=False, capture_output=True, text=True, env=_environment(other)
        )
        assert (ended.returncode, ended.stderr) == (2, f"Error: port {port} is taken: choose another with --port\n")
        assert not _processes_of(other)
    finally:
        shutil.rmtree(other)


def test_killed_and_started_again_it_has_kept_everything() -> None:
    """After SIGKILL the next start works and shows the same coupon; told to end, it stops everything and says so."""
    home = temporary()
    try:
        with _up(home, "--no-flower") as first:
            assert first.run("activity", "import", _written(home / "offer.json", offer()), "--publish").returncode == 0
            event = ("event", "send", "--type", "behaviour", "--user", "u1", "--rule-key", "bought_twice")
            assert first.run(*event).returncode == 0
            code = first.until(lambda: _coupon(first), "a coupon")
            first.process.kill()
        with _up(home, "--no-flower") as second:
            assert _coupon(second) == code
            second.process.send_signal(signal.SIGINT)
            assert second.rest() == f"Stopping …\nStopped. The data is kept in {home}.\n"
            assert second.process.returncode == 0
        assert embedded.attached(home) is None
        assert not _processes_of(home)
        assert not (home / "flower.log").exists()
    finally:
        shutil.rmtree(home)


def _coupon(up: Up) -> str | None:
    results = json.loads(up.run("visit", "home", "--user", "u1", "--json").stdout)["results"]
    return results[0]["assets"][0]["code"] if results else None
