"""A small process between a supervisor and one child, so that the child ends when the supervisor does, however it does.

`python -m tactics.keeper OWNER_PID GRACE_S FOLDER PROGRAM ARGUMENTS…`; the supervisor starts it. Standard input is a pipe
that the owner never closes while it lives; the child's process id goes to standard output, and whatever the child
says to standard error. Imports little: it must be there quickly.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress


def wait_for_owner(owner: int) -> bytes:
    """Wait until the owner of this process has left.

    Args:
        owner: the process that started this one and holds the other end of standard input.

    Returns:
        Its last words: empty when it died.
    """
    while os.getppid() == owner:  # a fork of the owner may hold the pipe open after the owner's death
        if select.select([0], [], [], 1.0)[0]:
            return os.read(0, 64)
    return b""


def keep(owner: int, grace_s: float, folder: str, argv: list[str]) -> int:
    """Run a child in a process group of its own until it ends, and kill what is left of the group then.

    SIGTERM is passed on to the child alone: a Celery worker then lets its pool finish. When the owner dies, the child
    gets SIGTERM too, and its group SIGKILL after `grace_s`.

    Returns:
        The child's exit code, as a shell tells it.
    """
    child: subprocess.Popen[bytes] | None = None
    asked_to_end = threading.Event()

    def end(*_: object) -> None:
        asked_to_end.set()
        if child is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)

    def follow_owner() -> None:
        wait_for_owner(owner)
        end()
        time.sleep(grace_s)
        if child is not None:
            kill_group(child.pid)

    signal.signal(signal.SIGTERM, end)
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=2, cwd=folder, process_group=0)  # noqa: S603  # the supervisor's
    except OSError as error:
        os.write(2, f"{argv[0]} cannot be started: {error}\n".encode())
        return 127
    threading.Thread(target=follow_owner, daemon=True).start()
    with suppress(BrokenPipeError):
        os.write(1, f"{child.pid}\n".encode())
    if asked_to_end.is_set():  # before there was a child to pass it on to
        end()
    code = child.wait()
    kill_group(child.pid)
    return code if code >= 0 else 128 - code


def kill_group(group: int) -> None:
    """Kill all processes of a group; none may be left."""
    with suppress(ProcessLookupError, PermissionError):  # macOS tells of zombies by the latter
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(keep(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4:]))
