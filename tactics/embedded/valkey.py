"""Valkey, of one home."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path

from tactics.embedded.binaries import Account
from tactics.embedded.home import LOOPBACK, Settings
from tactics.embedded.server import Server


class Valkey(Server):
    """Broker, leases and prepared data: what may be emptied at any moment."""

    name = "Valkey"
    program_name = "valkey-server"
    port_field = "valkey_port"
    ending = (signal.SIGTERM, signal.SIGKILL)

    def __init__(self, home: Path, program: Path | None = None, *, durable: bool = True) -> None:
        """Name the server's files.

        Args:
            home: the home, by its one name.
            program: the server's program, where it may have to be started.
            durable: False: nothing is kept when the server ends.
        """
        super().__init__(home)
        self._program = program
        self._durable = durable

    @property
    def mark(self) -> Path:
        """The settings file, the server's only argument."""
        return self.folder / "valkey.conf"

    @property
    def pid_file(self) -> Path:
        """As its settings say."""
        return self.folder / "valkey.pid"

    def prepare(self, settings: Settings, account: Account) -> None:
        """Write the settings file: a password does not belong on a command line."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        account.take(self.folder)
        if not self._durable:
            shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)  # older than what Postgres knows
        lines = [
            f"bind {LOOPBACK}",
            f"port {settings.valkey_port}",
            f"requirepass {settings.password}",
            f"pidfile {self.pid_file.name}",
            'logfile ""',
            f"appendonly {'yes' if self._durable else 'no'}",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "set-proc-title no",  # the command line is how the server is found
        ]
        self.mark.unlink(missing_ok=True)
        self.mark.touch(mode=0o600)
        self.mark.write_text("\n".join([*lines, ""]))
        account.take(self.mark)

    def arguments(self, settings: Settings) -> list[str]:  # noqa: ARG002  # they stand in the file
        """Give the command line."""
        return [str(self._program), str(self.mark)]

    def trouble(self, settings: Settings) -> str | None:
        """Say why the server does not answer, or None when it does: it takes our password, so it is ours."""
        try:
            with socket.create_connection((LOOPBACK, settings.valkey_port), timeout=2) as connection:
                connection.sendall(f"AUTH {settings.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:  # noqa: PLR2004  # one line for each command
                    part = connection.recv(1024)
                    if not part:
                        break
                    answer += part
        except OSError as error:
            return str(error)
        return None if answer == b"+OK\r\n+PONG\r\n" else answer.decode(errors="replace").strip()
