"""The supervisor, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tactics.supervisor import Supervisor, SupervisorError, last_lines

_SLEEP = "import time; print('up', flush=True); time.sleep(600)"
# Like a pool: a child of its own, both deaf to SIGTERM. The argument that marks them stands on both command lines.
_STUBBORN_POOL = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", *sys.argv[1:]])
print("up", flush=True)
time.sleep(600)
"""
_FINISHES_ITS_WORK = """
import signal, sys, time

def finish(*_):
    time.sleep(0.3)
    print("finished", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, finish)
print("up", flush=True)
time.sleep(600)
"""
_OWNER = """
import os, sys, time
from pathlib import Path
from tactics.supervisor import Supervisor

with Supervisor(grace_s=0.2) as supervisor:
    argv = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
    supervisor.start("pool", argv, dict(os.environ), restart=True, log=Path(sys.argv[1]) / "pool.log")
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def notes() -> list[str]:
    """What the supervisor had to say."""
    return []


@pytest.fixture
def supervisor(notes: list[str]) -> Iterator[Supervisor]:
    """An impatient supervisor."""
    with Supervisor(grace_s=5.0, max_restarts=2, first_delay_s=0.05, notify=notes.append) as made:
        yield made


def _until(condition: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"not in time: {what}"
        time.sleep(0.01)


def _processes(text: object) -> list[int]:
    """All processes, dead ones apart, that have the text on their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(text).encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def _start(supervisor: Supervisor, code: str, mark: Path, *, name: str = "child", restart: bool = True) -> Path:
    """Start a Python child that has `mark` on its command line."""
    log = mark / f"{name}.log"
    supervisor.start(name, [sys.executable, "-c", code, str(mark)], dict(os.environ), restart=restart, log=log)
    return log


def _says(log: Path, word: str, times: int = 1) -> None:
    _until(lambda: log.exists() and log.read_text().count(word) >= times, f"'{word}' in {log}")


def test_a_child_gets_its_environment_folder_and_log(supervisor: Supervisor, tmp_path: Path) -> None:
    """The child has exactly the environment given, our folder, an empty input, and both outputs in its log."""
    code = "import os, sys; print(sorted(os.environ), os.getcwd(), sys.stdin.read() == ''); sys.exit('bye')"
    log = tmp_path / "logs" / "child.log"
    supervisor.start("child", [sys.executable, "-c", code], {"ONLY": "1", "LC_ALL": "C"}, restart=False, log=log)
    _says(log, "bye")
    _says(log, f"['LC_ALL', 'ONLY'] {Path.cwd()} True")


def test_a_killed_child_is_started_again(supervisor: Supervisor, tmp_path: Path, notes: list[str]) -> None:
    """A child that dies comes back as another process, and that is told."""
    log = _start(supervisor, _SLEEP, tmp_path)
    first = supervisor.kill("child")
    _says(log, "up", times=1)
    _until(lambda: supervisor.statuses()["child"].restarts == 1 and supervisor.alive(), "it runs again")
    status = supervisor.statuses()["child"]
    assert status.pid != first
    assert status.pid in _processes(tmp_path)
    assert "'child' ended with 137 and is started again" in notes[0]


def test_a_child_that_does_not_stay_up_is_given_up(supervisor: Supervisor, tmp_path: Path, notes: list[str]) -> None:
    """After its restarts are used up a child is not started again, and the error shows what it said last."""
    log = _start(supervisor, "import sys; sys.exit('no database at all')", tmp_path)
    with pytest.raises(SupervisorError, match=r"(?s)'child' .* ended with 1 after 2 restarts.*no database at all"):
        supervisor.wait(20)
    assert log.read_text().count("no database") == 3
    assert [("again" in note, "not started" in note) for note in notes] == [(True, False), (True, False), (True, True)]
    assert supervisor.statuses()["child"].state == "failed"
    assert not supervisor.alive()


def test_a_stable_child_may_die_as_often_as_it_likes(tmp_path: Path) -> None:
    """Restarts count against a child only while it never stays up."""
    with Supervisor(max_restarts=1, first_delay_s=0.01, stable_s=0.0) as supervisor:
        _start(supervisor, "pass", tmp_path)
        _until(lambda: supervisor.statuses()["child"].restarts >= 3, "three restarts")
        supervisor.check()


def test_a_program_that_is_not_there_is_reported(supervisor: Supervisor, tmp_path: Path) -> None:
    """The error names the program."""
    supervisor.start("child", ["/nonexistent/tool"], {}, restart=False, log=tmp_path / "child.log")
    with pytest.raises(SupervisorError, match=r"(?s)127.*/nonexistent/tool cannot be started"):
        supervisor.wait(20)


def test_a_child_may_end_by_itself(supervisor: Supervisor, tmp_path: Path) -> None:
    """A child that is not to be restarted and ends with 0 has simply ended; waiting tells when all have."""
    _start(supervisor, _SLEEP, tmp_path, name="long", restart=False)
    _start(supervisor, "print('done')", tmp_path, name="short", restart=False)
    _until(lambda: supervisor.statuses()["short"].state == "exited", "it has ended")
    assert not supervisor.wait(0.1)
    supervisor.stop()
    assert supervisor.wait(5)
    assert {name: status.state for name, status in supervisor.statuses().items()} == {
        "long": "stopped",
        "short": "exited",
    }


def test_names_are_unique_and_a_stopped_supervisor_starts_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    """What cannot be started or killed is refused with its name."""
    _start(supervisor, _SLEEP, tmp_path)
    with pytest.raises(SupervisorError, match=r"'child' .* one of this name"):
        _start(supervisor, _SLEEP, tmp_path)
    with pytest.raises(SupervisorError, match="'nobody' is not running"):
        supervisor.kill("nobody")
    with pytest.raises(SupervisorError, match="'badlog' cannot be started"):
        supervisor.start("badlog", ["true"], {}, restart=False, log=tmp_path)
    supervisor.stop()
    with pytest.raises(SupervisorError, match=r"'late' .* has stopped"):
        _start(supervisor, _SLEEP, tmp_path, name="late")


def test_a_stopped_child_may_finish_its_work(supervisor: Supervisor, tmp_path: Path) -> None:
    """Stopping sends SIGTERM and waits: a child that needs its time has it."""
    log = _start(supervisor, _FINISHES_ITS_WORK, tmp_path)
    _says(log, "up")
    supervisor.stop()
    assert "finished" in log.read_text()
    assert supervisor.statuses()["child"].exit_code == 0
    assert not _processes(tmp_path)


def test_a_group_that_does_not_end_in_time_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    """Past the grace time nothing of a child is left, its own children included."""
    log = _start(supervisor, _STUBBORN_POOL, tmp_path)
    _says(log, "up")
    assert len(_processes(tmp_path)) == 3  # keeper, child, and its child
    began = time.monotonic()
    supervisor.stop(grace_s=0.3)
    assert 0.3 <= time.monotonic() - began < 4
    _until(lambda: not _processes(tmp_path), "the group is gone")


def test_what_a_dead_child_leaves_behind_is_killed_before_it_comes_back(supervisor: Supervisor, tmp_path: Path) -> None:
    """The pool of a killed worker does not outlive it: after the restart there is one pool, not two."""
    log = _start(supervisor, _STUBBORN_POOL, tmp_path)
    _says(log, "up")
    before = _processes(tmp_path)
    supervisor.kill("child")
    _says(log, "up", times=2)
    assert not set(before) & set(_processes(tmp_path))
    assert len(_processes(tmp_path)) == 3
    supervisor.stop(grace_s=0.0)


def test_a_killed_keeper_takes_its_child_along(supervisor: Supervisor, tmp_path: Path) -> None:
    """When only the process between dies, the child is not left beside its successor."""
    log = _start(supervisor, _STUBBORN_POOL, tmp_path)
    _says(log, "up")
    before = _processes(tmp_path)
    keeper = supervisor._children["child"].keeper
    assert keeper is not None
    os.kill(keeper.pid, signal.SIGKILL)
    _says(log, "up", times=2)
    assert not set(before) & set(_processes(tmp_path))
    supervisor.stop(grace_s=0.0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_die_with_their_owner(tmp_path: Path, number: signal.Signals) -> None:
    """However the owner ends, nothing of its children is left, though they do not heed SIGTERM."""
    argv = [sys.executable, "-c", _OWNER, str(tmp_path), _STUBBORN_POOL]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == "up\n"
            _says(tmp_path / "pool.log", "up")
            # One that is just being replaced by its program has no command line for a moment.
            _until(lambda: len(_processes(tmp_path)) == 4, "owner, keeper and both of the pool run")
            owner.send_signal(number)
        except BaseException:
            owner.kill()
            raise
    _until(lambda: not _processes(tmp_path), "all are gone")


def test_threads_may_share_a_supervisor(supervisor: Supervisor, tmp_path: Path) -> None:
    """Children started, killed and looked at from several threads are all there in the end."""

    def start_and_kill(number: int) -> None:
        name = f"child{number}"
        _start(supervisor, _SLEEP, tmp_path, name=name)
        supervisor.kill(name)
        _until(lambda: supervisor.statuses()[name].restarts == 1, f"{name} is back")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start_and_kill, range(6)))
    _until(supervisor.alive, "all run")
    assert {status.restarts for status in supervisor.statuses().values()} == {1}
    supervisor.stop()
    assert not _processes(tmp_path)


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    """The last lines are taken, what is older than asked for left out, and a missing log is no second error."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(5000)))
    assert last_lines(log, most=2) == "  line 4998\n  line 4999"
    size = log.stat().st_size
    with log.open("a") as file:
        file.write("new\n")
    assert last_lines(log, since=size) == "  new"
    assert "cannot be read" in last_lines(tmp_path / "missing")
