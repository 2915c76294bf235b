"""Start, stop and find the servers of a home."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tactics.embedded.binaries import Account, EmbeddedError, find_binaries, servers_account
from tactics.embedded.home import Servers, Settings, locked, made, new_settings, remember, remembered, whole
from tactics.embedded.postgres import Postgres
from tactics.embedded.valkey import Valkey


def start(home: Path, *, durable: bool = True) -> Servers:
    """Start the servers of a home, or adopt those that run already; make whatever is missing.

    Args:
        home: the folder to keep everything in; made when missing.
        durable: False trades what survives a power cut for speed: Postgres does not wait for the disk, Valkey comes
            back empty. Servers that run already stay as they are.

    Returns:
        Where the servers are. They run until `stop`, or until the last owner (`running`) leaves.

    Raises:
        EmbeddedError: when that cannot be done. What this call started is stopped again.
    """
    home = made(home)
    try:
        with locked(home) as lock:
            there = [server.pid() is not None for server in (Postgres(home), Valkey(home))]
            try:
                return _bring_up(home, lock, durable=durable).servers(home)
            except BaseException:
                for server, was_there in zip((Postgres(home), Valkey(home)), there, strict=True):
                    if not was_there:
                        server.end()
                raise
    except (OSError, subprocess.SubprocessError) as error:  # no space, no permission, no more processes
        raise EmbeddedError(f"The servers of {home} cannot be started: {error}.") from error


def stop(home: Path) -> None:
    """Stop the servers of a home, cleanly, and wait until they are gone; nothing happens when they do not run.

    Raises:
        EmbeddedError: when one does not end in time.
    """
    home = whole(home)
    if not home.is_dir():
        return
    try:
        with locked(home):
            Postgres(home).end()
            Valkey(home).end()
    except OSError as error:
        raise EmbeddedError(f"The servers of {home} cannot be stopped: {error}.") from error


def attached(home: Path) -> Servers | None:
    """Find the servers of a home, without starting any; None unless both run and answer."""
    home = whole(home)
    settings = remembered(home)
    if settings is None:
        return None
    up = all(server.pid() is not None and server.trouble(settings) is None for server in (Postgres(home), Valkey(home)))
    return settings.servers(home) if up else None


def missing(home: Path) -> list[str]:
    """Name the servers of a home that do not run."""
    home = whole(home)
    return [server.name for server in (Postgres(home), Valkey(home)) if server.pid() is None]


def _bring_up(home: Path, lock: int, *, durable: bool) -> Settings:
    account = servers_account(home / "postgres")
    _check_reach(home, account)
    programs = find_binaries(home, account)
    postgres = Postgres(home, programs.postgres, durable=durable)
    valkey = Valkey(home, programs.valkey, durable=durable)
    settings = remembered(home) or remember(home, new_settings())
    postgres.make_cluster(settings, programs.initdb, account, lock)
    settings = postgres.bring_up(settings, account)
    postgres.make_database(settings)
    return valkey.bring_up(settings, account)


def _check_reach(home: Path, account: Account) -> None:
    if not account.reaches(home):
        raise EmbeddedError(
            f"As root the servers run under the account '{account.name}', who may not enter {home}: "
            "choose a home below folders that everybody may enter, such as TACTICS_HOME=/var/lib/tactics."
        )
