"""What the documentation tells people to type is typed here, with real servers and workers, and prints what is shown."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from tactics import embedded
from tactics.demo.barrier import wait_until_done
from tactics.embedded.home import temporary
from tactics.store.db import make_engine
from tests.delivery.waiting import until
from tests.docs.blocks import DOCS, NOT_TYPED, ROOT, Block, blocks, shows

PATIENCE_S = 60.0
ADDRESSES = ("TACTICS_DATABASE_URL", "TACTICS_REDIS_URL")
READY = ("Tactics is running.", " ready.")
_PORT = re.compile(r"(?:tactics rules serve|python wallet\.py) --port (\d+)")
API = "127.0.0.1:8470"
_OUTSIDE = text("SELECT EXISTS (SELECT FROM outside_grant WHERE next_attempt_at IS NOT NULL)")


def _runs(path: Path) -> bool:
    return any(one.language == "sh" and one.mark not in NOT_TYPED for one in blocks(path))


def _starts(path: Path) -> str | None:
    """Give what a document starts first and keeps running, if it does."""
    return next((one.text for one in blocks(path) if one.mark == "background"), None)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@cache
def _api_port(home: Path) -> int:
    """Give the port on which the API of a home's `tactics up` answers: one that is free here."""
    return _free_port()


def _on_a_free_port(path: Path, home: Path) -> Callable[[str], str]:
    """Give what to do with a document's text, so that services answer on ports that are free, where it looks for them."""
    said = next((found[1] for one in blocks(path) for found in [_PORT.search(one.text)] if found), None)
    if said is None:
        return lambda text: text.replace(API, f"127.0.0.1:{_api_port(home)}")
    port = str(_free_port())
    return lambda text: text.replace(said, port)


def _exported(lines: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for line in lines for word in shlex.split(line, comments=True)]
    return {name: value for name, equals, value in pairs if equals}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder to work in, which the servers' account may enter."""
    made = temporary()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _environment(home: Path, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TACTICS_HOME": str(home),
        "TACTICS_API_PORT": str(_api_port(home)),
        "PYTHONPATH": str(folder),
        "COLUMNS": "100",
    }


@contextmanager
def _running(command: str, folder: Path, env: Mapping[str, str], name: str) -> Iterator[None]:
    """Run a command beside the others, from when it says that it is ready."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=dict(env), stdout=out, stderr=out)
    try:
        end = time.monotonic() + PATIENCE_S
        while not any(words in log.read_text() for words in READY):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with everything running, for the documents that start nothing themselves."""
    made, place = temporary(), temporary()
    with _running("tactics up --no-flower", place, _environment(made, place), "up"):
        yield made
    for one in (made, place):
        shutil.rmtree(one, ignore_errors=True)


class _Reader:
    """Somebody who does what a document says, in order."""

    def __init__(self, env: dict[str, str], folder: Path, stack: ExitStack, here: Callable[[str], str]) -> None:
        self.env, self.folder, self.stack, self.here = env, folder, stack, here
        self.printed = ""

    def read(self, one: Block) -> None:
        """Do what a block says, on ports that are free here."""
        one = replace(one, text=self.here(one.text))
        if one.mark == "file":
            (self.folder / str(one.value)).write_text(one.text)
        elif one.mark == "needs":
            self.env.update({**_exported(one.text.splitlines()), **self._addresses()})
        elif one.language == "sh" and one.mark == "background":
            self.stack.enter_context(_running(one.text, self.folder, self.env, f"line{one.line}"))
        elif one.language == "sh" and one.mark not in NOT_TYPED:
            if one.mark != "at once":
                self._wait()
            self._type(one)
            # What follows is typed in the same terminal.
            self.env.update(_exported([line for line in one.text.splitlines() if line.startswith("export ")]))

    def _type(self, one: Block) -> None:
        command = ["bash", "-euo", "pipefail", "-c", one.text]
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        wanted = int(one.value or 0) if one.mark == "exit" else 0
        assert done.returncode == wanted, f"{one.place}\n{done.stdout}{done.stderr}"
        self.printed = done.stdout + done.stderr

    def _addresses(self) -> dict[str, str]:
        if all(name in self.env for name in ADDRESSES):
            return {name: self.env[name] for name in ADDRESSES}
        servers = embedded.attached(Path(self.env["TACTICS_HOME"]))
        assert servers is not None
        return dict(zip(ADDRESSES, (servers.database_url, servers.redis_url), strict=True))

    def _wait(self) -> None:
        """Wait until everything sent so far has ended, as somebody who types does without noticing."""
        engine = make_engine({**self.env, **self._addresses()}[ADDRESSES[0]], pool_size=1)
        try:
            wait_until_done(engine, patience_s=PATIENCE_S / 2)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                until(lambda: not conn.execute(_OUTSIDE).scalar_one(), "outside grants are settled")
        finally:
            engine.dispose()


@pytest.mark.parametrize("path", [one for one in DOCS if _runs(one)], ids=lambda one: str(one.relative_to(ROOT)))
def test_the_commands_do_and_print_what_the_document_says(
    path: Path, folder: Path, request: pytest.FixtureRequest
) -> None:
    """Typed in order, every command ends as said and prints what the block below it shows."""
    started = _starts(path)
    if started is None:
        env = _environment(request.getfixturevalue("home"), folder)
    elif "tactics up" in started:
        env = _environment(folder / "home", folder)
    else:
        env = {**request.getfixturevalue("environment"), **_environment(folder / "home", folder)}
    with ExitStack() as stack:
        reader = _Reader(env, folder, stack, _on_a_free_port(path, Path(env["TACTICS_HOME"])))
        found = list(blocks(path))
        for one, after in pairwise([*found, None]):
            assert one is not None
            reader.read(one)
            typed = one.language == "sh" and one.mark not in NOT_TYPED | {"background"}
            if typed and after is not None and after.language == "text" and after.mark is None:
                assert shows(reader.printed, reader.here(after.text)), (
                    f"{after.place} shows something else than\n{reader.printed}"
                )
