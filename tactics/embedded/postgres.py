"""Postgres, of one home."""

from __future__ import annotations

import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tactics.embedded.binaries import Account, EmbeddedError
from tactics.embedded.home import LOOPBACK, NAME, Settings
from tactics.embedded.server import ENVIRONMENT, Server, exists
from tactics.supervisor import last_lines

_INITDB_S = 120.0
_FLAGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # their paths get too long, and anybody on the machine finds them
    "max_connections": "200",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm has 64 MB in containers, and keeps what a SIGKILL leaves there
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Server):
    """The truth."""

    name = "Postgres"
    program_name = "postgres"
    port_field = "postgres_port"
    ending = (signal.SIGINT, signal.SIGQUIT)  # "fast", then "immediate"

    def __init__(self, home: Path, program: Path | None = None, *, durable: bool = True) -> None:
        """Name the server's files.

        Args:
            home: the home, by its one name.
            program: the server's program, where it may have to be started.
            durable: False: nothing is forced to disk, so a power cut may destroy the data.
        """
        super().__init__(home)
        self._program = program
        self._flags = _FLAGS if durable else {**_FLAGS, "fsync": "off", "full_page_writes": "off"}

    @property
    def mark(self) -> Path:
        """The data folder, given as -D; processes of the server change their command line, the server does not."""
        return self.folder

    @property
    def pid_file(self) -> Path:
        """The lock file of the data folder."""
        return self.folder / "postmaster.pid"

    def prepare(self, settings: Settings, account: Account) -> None:  # noqa: ARG002  # Valkey needs them
        """Remove a lock file whose process is somebody else by now, or dead and not yet reaped: Postgres would give up.

        The one of a process that is gone is left alone: Postgres reads there which shared memory to wait for.
        """
        pid = self.noted_pid()
        if pid is not None and self.pid() is None and exists(pid):
            self.pid_file.unlink(missing_ok=True)

    def arguments(self, settings: Settings) -> list[str]:
        """Give the command line."""
        flags = [f"--{name}={value}" for name, value in self._flags.items()]
        return [str(self._program), "-D", str(self.folder), "-p", str(settings.postgres_port), *flags]

    def trouble(self, settings: Settings) -> str | None:
        """Say why the server does not answer, or None when it does: ours is ready, and takes our password."""
        import psycopg

        lines: list[str] = []
        with suppress(FileNotFoundError):
            lines = self.pid_file.read_text().splitlines()
        if len(lines) < 8 or lines[7].strip() != "ready":  # noqa: PLR2004  # the file's format
            return "it is not ready"
        try:
            psycopg.connect(_address(settings, "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return str(error)
        return None

    def make_cluster(self, settings: Settings, initdb: Path, account: Account, lock: int) -> None:
        """Make the data folder where it is missing.

        initdb works aside and its result is renamed, so that a killed one does no harm. It inherits the home's lock:
        while an orphan of it is at work nobody else begins.

        Raises:
            EmbeddedError: with what initdb says, when it fails.
        """
        if self.folder.exists():
            return
        aside, password, log = (self.home / name for name in ("postgres.new", "initdb.password", "initdb.log"))
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        password.unlink(missing_ok=True)
        password.touch(mode=0o600, exist_ok=False)
        password.write_text(settings.password)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        with log.open("wb") as output:
            ended = subprocess.run(  # noqa: S603  # our own program
                [initdb, "-D", account.take(aside), "-U", NAME, f"--pwfile={account.take(password)}", *options],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=aside,
                env=ENVIRONMENT,
                timeout=_INITDB_S,
                start_new_session=True,
                umask=0o077,
                pass_fds=[lock],
                user=account.uid,
                group=account.gid,
                extra_groups=account.groups,
            )
        password.unlink()
        if ended.returncode != 0:
            raise EmbeddedError(f"Postgres' initdb failed. The last lines of {log}:\n{last_lines(log)}")
        aside.rename(self.folder)

    def make_database(self, settings: Settings) -> None:
        """Make the database where it is missing."""
        import psycopg

        with psycopg.connect(_address(settings, "postgres"), autocommit=True, connect_timeout=5) as connection:
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", (NAME,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {NAME}")


def _address(settings: Settings, database: str) -> str:
    return (
        f"host={LOOPBACK} port={settings.postgres_port} user={NAME} password={settings.password} dbname={database} "
        "sslmode=disable"
    )
