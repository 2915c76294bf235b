"""A process that has imported everything, and forks programs on demand: a start costs milliseconds instead of seconds.

Orders come as lines of JSON on standard input, `{"argv": […], "env": {…}, "log": …}`; `{"pid": …}` answers each, and
`{"ended": pid, "status": …}` tells of each that has ended. Each program has a session of its own. The end of the input
kills them all.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Serve orders until the input ends. The first argument names the module whose `run` a fork calls."""
    program: Any = importlib.import_module(sys.argv[1])
    program.import_everything()
    gc.collect()
    gc.freeze()
    alive: set[int] = set()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _say(ready=True)
    text = b""
    while True:
        readable, _, _ = select.select([sys.stdin.fileno(), reading], [], [])
        if reading in readable:
            os.read(reading, 4096)
            _reap(alive)
        if sys.stdin.fileno() not in readable:
            continue
        data = os.read(sys.stdin.fileno(), 65_536)
        if not data:
            break
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            pid = _fork(program, json.loads(line), (reading, writing))
            alive.add(pid)
            _say(pid=pid)
    for pid in alive:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _say(**what: object) -> None:
    os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")


def _reap(alive: set[int]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            alive.discard(pid)
            _say(ended=pid, status=os.waitstatus_to_exitcode(status))


def _fork(program: Any, order: Mapping[str, Any], ours: tuple[int, int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for one in ours:
            os.close(one)
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for new, old in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(new, old)
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(ROOT)
        program.run(order["argv"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # a program's last words
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
