"""Plain statements: what goes wrong under them is told as SQLAlchemy tells it, and the next one goes well."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from tactics import embedded
from tactics.errors import DatabaseDown
from tactics.store.db import autocommitting, make_engine
from tactics.store.statement import Statement

READ = Statement("SELECT number FROM changing WHERE number = $1::bigint")
KILL = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """A pool on the test's database, with a table that changes under it."""
    found = make_engine(database, pool_size=6)
    with found.begin() as conn:
        conn.execute(text("CREATE TABLE changing (number int)"))
        conn.execute(text("INSERT INTO changing VALUES (7)"))
    yield found
    found.dispose()


@pytest.fixture
def other(servers: embedded.Servers) -> Iterator[Engine]:
    """Somebody else's connection."""
    found = make_engine(servers.database_url, pool_size=1, autocommit=True)
    yield found
    found.dispose()


def _read(engine: Engine, *, single: bool) -> list[tuple[Any, ...]]:
    with engine.connect() as conn, ExitStack() as stack:
        if single:
            stack.enter_context(autocommitting(conn))
        return READ.all(conn, 7)


def _change(engine: Engine) -> None:
    with engine.connect() as using, engine.begin() as conn:  # not the connection that the statement is prepared on
        READ.all(using, 7)
        using.commit()
        conn.execute(text("ALTER TABLE changing ALTER number TYPE bigint"))


def test_a_single_read_does_not_notice_a_migration(engine: Engine) -> None:
    """A statement that was prepared before its table changed is prepared again, and answers."""
    assert _read(engine, single=True) == [(7,)]
    _change(engine)
    assert _read(engine, single=True) == [(7,)]


def test_in_a_transaction_a_migration_costs_one_attempt(engine: Engine) -> None:
    """Inside a transaction such a statement fails once on a connection; taken back, the next one goes well."""
    _read(engine, single=False)
    _change(engine)
    outcomes = []
    for _ in range(4):
        try:
            outcomes.append(_read(engine, single=False))
        except DBAPIError:
            outcomes.append([])
    assert outcomes.count([]) <= 1
    assert outcomes[-1] == [(7,)]


def test_after_a_restart_one_failure_is_all(engine: Engine, other: Engine) -> None:
    """When the database has dropped every connection, one statement fails, and the pool forgets the others too."""
    with ExitStack() as stack:
        held = [stack.enter_context(engine.connect()) for _ in range(6)]
        for conn in held:
            READ.all(conn, 7)
    with other.connect() as conn:
        conn.execute(text(KILL), {"name": make_url(str(engine.url)).database})
    with pytest.raises(DatabaseDown, match="cannot reach the database"):
        _read(engine, single=False)
    with ExitStack() as stack:
        held = [stack.enter_context(engine.connect()) for _ in range(6)]
        assert [READ.all(conn, 7) for conn in held] == [[(7,)]] * 6


class _TimeIsUp(Exception):
    """What a worker's soft time limit raises, in the middle of anything."""


def _sleep(engine: Engine, *, plain: bool, single: bool) -> None:
    with ExitStack() as stack:
        conn = stack.enter_context(engine.connect() if single else engine.begin())
        if single:
            stack.enter_context(autocommitting(conn))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        if plain:
            Statement("SELECT pg_sleep(20)").all(conn)
        else:
            conn.execute(text("SELECT pg_sleep(20)"))


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("single", [True, False])
def test_a_time_limit_is_told_as_it_is(engine: Engine, plain: bool, single: bool) -> None:
    """A time limit that strikes while the database works goes through, and the next statement has a connection."""

    def strike(*_: object) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, strike)
    try:
        with pytest.raises(_TimeIsUp):
            _sleep(engine, plain=plain, single=single)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert _read(engine, single=single) == [(7,)]


def test_a_server_that_vanishes_is_noticed_in_about_ten_seconds(engine: Engine) -> None:
    """Both sides give up a machine that acknowledges nothing, in the middle of a statement too; not after 15 minutes."""
    with engine.connect() as conn:
        driver: Any = conn.connection.driver_connection
        with socket.socket(fileno=os.dup(driver.fileno())) as ours:
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            probed_for_s = sum(
                ours.getsockopt(socket.IPPROTO_TCP, one) for one in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
            )
        assert probed_for_s < 10
        assert conn.execute(text("SHOW tcp_user_timeout")).scalar_one() in {"10s", "10000"}
