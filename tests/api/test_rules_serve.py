"""`tactics rules serve` as a process of its own, and what it does while it works."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from tactics import rules
from tactics.api import examples, limits
from tests.running import TACTICS

PATIENCE_S = 60.0
PLUGIN = """
from tactics.rules import condition, default_registry
from tactics.rules.parameter import integer, number
from tactics.rules.words import BlockWords, ParameterWords

@condition("tea.condition.every", "The amount is a multiple of nth", {"amount": number("what is counted"),
           "nth": integer("every how many", minimum=1)}, words="every {nth}", subject="amount")
def every(amount, nth):
    return amount > 0 and amount % nth == 0

default_registry.translate("zh", {"tea.condition.every": BlockWords("每第几", "数值是 nth 的倍数", "每第 {nth}",
                           {"nth": ParameterWords("间隔", "每隔多少")})})
"""


class Serving:
    """A running service: its process, its address, and what it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.said = ""
        while " ready." not in self.said:
            line = process.stdout.readline()
            assert line, self.said
            self.said += line
        found = re.search(r"http://\S+:(\d+)", self.said)
        assert found
        self.url, self.port = found[0], int(found[1])

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; how it ended, and what it said then."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, rest


@contextmanager
def serving(*options: str, env: Mapping[str, str] | None = None) -> Iterator[Serving]:
    # Nothing is set up, and what would be needed for anything else leads nowhere.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TACTICS_")}
    bare |= {
        "TACTICS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "TACTICS_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    command = [*TACTICS, "rules", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**bare, **(env or {})}
    )
    try:
        yield Serving(process)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_without_database_or_redis_and_ends_when_told(number: int) -> None:
    """It says where it answers, answers there, and on Ctrl-C or SIGTERM ends with 0, leaving the port free."""
    sent, answered = examples.EVALUATE["one"]
    with serving() as running:
        assert httpx.post(f"{running.url}/v1/rules/evaluate", json=sent).json() == answered
        assert httpx.get(f"{running.url}/openapi.json").status_code == 200
        assert running.end(number) == (0, "Stopped.\n")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/healthz")


def test_it_ends_although_somebody_holds_a_connection() -> None:
    """A caller who keeps a connection open, or has sent half a request, does not keep it from ending."""
    with serving() as running, httpx.Client() as caller, socket.create_connection(("127.0.0.1", running.port)) as half:
        assert caller.get(f"{running.url}/healthz").json() == {"status": "ok"}
        half.sendall(
            b"POST /v1/rules/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        code, said = running.end(signal.SIGTERM)
        assert (code, said.splitlines()[-1]) == (0, "Stopped.")


def test_it_is_only_for_this_machine_unless_that_is_asked_for() -> None:
    """Another address of the machine does not answer; with --host it does, and it is said that nobody is asked who he is."""
    with serving() as running:
        assert running.url.startswith("http://127.0.0.1:")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", running.port))
    with serving("--host", "0.0.0.0") as running:  # noqa: S104  # that is what is tested
        assert "it asks for no password" in running.said
        assert httpx.get(f"http://127.0.0.2:{running.port}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--port", "{taken}"), "port {taken} is taken: choose another with --port"),
        (("--host", "203.0.113.1"), "cannot listen on 203.0.113.1"),
    ],
)
def test_an_address_that_cannot_be_had_is_said(options: tuple[str, str], message: str) -> None:
    """A taken port, or an address of another machine, is named; it ends with 2."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        command = [*TACTICS, "rules", "serve", *(option.format(taken=taken) for option in options)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {message.format(taken=taken)}")


def test_blocks_of_plugins_are_there(tmp_path: Path) -> None:
    """A plugin's block is evaluated and listed, in the languages that it has words in."""
    (tmp_path / "tea.py").write_text(PLUGIN, encoding="utf-8")
    rule = {"block": "tea.condition.every", "params": {"amount": rules.to_json(rules.order_quantity()), "nth": 3}}
    with serving(env={"PYTHONPATH": str(tmp_path), "TACTICS_PLUGINS": "tea"}) as running:
        for quantity, matched in ((3, True), (4, False)):
            facts = {"order": {"lines": [{"quantity": quantity}]}}
            found = httpx.post(f"{running.url}/v1/rules/evaluate", json={"rule": rule, "facts": facts}).json()
            assert found["matched"] is matched
        listed = httpx.get(f"{running.url}/v1/rules/blocks?language=zh").json()["blocks"]
    (block,) = [one for one in listed if one["id"] == "tea.condition.every"]
    titles = {name: schema["title"] for name, schema in block["params"]["properties"].items()}
    assert (block["name"], block["words"], titles) == ("每第几", "每第 {nth}", {"amount": "amount", "nth": "间隔"})


def _most_memory(process: int) -> int:
    """The most memory that a process has had, in bytes."""
    text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found
    return int(found[1]) * 1024


def test_large_bodies_take_no_memory() -> None:
    """Bodies of 10 MB, with their length said or not, are refused without being held."""
    chunk = b" " * 100_000
    with serving() as running, httpx.Client() as caller:
        headers = {"content-type": "application/json"}
        address = f"{running.url}/v1/rules/evaluate"
        assert caller.post(address, content=b" " * limits.MAX_BODY_BYTES, headers=headers).status_code == 400
        before = _most_memory(running.process.pid)
        for _ in range(10):
            for content in (chunk * 100, (chunk for _ in range(100))):
                try:
                    assert caller.post(address, content=content, headers=headers).status_code == 413
                except httpx.WriteError:
                    continue  # it hung up in the middle: refused as well
        assert caller.get(f"{running.url}/healthz").status_code == 200
        assert _most_memory(running.process.pid) - before < 10_000_000


def test_it_answers_others_while_it_works(service: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that takes long is worked on beside the event loop: other callers are answered meanwhile."""
    entered, go_on = threading.Event(), threading.Event()

    def long(*_: object) -> object:
        entered.set()
        assert go_on.wait(PATIENCE_S)
        return {"ok": True, "problems": []}

    monkeypatch.setattr(rules, "check", long)
    with ThreadPoolExecutor(1) as others:
        slow = others.submit(service.post, "/v1/rules/check", json={"rule": None})
        try:
            assert entered.wait(PATIENCE_S)
            assert service.get("/healthz").status_code == 200
            assert not slow.done()
        finally:
            go_on.set()
        assert slow.result(PATIENCE_S).json() == {"ok": True, "problems": []}
