"""The folder that the servers of one installation live in: what it remembers, its lock, its ports."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tactics.embedded.binaries import EmbeddedError, servers_account

LOOPBACK = "127.0.0.1"
NAME = "tactics"  # of the database and its user
# Below the range that kernels hand out to outgoing connections, so that a remembered port stays free.
_FIRST_PORT, _PORTS = 20_000, 12_000
_LOCK_S = 120.0


@dataclass(frozen=True)
class Servers:
    """Where the running servers of a home are."""

    home: Path
    database_url: str
    redis_url: str


@dataclass(frozen=True)
class Settings:
    """What a home remembers, in servers.json."""

    postgres_port: int
    valkey_port: int
    password: str

    def servers(self, home: Path) -> Servers:
        """Put the addresses together."""
        return Servers(
            home=home,
            database_url=f"postgresql+psycopg://{NAME}:{self.password}@{LOOPBACK}:{self.postgres_port}/{NAME}",
            redis_url=f"redis://:{self.password}@{LOOPBACK}:{self.valkey_port}/0",
        )


def whole(home: Path) -> Path:
    """Give a home its one name, so that everybody who means it finds the same processes."""
    return home.absolute().resolve()


def made(home: Path) -> Path:
    """Make a home where it is missing, and give it its one name.

    Raises:
        EmbeddedError: when it cannot be made.
    """
    home = whole(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0 and ((home / "servers.json").exists() or not any(home.iterdir())):
            home.chmod(home.stat().st_mode | 0o011)  # the servers' account passes through, whatever root's umask is
    except OSError as error:
        raise EmbeddedError(
            f"The home {home} cannot be made or read: {error}. Choose another (TACTICS_HOME)."
        ) from error
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise EmbeddedError(f"The home {home} belongs to somebody else. Choose another (TACTICS_HOME).")
    return home


def temporary() -> Path:
    """Make a new home in TMPDIR, or, where the servers' account may not enter that, in the system's own.

    Raises:
        EmbeddedError: when that account may enter no such folder.
    """
    preferred = tempfile.gettempdir()
    parents = dict.fromkeys((preferred, "/tmp", "/var/tmp"))  # noqa: S108  # the folder made in it is new and ours
    account = servers_account(Path(preferred) / "no-data-yet")
    for parent in parents:
        if account.reaches(Path(parent)):
            return made(Path(tempfile.mkdtemp(prefix="tactics-", dir=parent)))
    raise EmbeddedError(f"The account '{account.name}' may enter none of {', '.join(parents)}: set TMPDIR to another.")


@contextmanager
def locked(home: Path) -> Iterator[int]:
    """Hold the home's lock and give its descriptor: one at a time starts or stops the servers.

    Raises:
        EmbeddedError: when another process does not let it go.
    """
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + _LOCK_S
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > until:
                raise EmbeddedError(f"Another process has kept {home / 'lock'} for {_LOCK_S:.0f} s: end it, try again.")
            time.sleep(0.05)
        yield lock
    finally:
        os.close(lock)


def remembered(home: Path) -> Settings | None:
    """Read what the home remembers; None when it is new.

    Raises:
        EmbeddedError: when it is not readable.
    """
    path = home / "servers.json"
    try:
        return Settings(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        raise EmbeddedError(
            f"{path} cannot be read ({error}): restore it, remove {home}, or choose another."
        ) from error


def remember(home: Path, settings: Settings) -> Settings:
    """Write what the home is to remember, whole or not at all."""
    aside = home / "servers.json.new"
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(settings), file)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(home / "servers.json")
    return settings


def new_settings() -> Settings:
    """Choose ports and a password for a new home."""
    return Settings(postgres_port=free_port(), valkey_port=free_port(), password=secrets.token_hex(16))


def free_port() -> int:
    """Find a port that nobody uses.

    Raises:
        EmbeddedError: when there is none.
    """
    for _ in range(500):
        port = _FIRST_PORT + secrets.randbelow(_PORTS)
        if is_free(port):
            return port
    raise EmbeddedError(f"No free port from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1} on {LOOPBACK}.")


def is_free(port: int) -> bool:
    """Tell whether a server could listen here at this moment."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: old connections do not count
        try:
            attempt.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
