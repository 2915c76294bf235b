"""Keeping the processes of one machine up: worker, beat, API and Flower of `tactics up` and `tactics demo`.

Each child has a keeper between itself and us (keeper.py), which starts it in a process group of its own and waits, also
at a pipe from us. Told to stop (SIGTERM), the child may finish its work; past its time, or when it ended, all that is
left of its group is killed, pool processes included. Our own death, were it by SIGKILL, closes the pipe, and the keeper
ends the child likewise.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Self, cast

from tactics.keeper import kill_group

logger = logging.getLogger(__name__)

_TICK_S = 0.2
_LONGEST_DELAY_S = 10.0
State = Literal["running", "restarting", "exited", "failed", "stopped"]


class SupervisorError(RuntimeError):
    """A supervised process does not stay up."""


@dataclass(frozen=True)
class Status:
    """How a child is doing.

    `exited`: it ended by itself with 0 and is not restarted; `failed`: it ended otherwise and is given up.
    """

    name: str
    state: State
    pid: int | None
    restarts: int
    exit_code: int | None  # as a shell tells it: 128 + the signal's number for a killed one
    log: Path


@dataclass
class _Child:
    name: str
    argv: list[str]
    env: dict[str, str]
    restart: bool
    log: Path
    state: State = "restarting"
    keeper: subprocess.Popen[bytes] | None = None
    pid: int | None = None
    restarts: int = 0
    short_lives: int = 0  # in a row
    exit_code: int | None = None
    started_at: float = 0.0
    next_start_at: float = field(default_factory=time.monotonic)


class Supervisor:
    """Starts children, restarts those that die, and ends them all. Safe to use from several threads."""

    def __init__(
        self,
        *,
        grace_s: float = 10.0,
        max_restarts: int = 5,
        stable_s: float = 30.0,
        first_delay_s: float = 0.5,
        notify: Callable[[str], None] = logger.warning,
    ) -> None:
        """Say how patient to be.

        Args:
            grace_s: how long a child may take to end before its group is killed.
            max_restarts: a child is given up when it was restarted so often in a row without ever becoming stable.
            stable_s: a child that lived so long counts as stable.
            first_delay_s: wait before the first restart in a row; doubles with each, up to 10 s.
            notify: gets a sentence whenever a child is restarted or given up.
        """
        self._grace_s = grace_s
        self._max_restarts = max_restarts
        self._stable_s = stable_s
        self._first_delay_s = first_delay_s
        self._notify = notify
        self._children: dict[str, _Child] = {}
        self._changed = threading.Condition(threading.RLock())
        self._stopping = False
        self._monitor = threading.Thread(target=self._watch, name="tactics-supervisor", daemon=True)
        self._monitor.start()

    def __enter__(self) -> Self:
        """Nothing more: a supervisor works from the start."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all children."""
        self.stop()

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str], *, restart: bool, log: Path) -> None:
        """Start a child; its process exists when this returns.

        Args:
            name: what to call it.
            argv: program and arguments.
            env: its whole environment.
            restart: whether to start it again when it ends, however it ended.
            log: file that its output is appended to.

        Raises:
            SupervisorError: when the name is taken, the supervisor has stopped, or the log or process cannot be made.
        """
        with self._changed:
            if self._stopping:
                raise SupervisorError(f"'{name}' cannot be started: its supervisor has stopped.")
            if name in self._children:
                raise SupervisorError(f"'{name}' cannot be started: there is one of this name.")
            child = _Child(name, list(argv), dict(env), restart, log)
            try:
                self._spawn(child)
            except OSError as error:
                raise SupervisorError(f"'{name}' cannot be started: {error}.") from error
            self._children[name] = child

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a child's main process, as an accident would; tests do.

        Returns:
            The process id.

        Raises:
            SupervisorError: when it is not running.
        """
        with self._changed:
            child = self._children.get(name)
            if child is None or child.pid is None or child.state != "running":
                raise SupervisorError(f"'{name}' is not running.")
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)
            return child.pid

    def statuses(self) -> dict[str, Status]:
        """Tell how each child is doing, by name."""
        with self._changed:
            return {
                child.name: Status(child.name, child.state, child.pid, child.restarts, child.exit_code, child.log)
                for child in self._children.values()
            }

    def alive(self) -> bool:
        """Tell whether every child is running at this moment."""
        return all(status.state == "running" for status in self.statuses().values())

    def check(self) -> None:
        """Raise when a child has been given up.

        Raises:
            SupervisorError: naming the child, with the last lines of its log.
        """
        for status in self.statuses().values():
            if status.state == "failed":
                again = f" after {status.restarts} restarts" if status.restarts else ""
                raise SupervisorError(
                    f"'{status.name}' does not stay up: it ended with {status.exit_code}{again}. "
                    f"The last lines of {status.log}:\n{last_lines(status.log)}"
                )

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until no child is left that runs or will run.

        Args:
            timeout_s: how long at most; None: as long as it takes.

        Returns:
            False when the time was up before.

        Raises:
            SupervisorError: as soon as a child has been given up.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                self.check()
                if not any(child.state in {"running", "restarting"} for child in self._children.values()):
                    return True
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)

    def stop(self, grace_s: float | None = None) -> None:
        """End all children: SIGTERM first, and SIGKILL for the whole group of each that takes too long.

        Args:
            grace_s: how long they may take together; None: what the supervisor was made with.
        """
        until = time.monotonic() + (self._grace_s if grace_s is None else grace_s)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._monitor.join()
        with self._changed:
            going = [child for child in self._children.values() if child.state in {"running", "restarting"}]
            for child in going:
                if child.keeper is not None:
                    child.keeper.terminate()
            for child in going:
                child.exit_code = _end(child, until)
                child.state, child.pid = "stopped", None
            self._changed.notify_all()

    def _spawn(self, child: _Child) -> None:
        child.log.parent.mkdir(parents=True, exist_ok=True)
        keeper = [sys.executable, "-m", "tactics.keeper", str(os.getpid()), str(self._grace_s), str(Path.cwd())]
        with child.log.open("ab") as log:
            child.keeper = subprocess.Popen(  # noqa: S603  # what we were asked to run
                [*keeper, *child.argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=child.env,
                cwd=Path(__file__).parents[1],  # where `-m` finds us, installed or not
                start_new_session=True,  # Ctrl-C is for us
            )
        child.started_at = time.monotonic()
        with cast("IO[bytes]", child.keeper.stdout) as told:
            child.pid = int(told.readline() or 0) or None
        child.state = "running"
        self._changed.notify_all()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopping:
                for child in self._children.values():
                    if child.state == "running" and child.keeper is not None and child.keeper.poll() is not None:
                        self._has_ended(child, _end(child, until=0.0))
                    elif child.state == "restarting" and child.next_start_at <= time.monotonic():
                        self._start_again(child)
                self._changed.wait(_TICK_S)

    def _start_again(self, child: _Child) -> None:
        child.restarts += 1
        try:
            self._spawn(child)
        except OSError as error:  # no space for the log, no more processes: may pass like any other failure
            self._notify(f"'{child.name}' cannot be started: {error}.")
            self._has_ended(child, code=126)

    def _has_ended(self, child: _Child, code: int | None) -> None:
        child.exit_code, child.pid = code, None
        stable = time.monotonic() - child.started_at >= self._stable_s
        child.short_lives = 0 if stable else child.short_lives + 1
        if child.restart and child.short_lives <= self._max_restarts:
            delay_s = min(_LONGEST_DELAY_S, self._first_delay_s * 2 ** max(0, child.short_lives - 1))
            child.next_start_at = time.monotonic() + delay_s
            child.state, then = "restarting", f"is started again in {delay_s:.1f} s"
        else:
            child.state, then = ("failed" if child.restart or code else "exited"), "is not started again"
        self._notify(f"'{child.name}' ended with {code} and {then}; its log is {child.log}.")
        self._changed.notify_all()


def last_lines(log: Path, *, since: int = 0, most: int = 15) -> str:
    """Give the end of a log, for an error's message.

    Args:
        log: the file.
        since: bytes at its beginning to leave out.
        most: how many lines.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since, size - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError as error:
        return f"(cannot be read: {error})"
    return "\n".join(f"  {line}" for line in lines[-most:]) or "  (nothing)"


def _end(child: _Child, until: float) -> int | None:
    """Wait for a keeper's end; past the time, kill the child's group, which ends the keeper too."""
    keeper = child.keeper
    if keeper is None:
        return child.exit_code
    with suppress(subprocess.TimeoutExpired):
        keeper.wait(max(0.0, until - time.monotonic()))
    if child.pid is None:
        keeper.kill()  # it has not even started the child
    else:
        kill_group(child.pid)  # also what a killed keeper left behind
    with keeper:  # closes the pipe
        return keeper.wait()
