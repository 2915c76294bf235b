"""The processes that tests start beside themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.delivery.waiting import until
from tests.delivery.worker import READY

ROOT = Path(__file__).parents[2]


class Worker:
    """A Celery worker of the tests' app, in a process group of its own."""

    def __init__(self, environment: Mapping[str, str], log: Path, queues: Sequence[str], processes: int) -> None:
        """Start it."""
        self.log = log
        options = [f"--queues={','.join(queues)}", f"--concurrency={processes}", f"--hostname={log.stem}@%h"]
        quiet = ["--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel=WARNING"]
        argv = [sys.executable, "-m", "celery", "-A", "tests.delivery.worker", "worker", *options, *quiet]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                argv, env=dict(environment), cwd=ROOT, stdout=out, stderr=out, process_group=0
            )

    def wait_until_ready(self) -> None:
        """Wait until it takes messages."""
        until(lambda: READY in self.log.read_text() or self._process.poll() is not None, f"{self.log} is ready")
        assert self._process.poll() is None, self.log.read_text()

    def owns(self, pid: int) -> bool:
        """Tell whether a process is one of its children."""
        return os.getpgid(pid) == self._process.pid

    def kill(self) -> None:
        """Kill it with all its children, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Beat:
    """The clock of the sweeper."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Start it."""
        argv = [sys.executable, "-m", "celery", "-A", "tests.delivery.worker", "beat"]
        with log.open("wb") as out:
            self._process = subprocess.Popen(argv, env=dict(environment), cwd=ROOT, stdout=out, stderr=out)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


class Visitor:
    """A process that visits, started and waiting."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it; it is there when it says so."""
        argv = [sys.executable, "-m", "tests.delivery.visitor"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, env=dict(environment), cwd=ROOT, stdin=pipe, stdout=pipe, text=True)

    def wait_until_ready(self) -> None:
        """Wait until it can visit."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def visit(self, *visits: tuple[str, str]) -> None:
        """Let it visit, each as a user under a key; it ends then."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.writelines(f"{user_id} {key}\n" for user_id, key in visits)

    def outcomes(self) -> list[str]:
        """Give what came of its visits, once it has ended."""
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            found = pipe.read().split()
        self.process.wait()
        return found

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
