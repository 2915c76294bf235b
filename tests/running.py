"""A running `tactics up`, as a person in another terminal has it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tactics.supervisor import last_lines

TACTICS = [sys.executable, "-c", "from tactics.cli import main; main()"]
PATIENCE_S = 60.0


@dataclass
class Answer:
    """What Flower answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def data(self) -> Any:
        """What it says as JSON."""
        assert self.status == http.HTTPStatus.OK, self
        return json.loads(self.text)


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

    def ask_flower(
        self, path: str, *, method: str = "GET", body: object = None, secret: str | None = None, timeout_s: float = 20
    ) -> Answer:
        """Ask Flower, with the password that was shown, or another `user:password`; an empty one gives none."""
        port, user, password = self.flower
        given = f"{user}:{password}" if secret is None else secret
        headers = {"Authorization": f"Basic {b64encode(given.encode()).decode()}"} if given else {}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read().decode())
        finally:
            connection.close()

    def run(self, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run another command on the same home."""
        return subprocess.run(
            [*TACTICS, *args], check=False, capture_output=True, text=True, input=stdin, env=environment(self.home)
        )

    def until(self, found: Callable[[], Any], what: str) -> Any:
        """Wait until something is found, and give it."""
        until = time.monotonic() + PATIENCE_S
        while not (value := found()):
            assert time.monotonic() < until, f"not in time: {what}\n{last_lines(self.home / 'worker.log')}"
            time.sleep(0.1)
        return value

    def hear(self, words: str) -> str:
        """Wait until it says something, and give that line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return line
        pytest.fail(f"it ended without saying {words!r}: {''.join(self.said)}")

    def rest(self) -> str:
        """Give what it says until it ends."""
        return self.process.communicate(timeout=PATIENCE_S)[0]


def environment(home: Path) -> dict[str, str]:
    """Give the environment for a command that is to find this home, and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TACTICS_")}
    return {**kept, "TACTICS_HOME": str(home)}


@contextmanager
def running_up(home: Path, *args: str) -> Iterator[Up]:
    """Run `tactics up` for a while, from when it says that it runs."""
    process = subprocess.Popen(
        [*TACTICS, "up", *args], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        up = Up(home, process, [])
        up.hear("  tactics visit")
        try:
            yield up
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=PATIENCE_S)


def processes_of(home: Path) -> dict[int, str]:
    """Give the command lines of all processes that were told of the home."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            if line and int(folder.name) != os.getpid() and str(home).encode() in line + environ:
                found[int(folder.name)] = line.replace(b"\0", b" ").decode()
    return found


def written(path: Path, content: object) -> str:
    """Write a document for a command to read, and give its name."""
    path.write_text(json.dumps(content))
    return str(path)
