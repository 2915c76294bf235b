"""Postgres and Valkey of one run alone, in a home of their own: stopped, killed, emptied, and started again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tactics import embedded
from tactics.embedded.postgres import Postgres
from tactics.embedded.server import Server
from tactics.embedded.valkey import Valkey


class Servers:
    """The two servers. They stay at their ports."""

    def __init__(self, found: embedded.Servers) -> None:
        """Take over what runs."""
        self.home = found.home
        self.database_url, self.redis_url = found.database_url, found.redis_url
        self._lock = threading.Lock()

    def stop_postgres(self) -> None:
        """Let Postgres end at once, as after a crash, and start it again: it recovers from its log."""
        self._end(Postgres(self.home), signal.SIGQUIT)

    def kill_valkey(self) -> None:
        """Kill Valkey; it comes back empty."""
        self._end(Valkey(self.home), signal.SIGKILL)

    def flush_valkey(self) -> None:
        """Empty Valkey while it runs."""
        with redis.Redis.from_url(self.redis_url, socket_timeout=5) as client:
            client.flushall()

    def _end(self, server: Server, number: signal.Signals) -> None:
        with self._lock:
            pid = server.pid()
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            while server.pid() == pid and pid is not None:
                threading.Event().wait(0.01)
            found = embedded.start(self.home, durable=False)
            if found.database_url != self.database_url or found.redis_url != self.redis_url:
                raise embedded.EmbeddedError(f"{server.name} came back on another port")


@contextmanager
def running_servers(home: Path) -> Iterator[Servers]:
    """Run both for a while. Not durable: no power is cut here, and a crash of a process loses no commit without fsync."""
    with embedded.running(home, durable=False) as found:
        yield Servers(found)
