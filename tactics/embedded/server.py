"""What Postgres and Valkey have in common: found by their command line, started until they answer, ended with patience."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from tactics.embedded.binaries import Account, EmbeddedError
from tactics.embedded.home import Settings, free_port, is_free, remember
from tactics.supervisor import last_lines

_START_S = 60.0
_STOP_S = 30.0
# Gone again: somebody was quicker at the port, or what a SIGKILL left behind needs a moment to go away.
_WAITS_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_PROC = Path("/proc")
# Nothing is inherited: PGDATA, PGOPTIONS or LC_ALL of the caller would change what the servers do.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}

# The servers that this process started. Being their parent it must reap them, or the dead look alive to Postgres.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Server(ABC):
    """One of the two servers of a home."""

    name: ClassVar[str]
    program_name: ClassVar[str]
    port_field: ClassVar[str]
    ending: ClassVar[tuple[signal.Signals, ...]]  # sent one after another, each with its time

    def __init__(self, home: Path) -> None:
        """Name the server's files.

        Args:
            home: the home, by its one name.
        """
        self.home = home
        self.folder = home / self.name.lower()
        self.log = home / f"{self.name.lower()}.log"

    @property
    @abstractmethod
    def mark(self) -> Path:
        """What stands on this server's command line and on no other's: a number in a pid file may be anybody's."""

    @property
    @abstractmethod
    def pid_file(self) -> Path:
        """Where the server notes its process id."""

    @abstractmethod
    def prepare(self, settings: Settings, account: Account) -> None:
        """Put what the server reads or trips over in order, before it is started."""

    @abstractmethod
    def arguments(self, settings: Settings) -> list[str]:
        """Give the command line."""

    @abstractmethod
    def trouble(self, settings: Settings) -> str | None:
        """Say why the server does not answer, or None when it does."""

    def pid(self) -> int | None:
        """Give the running process, or None.

        The pid file is only a hint: it may name somebody else by now, or not be written yet.
        """
        noted = self.noted_pid()
        if noted is not None and self._is_mine(command_line(noted)):
            return noted
        mine = {pid: parent for pid, (parent, line) in all_processes().items() if self._is_mine(line)}
        # A fork of the server looks like it until it changes its command line.
        return next((pid for pid, parent in mine.items() if parent not in mine), None)

    def noted_pid(self) -> int | None:
        """Give the process that the pid file names, whoever that is by now."""
        _reap()
        with suppress(FileNotFoundError, IndexError, ValueError):
            return int(self.pid_file.read_text().split()[0])
        return None

    def _is_mine(self, line: str) -> bool:
        return f"/{self.program_name} " in line and f" {self.mark} " in f"{line} "

    def bring_up(self, settings: Settings, account: Account) -> Settings:
        """Start the server, or adopt it where it runs already, and wait until it answers.

        Returns:
            The settings, with another port where somebody else took the remembered one.

        Raises:
            EmbeddedError: with the last lines of the log, when it does not come up.
        """
        seen = self.log.stat().st_size if self.log.exists() else 0
        for wait_s in (0.0, *_WAITS_S):
            time.sleep(wait_s)
            process = None
            if self.pid() is None and (is_free(self._port(settings)) or self.trouble(settings)):
                if not is_free(self._port(settings)):
                    settings = remember(self.home, Settings(**{**asdict(settings), self.port_field: free_port()}))
                self.prepare(settings, account)
                process = self._spawn(self.arguments(settings), account)
            try:
                if self._answers_in_time(settings, process):
                    return settings
            except BaseException:
                if process is not None:  # it may not have noted its process id yet, so nobody else would find it
                    process.send_signal(self.ending[-1])
                    process.wait(_STOP_S)
                raise
        raise EmbeddedError(
            f"{self.name} does not start. The last lines of {self.log}:\n{last_lines(self.log, since=seen)}"
        )

    def end(self) -> None:
        """Stop the server and wait until it is gone.

        Raises:
            EmbeddedError: when it does not go.
        """
        for number in self.ending:
            pid = self.pid()
            if pid is None:
                return
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            until = time.monotonic() + _STOP_S
            while self.pid() == pid and time.monotonic() < until:
                time.sleep(0.02)
        if self.pid() is not None:
            raise EmbeddedError(f"{self.name}, process {self.pid()}, does not end: see {self.log}, and end it by hand.")

    def _port(self, settings: Settings) -> int:
        port: int = getattr(settings, self.port_field)
        return port

    def _spawn(self, arguments: list[str], account: Account) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:  # a file, never a pipe: a server outlives whoever would read it
            process = subprocess.Popen(  # noqa: S603  # our own programs
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=ENVIRONMENT,
                start_new_session=True,  # Ctrl-C is for us; we stop the servers in our own time
                umask=0o077,
                user=account.uid,
                group=account.gid,
                extra_groups=account.groups,
            )
        _children[process.pid] = process
        return process

    def _answers_in_time(self, settings: Settings, process: subprocess.Popen[bytes] | None) -> bool:
        """Tell whether the server answers (True) or ended before it did (False)."""
        until = time.monotonic() + _START_S
        while True:
            ended = self.pid() is None if process is None else process.poll() is not None
            trouble = self.trouble(settings)
            if trouble is None:
                return True
            if ended:
                return False
            if time.monotonic() > until:
                raise EmbeddedError(
                    f"{self.name} runs but does not answer after {_START_S:.0f} s ({trouble}). "
                    f"The last lines of {self.log}:\n{last_lines(self.log)}"
                )
            time.sleep(0.02)


def exists(pid: int) -> bool:
    """Tell whether there is such a process, were it only one that is dead and not yet reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def command_line(pid: int) -> str:
    """Give a process's command line; empty when it is gone, or dead and not yet reaped."""
    if not _PROC.exists():  # macOS
        return _ps("command=", "-p", str(pid)).strip()
    with suppress(FileNotFoundError, ProcessLookupError):
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def all_processes() -> dict[int, tuple[int, str]]:
    """Give each process's parent and command line."""
    found = {}
    if not _PROC.exists():
        for line in _ps("pid=,ppid=,command=", "-A").splitlines():
            pid, parent, command = line.split(maxsplit=2)
            found[int(pid)] = int(parent), command
        return found
    for folder in _PROC.glob("[0-9]*"):
        command = command_line(int(folder.name))
        if command:
            with suppress(FileNotFoundError, ProcessLookupError):
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1]), command
    return found


def _ps(columns: str, *which: str) -> str:
    return subprocess.run(["ps", "-ww", "-o", columns, *which], check=False, capture_output=True, text=True).stdout  # noqa: S603, S607


def _reap() -> None:
    for child in [child for child in list(_children.values()) if child.poll() is not None]:
        _children.pop(child.pid, None)
