"""Local processes in the place of containers: what pytest-celery's nodes are made of here, so that no engine is needed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import Any
from uuid import uuid4

import celery
from pytest_celery import CeleryWorkerContainer, RedisContainer

from tactics.celery_app import QUEUES

END_S = 60.0


class LocalProcess:
    """The part of docker-py's Container that pytest-celery uses, over a process and its group."""

    attrs: Mapping[str, Any] = {"Config": {"Env": []}, "NetworkSettings": {"Networks": {}, "Ports": {}}}

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        """Start it; what it says goes to a log in the folder."""
        self.id, self.name = uuid4().hex, name
        self._argv, self._env, self._folder = argv, env, folder
        self.log = folder / f"{name}-{self.id[:8]}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:  # as an engine's, the log of a restarted container begins anew
            return subprocess.Popen(
                self._argv, env=self._env, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def status(self) -> str:
        """Whether it runs."""
        return "running" if self.process.poll() is None else "exited"

    def reload(self) -> None:
        """Do nothing: its state is never a copy."""

    def logs(self) -> bytes:
        """What it has said since its start."""
        return self.log.read_bytes()

    def kill(self, signal: str | None = None) -> None:
        """Send a signal to its first process; SIGKILL takes all of its processes, as an engine does, and waits."""
        if signal in {None, "SIGKILL"}:
            os.killpg(self.process.pid, Signals.SIGKILL)
            self.process.wait(END_S)
        else:
            self.process.send_signal(Signals[str(signal)])

    def restart(self, timeout: float = END_S) -> None:
        """End it, if it still runs, and start it again."""
        if self.status == "running":
            self.kill("SIGTERM")
            self.process.wait(timeout)
        self.process = self._start()

    def destroy(self) -> None:
        """Leave nothing of it behind."""
        try:
            os.killpg(self.process.pid, Signals.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait(END_S)


class Valkey(RedisContainer):  # type: ignore[misc]  # pytest-celery ships no types
    """A broker."""

    def __init__(self, process: LocalProcess, port: int) -> None:
        """Say where it listens."""
        super().__init__(process)
        self._port = port

    @property
    def url(self) -> str:
        """Its address, for everybody."""
        return f"redis://127.0.0.1:{self._port}/0"

    host_url = url

    @property
    def hostname(self) -> str:
        """This machine."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def teardown(self) -> None:
        """End it."""
        self._container.destroy()


class Worker(CeleryWorkerContainer):  # type: ignore[misc]  # as above
    """A Tactics worker."""

    @property
    def pid(self) -> int:
        """Its first process, which leads the group of all."""
        return int(self._container.process.pid)

    @property
    def exit_code(self) -> int | None:
        """How its first process ended."""
        code: int | None = self._container.process.poll()
        return code

    @classmethod
    def version(cls) -> str:
        """Celery's version."""
        return str(celery.__version__)

    @classmethod
    def worker_name(cls) -> str:
        """The part of its name before the machine's."""
        return "tactics"

    @classmethod
    def worker_queue(cls) -> str:
        """Its queues."""
        return ",".join(QUEUES)

    @property
    def ready_prompt(self) -> str:
        """What it says when it takes messages."""
        return " ready."

    def teardown(self) -> None:
        """End it."""
        self._container.destroy()
