"""`tactics api` as a process: it says where it answers, in one process or several, and ends when it is told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tactics.api import auth, server
from tactics.api.auth import UNGUARDED
from tactics.cli.app import app
from tests.delivery.waiting import until

TACTICS = (sys.executable, "-m", "tactics.cli", "api")


@contextmanager
def _serving(
    environment: Mapping[str, str], folder: Path, *options: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run it on a free port until the block ends; gives the process and its address."""
    log = folder / "api.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*TACTICS, "--port", "0", *options], env=dict(environment), stdout=out, stderr=out)
    try:
        until(lambda: " ready." in log.read_text() or process.poll() is not None, "it is ready")
        found = re.search(r"answers on (\S+) until", log.read_text())
        assert found is not None, log.read_text()
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
    assert UNGUARDED in log.read_text()
    assert "Stopped." in log.read_text(), log.read_text()


def _event(name: str) -> dict[str, object]:
    data = {"user_id": "ann", "action": "purchase"}
    return {"specversion": "1.0", "id": name, "source": "shop", "type": "tactics.action", "data": data}


def test_several_processes_answer_as_one(environment: dict[str, str], tmp_path: Path) -> None:
    """Two processes on one address: every request is answered, an event that both get is accepted once; SIGTERM ends all."""
    headers = {"content-type": "application/cloudevents+json"}
    with _serving(environment, tmp_path, "--processes", "2") as (process, address):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        statuses = []
        for _ in range(12):  # each on a connection of its own, so that both processes are asked
            answer = httpx.post(f"{address}/v1/events", json=_event("a"), headers=headers)
            assert answer.status_code == 202, answer.text
            statuses.append(answer.json()["status"])
        assert (statuses[0], set(statuses[1:])) == ("accepted", {"duplicate"})
        assert len(children) >= 2
    assert process.returncode == 0
    until(lambda: not any(Path(f"/proc/{one}").exists() for one in children), "its processes have ended")


def test_what_it_is_answering_is_answered_before_it_ends(environment: dict[str, str], tmp_path: Path) -> None:
    """A request whose body is still coming when it is told to end is answered, and the event stored."""
    body = b'{"specversion":"1.0","id":"z","source":"s","type":"tactics.action","data":{"user_id":"u","action":"a"}}'
    head = f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cloudevents+json\r\nContent-Length: {len(body)}\r\n\r\n"
    with _serving(environment, tmp_path) as (process, address):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(head.encode() + body[:20])
            until(lambda: httpx.get(f"{address}/healthz").status_code == 200, "it answers others meanwhile")
            process.send_signal(signal.SIGTERM)
            connection.sendall(body[20:])
            answer = b""
            while b"accepted" not in answer and (part := connection.recv(4096)):
                answer += part
        assert answer.startswith(b"HTTP/1.1 202"), answer


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "there is no active API key"),  # noqa: S104  # refused
        (("--port", "{taken}"), "is taken: choose another with --port"),
        (("--host", "203.0.113.7"), "API key"),
    ],
)
def test_what_it_cannot_do_it_says_before_it_listens(
    environment: dict[str, str], options: tuple[str, str], said: str
) -> None:
    """An address that others reach needs a key first, and a port has to be free; no traceback, and not exit code 0."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        command = [*TACTICS, *(option.format(taken=taken) for option in options)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_who_is_answered_without_a_key(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine, unless a key is required or others are served; that is said on standard error, while there is no key."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    opened: list[bool] = []

    def configured(*, open_locally: bool, **_: object) -> None:
        opened.append(open_locally)
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "server_config", configured)

    def said(*options: str) -> tuple[bool, bool]:
        done = CliRunner().invoke(app, ["api", "--port", "0", *options])
        assert UNGUARDED not in done.stdout
        return opened.pop(), UNGUARDED in done.stderr

    assert said() == (True, True)
    refused = CliRunner().invoke(app, ["api", "--port", "0", "--require-key"])
    assert (refused.exit_code, opened) == (2, [])
    assert "there is no active API key" in refused.stderr
    monkeypatch.setattr(auth, "require_keys", lambda *_, **__: None)  # as if there had been a key
    assert said("--require-key") == said("--host", "0.0.0.0") == (False, False)  # noqa: S104
    monkeypatch.setattr(auth, "unguarded", lambda _: False)
    assert said() == (True, False)


def test_without_servers_it_refuses_to_start() -> None:
    """Nobody takes events into a throw-away database by mistake: both addresses have to be set."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TACTICS_")}
    done = subprocess.run(TACTICS, env=bare, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "`tactics api` needs TACTICS_DATABASE_URL and TACTICS_REDIS_URL" in done.stderr
