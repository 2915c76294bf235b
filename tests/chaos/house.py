"""Which processes there should be, and the supervisor that starts again what died."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_AGAIN_S = 0.2
_TICK_S = 0.05
# A pool whose worker was killed works on for a moment, as it does anywhere until somebody cleans up.
_ORPHANS_S = (0.0, 0.3, 1.0, 2.0)


@dataclass(frozen=True)
class Member:
    """A process that there should be: its role, what the zygote's program is told, and its environment."""

    name: str
    role: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)


class Zygote:
    """The process that forks; see zygote.py."""

    def __init__(self, program: str, log: Path, env: Mapping[str, str]) -> None:
        """Start it. It is ready when the first order is answered."""
        argv = [sys.executable, "-m", "tests.chaos.zygote", program]
        self._pids: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.ended: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        pipe = subprocess.PIPE
        with log.open("ab") as err:
            self._process = subprocess.Popen(argv, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, stderr=err)
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()
        if self._pids.get(timeout=120) != 0:
            raise RuntimeError(f"the zygote did not start: see {log}")

    def fork(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """Let it fork a program; gives its process."""
        assert self._process.stdin is not None
        order = {"argv": list(argv), "env": dict(env), "log": str(log)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return self._pids.get(timeout=30)

    def close(self) -> None:
        """End it, and all that it forked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._hearing.join()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if "ended" in told:
                self.ended.put((told["ended"], told["status"]))
            else:
                self._pids.put(told.get("pid", 0))
        self._pids.put(-1)


class House:
    """The processes of one run. Every member that ends, however it does, is started again."""

    def __init__(self, zygote: Zygote, members: Sequence[Member], folder: Path) -> None:
        """Know who there should be."""
        self.members = {one.name: one for one in members}
        self.starts = dict.fromkeys(self.members, 0)
        self._zygote, self._folder = zygote, folder
        self._pids: dict[str, int] = {}
        self._due: list[tuple[float, str, int]] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Start all of them, and keep them up from now on."""
        for name in self.members:
            self._start(name)
        self._watching.start()

    def stop(self) -> None:
        """End all of them, at once."""
        self._over.set()
        self._watching.join()
        for pid in self._pids.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def pids(self, role: str) -> list[int]:
        """Give the living processes of a role; `child` is a pool process of a worker, `group` a worker with its pool."""
        with self._lock:
            mains = [self._pids[one.name] for one in self.members.values() if one.name in self._pids]
            chosen = "worker" if role in {"child", "group"} else role
            named = {self._pids.get(one.name) for one in self.members.values() if one.role == chosen}
        found = [pid for pid in mains if pid in named]
        return sorted(pid for pid, parent in _parents().items() if parent in found) if role == "child" else found

    def pool_of(self, worker: int) -> list[int]:
        """Give the pool processes of a worker."""
        return [pid for pid, parent in _parents().items() if parent == worker]

    def _start(self, name: str) -> None:
        member = self.members[name]
        pid = self._zygote.fork(member.argv, member.env, self._folder / f"{name}.log")
        with self._lock:
            self._pids[name] = pid
            self.starts[name] += 1

    def _watch(self) -> None:
        while not self._over.wait(_TICK_S):
            while not self._zygote.ended.empty():
                pid, _ = self._zygote.ended.get()
                self._has_ended(pid)
            for due in [one for one in self._due if one[0] <= time.monotonic()]:
                self._due.remove(due)
                _, name, group = due
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
                self._start(name)

    def _has_ended(self, pid: int) -> None:
        with self._lock:
            name = next((name for name, one in self._pids.items() if one == pid), None)
            if name is None:
                return
            del self._pids[name]
        wait_s = _ORPHANS_S[sum(self.starts.values()) % len(_ORPHANS_S)] if self.members[name].role == "worker" else 0.0
        self._due.append((time.monotonic() + _AGAIN_S + wait_s, name, pid))


def _parents() -> dict[int, int]:
    """Give each process's parent."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if state != "Z":
                found[int(folder.name)] = int(parent)
    return found


@contextmanager
def zygote_of(program: str, log: Path, env: Mapping[str, str]) -> Iterator[Zygote]:
    """Have a zygote for a while."""
    made = Zygote(program, log, env)
    try:
        yield made
    finally:
        made.close()
