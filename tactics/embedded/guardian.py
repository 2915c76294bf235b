"""Owning servers for a while, and the guardian who stops them when their owner has left in whatever way."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tactics.embedded.binaries import EmbeddedError
from tactics.embedded.home import Servers, made, temporary
from tactics.embedded.lifecycle import start, stop
from tactics.keeper import wait_for_owner
from tactics.supervisor import last_lines

_READY, _GOODBYE = b"ready\n", b"goodbye\n"
_SECOND_LOOK_S = 0.5


@contextmanager
def running(home: Path | None = None, *, durable: bool = True) -> Iterator[Servers]:
    """Own the servers of a home for a while: they are stopped when the last owner has left, in whatever way.

    Args:
        home: the folder to keep everything in; None for a new temporary one (TMPDIR), removed at the end.
        durable: as in `start`.

    Raises:
        EmbeddedError: as `start` and `stop` do.
    """
    place = temporary() if home is None else made(home)
    with _sigterm_unwinds(), _guarded(place, remove=home is None):
        yield start(place, durable=durable)


@contextmanager
def _guarded(home: Path, *, remove: bool) -> Iterator[None]:
    guardian, word = _start_guardian(home, remove=remove), b""
    with guardian:
        try:
            if guardian.stdout is None or guardian.stdout.readline() != _READY:
                log = home / "guardian.log"
                raise EmbeddedError(f"The servers' guardian does not start. Its log {log} ends:\n{last_lines(log)}")
            yield
            word = _GOODBYE
        finally:
            with suppress(BrokenPipeError):
                guardian.communicate(word)
            if guardian.returncode != 0:  # it was killed, or failed: then we try, and say why it cannot be done
                with (home / "owners").open("wb") as owners:
                    _leave(home, owners, in_peace=bool(word), remove=remove)


def _start_guardian(home: Path, *, remove: bool) -> subprocess.Popen[bytes]:
    try:
        with (home / "guardian.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # ourselves
                [sys.executable, "-m", "tactics.embedded", str(home), str(os.getpid()), "remove" if remove else "keep"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parents[2],  # where `-m` finds us, installed or not
                start_new_session=True,  # Ctrl-C is for the owner
            )
    except OSError as error:
        raise EmbeddedError(f"The guardian of the servers of {home} cannot be started: {error}.") from error


def guard(home: Path, owner: int, *, remove: bool) -> None:
    """Wait until the owner has left; the last owner's guardian stops the servers. Runs as a process of its own.

    Args:
        home: the home, by its one name.
        owner: the process that started this one and holds the other end of standard input.
        remove: remove the home at the end.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with (home / "owners").open("wb") as owners:
        fcntl.flock(owners, fcntl.LOCK_SH)  # waits while another guardian stops the servers
        with suppress(BrokenPipeError):
            os.write(sys.stdout.fileno(), _READY)
        in_peace = wait_for_owner(owner) == _GOODBYE
        fcntl.flock(owners, fcntl.LOCK_UN)
        _leave(home, owners, in_peace=in_peace, remove=remove)


def _leave(home: Path, owners: BinaryIO, *, in_peace: bool, remove: bool) -> None:
    try:
        fcntl.flock(owners, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another owner is there, and so is its guardian
    stop(home)
    if not in_peace:
        # Ended between starting a server and the server's noting its process id? Then it is found now.
        time.sleep(_SECOND_LOOK_S)
        stop(home)
    if remove:
        shutil.rmtree(home)


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Let SIGTERM end the program as an exception does, unless somebody else took charge of it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
