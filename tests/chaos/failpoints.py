"""Boundaries at which a process may die: each side of every commit, publish, ack, Redis write and provider's call.

They are watched where a library begins: in psycopg, kombu and redis-py, and at the port of benefit systems; the product
knows nothing of it. What is to die runs in a child forked from this warm process, and dies by SIGKILL exactly there.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from types import FrameType
from typing import Any, Literal

import kombu
import kombu.message
import psycopg
import pytest
import redis
from psycopg.pq import TransactionStatus
from redis.exceptions import NoScriptError

from tests.delivery.waiting import until
from tests.driving import Drive

Kind = Literal["commit", "write", "publish", "ack", "redis", "provider"]

# Whoever asks through these is meant, not they.
_BETWEEN = frozenset({"tactics.runtime", "tactics.store.db", "tactics.store.statement"})
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|TRUNCATE)\b|\btactics_\w+\(", re.IGNORECASE)
_READS = frozenset({"GET", "MGET", "EXISTS", "PING", "INFO", "TTL", "PTTL", "KEYS", "SCAN", "LLEN", "TIME"})
_ASSIGNED = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
_WRONG = "!"


class DiedWrongly(AssertionError):
    """A child did not do what it was forked for; the message is its traceback."""


def boundaries(drive: Drive, work: Callable[[], object]) -> list[str]:
    """Let a child do a work to its end.

    Returns:
        The boundaries that it passed, in order: `module.function kind before|after`, with a number from the second on.
    """
    passed, status = _fork(drive, work, None)
    if status:
        raise DiedWrongly(f"it should have ended well: {status}")
    return list(dict.fromkeys(passed))


def die_at(boundary: str, drive: Drive, work: Callable[[], object]) -> bool:
    """Let a child do a work, and die by SIGKILL at a boundary.

    Returns:
        Whether it came there; False: it has ended, well.
    """
    passed, status = _fork(drive, work, boundary)
    if status not in {0, -signal.SIGKILL}:
        raise DiedWrongly(f"it ended with {status}")
    died = status != 0
    assert died is (boundary in passed), (boundary, status, passed)
    return died


def _fork(drive: Drive, work: Callable[[], object], boundary: str | None) -> tuple[list[str], int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _live(drive, work, Watch(writing, boundary))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wrong = [line.removeprefix(_WRONG) for line in lines if line.startswith(_WRONG)]
    if wrong:
        raise DiedWrongly("\n".join(wrong))
    return lines, status


def _live(drive: Drive, work: Callable[[], object], watch: Watch) -> None:
    """Do the work in the child, which ends here."""
    inherited = drive.app._runtime  # its connections are the parent's: they must not be closed here
    status = 1
    try:
        drive.app._after_fork()
        with watch.everything(drive):
            work()
        status = 0
    except BaseException:  # noqa: BLE001  # the parent is told, and nothing of pytest may run here
        for line in traceback.format_exc().splitlines():
            watch.tell(_WRONG + line)
    finally:
        del inherited
        os._exit(status)


class Watch:
    """Tells of each boundary that this process passes, and ends the process at one."""

    def __init__(self, out: int, boundary: str | None) -> None:
        """Tell on a pipe; None ends it nowhere."""
        self._out, self._boundary = out, boundary
        self._count: Counter[str] = Counter()
        self._lock = Lock()

    def tell(self, line: str) -> None:
        """Say a line; it is out whatever happens next."""
        os.write(self._out, f"{line}\n".encode())

    @contextmanager
    def passing(self, kind: Kind, where: str) -> Iterator[None]:
        """Pass both sides of something; what raises is not through."""
        before = f"{where} {kind} before"
        self._pass(before)
        try:
            yield
        except NoScriptError:  # Redis has not seen the script yet, and is sent its text: that is the same write
            self._count[before] -= 1
            raise
        self._pass(f"{where} {kind} after")

    def _pass(self, name: str) -> None:
        with self._lock:
            self._count[name] += 1
            number = self._count[name]
            passed = name if number == 1 else f"{name} {number}"
            self.tell(passed)
            if passed == self._boundary:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def everything(self, drive: Drive) -> Iterator[None]:
        """Watch this process while this lasts."""
        patch = pytest.MonkeyPatch()
        self._watch_database(patch)
        self._watch_broker(patch)
        self._watch_redis(patch)
        gateways = drive.runtime.gateways
        self._watch_asking(patch, type(gateways.benefits), "grant", "look_up", "listing")
        self._watch_asking(patch, type(gateways.outbound), "request")
        try:
            yield
        finally:
            patch.undo()

    def _watch_database(self, patch: pytest.MonkeyPatch) -> None:
        commit, execute = psycopg.Connection.commit, psycopg.Cursor.execute

        def watched_commit(conn: psycopg.Connection[Any]) -> None:
            if not _has_written(conn):
                commit(conn)
                return
            with self.passing("commit", _place() or "elsewhere"):
                commit(conn)

        def watched_execute(cursor: psycopg.Cursor[Any], query: Any, *args: Any, **options: Any) -> Any:
            if not cursor.connection.autocommit or not _WRITES.search(str(query)):
                return execute(cursor, query, *args, **options)
            with self.passing("write", _place() or "elsewhere"):
                return execute(cursor, query, *args, **options)

        patch.setattr(psycopg.Connection, "commit", watched_commit)
        patch.setattr(psycopg.Cursor, "execute", watched_execute)

    def _watch_broker(self, patch: pytest.MonkeyPatch) -> None:
        publish: Any = kombu.Producer.publish
        ack: Any = kombu.message.Message.ack

        def watched_publish(producer: Any, *args: Any, **options: Any) -> Any:
            with self.passing("publish", _place() or "elsewhere"):
                return publish(producer, *args, **options)

        def watched_ack(message: Any, *args: Any, **options: Any) -> None:
            with self.passing("ack", str(message.headers["task"])):
                ack(message, *args, **options)

        patch.setattr(kombu.Producer, "publish", watched_publish)
        patch.setattr(kombu.message.Message, "ack", watched_ack)

    def _watch_redis(self, patch: pytest.MonkeyPatch) -> None:
        run: Any = redis.Redis.execute_command

        def watched(client: redis.Redis, *args: Any, **options: Any) -> Any:
            place = None if str(args[0]).upper() in _READS else _place(not_through="kombu")
            if place is None:
                return run(client, *args, **options)
            with self.passing("redis", place):
                return run(client, *args, **options)

        patch.setattr(redis.Redis, "execute_command", watched)

    def _watch_asking(self, patch: pytest.MonkeyPatch, gateway: type[Any], *names: str) -> None:
        for name in names:
            patch.setattr(gateway, name, self._asking(name, getattr(gateway, name)))

    def _asking(self, name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **options: Any) -> Any:
            with self.passing("provider", f"{_place() or 'elsewhere'} {name}"):
                return ask(*args, **options)

        return watched


def _has_written(conn: psycopg.Connection[Any]) -> bool:
    if conn.info.transaction_status != TransactionStatus.INTRANS:
        return False
    found = conn.execute(_ASSIGNED).fetchone()
    return found is not None and bool(found[0])


def _place(not_through: str | None = None) -> str | None:
    """Name the function of Tactics that is nearest, among those with public names; None: there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not_through is not None and module.partition(".")[0] == not_through:
            return None
        name = frame.f_code.co_name
        if module.partition(".")[0] == "tactics" and module not in _BETWEEN and name[0] not in "_<":
            return f"{module}.{frame.f_code.co_qualname.replace('.<locals>', '')}"
        frame = frame.f_back
    return None


def wait_for_the_dead(drive: Drive) -> None:
    """Wait until the database has noticed who died: their transactions are taken back, and hold nothing."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' AND xact_start IS NOT NULL"
    )
    until(lambda: not drive.value(others), "the database has noticed the dead")


def redelivered(drive: Drive) -> int:
    """Give back what was taken from the broker and never acknowledged, as after the visibility timeout.

    Returns:
        How many messages.
    """
    with drive.app.connection_for_read() as connection, connection.channel() as channel:
        with channel.conn_or_acquire() as client:
            tags: Sequence[bytes] = client.zrange(channel.unacked_index_key, 0, -1)
        for tag in tags:
            channel.qos.restore_by_tag(tag)
    return len(tags)
