"""Connections to Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError

from tactics.errors import BadInput, DatabaseDown

CONNECT_TIMEOUT_S = 5
VANISHED_MS = 10_000
"""A server that has said nothing for so long has vanished. Without, a statement on its way waits for a quarter of an hour."""


def make_engine(
    url: str,
    *,
    pool_size: int = 10,
    statement_timeout_ms: int = 0,
    idle_in_transaction_ms: int = 0,
    autocommit: bool = False,
    actor: str = "",
    vanished_ms: int = VANISHED_MS,
) -> Engine:
    """Make a pool of connections; nothing connects yet.

    Args:
        url: postgresql+psycopg://user:password@host:port/name; plain postgresql:// is understood too.
        pool_size: connections kept; as many again may open under load.
        statement_timeout_ms: the server cancels a longer statement; 0 is no limit.
        idle_in_transaction_ms: the server ends a connection that idles so long inside a transaction; 0 is no limit.
        autocommit: for single reads outside any transaction.
        actor: who changes what is changed over these connections, for the audit log; empty: the database's user.
        vanished_ms: a server whose machine has acknowledged nothing for so long is given up, mid-statement too.

    Raises:
        BadInput: the URL is not a Postgres one. Using the engine raises DatabaseDown when the server cannot be reached.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise BadInput(f"TACTICS_DATABASE_URL must be a postgresql+psycopg:// URL, not {parsed.drivername}://")
    connect_args: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "prepare_threshold": 2,
        "application_name": "tactics",
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": vanished_ms,
        "options": " ".join(
            f"-c {name}={value}"
            for name, value in {
                "statement_timeout": statement_timeout_ms,
                "idle_in_transaction_session_timeout": idle_in_transaction_ms,
                # The server, too, should notice within seconds that a client's machine is gone.
                "tcp_keepalives_idle": 10,
                "tcp_keepalives_interval": 3,
                "tcp_keepalives_count": 3,
                "tcp_user_timeout": VANISHED_MS,
                "timezone": "UTC",
                # Measured on these tables: a prepared statement takes half as long when it is not planned anew.
                "plan_cache_mode": "force_generic_plan",
                "jit": "off",
                **({"tactics.actor": actor.replace("\\", r"\\").replace(" ", r"\ ")} if actor else {}),
            }.items()
        ),
    }
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_use_lifo=True,
        pool_recycle=1800,
        connect_args=connect_args,
        hide_parameters=True,  # they are users' data, and errors are logged
        isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
    )
    _say_where(engine)
    return engine


def give_back(conn: Connection) -> None:
    """Return a connection to its pool, its transaction taken back; one that cannot even do that is thrown away."""
    try:
        conn.close()
    except (SQLAlchemyError, DatabaseDown):
        conn.invalidate()
        conn.close()


@contextmanager
def autocommitting(conn: Connection) -> Iterator[None]:
    """Let each statement be a transaction of its own, on a connection that has begun none, and take that back after.

    So a single read costs one round trip instead of three, without a pool of its own: Postgres serves a connection that
    was just in use sooner than another one.
    """
    driver: Any = conn.connection.driver_connection
    driver.autocommit = True
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # broken, or in the middle of a statement: it will not be used again
            driver.autocommit = False


def _say_where(engine: Engine) -> None:
    where = engine.url.render_as_string(hide_password=True)

    @event.listens_for(engine, "handle_error")
    def _(context: Any) -> None:
        error = context.original_exception
        if not isinstance(error, Exception):  # somebody wants this process to end
            return
        if not isinstance(error, psycopg.Error):  # a time limit struck: nobody waits for the statement's end
            driver: Any = context.connection and context.connection.connection.driver_connection
            context.is_disconnect = bool(driver) and driver.pgconn.transaction_status == TransactionStatus.ACTIVE
            return
        if context.is_disconnect or context.connection is None:
            raise DatabaseDown(f"cannot reach the database at {where}: {str(error).strip().splitlines()[0]}") from error
