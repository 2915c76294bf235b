"""Runs `tactics` commands in processes forked from one that has imported everything: a second less for each of them."""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

import tactics.cli
import tactics.flows

# It stands on the path before the installed one: hands arguments, environment and files over, and ends as the command.
_TACTICS = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as typist:
    typist.connect({at!r})
    asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(typist, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    typist.sendall(asked)
    sys.exit((typist.recv(1) or b"\\xff")[0])
"""


def write_command(folder: Path) -> list[str]:
    """Write a program `tactics` into a folder; gives the command of the process that it needs."""
    at = folder / "typist"
    program = folder / "tactics"
    program.write_text(_TACTICS.format(python=sys.executable, at=str(at)))
    program.chmod(0o755)
    return [sys.executable, "-m", "tests.runbook.typist", str(at)]


def serve(at: str) -> NoReturn:
    """Run each command that comes, in a process of its own."""
    for package in (tactics.cli, tactics.flows):
        for one in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not one.name.endswith("__main__"):
                importlib.import_module(one.name)
    assert threading.active_count() == 1
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: each says itself how it ended
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(at)
        listening.listen()
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                _run(connection)
            connection.close()


def _run(connection: socket.socket) -> NoReturn:
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    size, asked = int.from_bytes(head), b""
    while len(asked) < size:
        asked += connection.recv(size - len(asked))
    arguments, env, folder = json.loads(asked)
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.argv = ["tactics", *arguments]
    code = 1
    try:
        tactics.cli.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  # as Python itself would end
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([code]))
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
