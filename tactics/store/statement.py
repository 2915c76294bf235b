"""SQL that every event and placement runs: handed to the driver as it is, prepared once a connection.

Most of the store is written with SQLAlchemy, whose statements say what they mean. On the path of a placement its part
of a statement costs more than the database's (docs/adr/0016-plain-statements-on-the-hot-path.md), so what runs there is
plain SQL with `$1` placeholders, over the same connection and in the same transaction.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import RawCursor
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tactics.errors import DatabaseDown

Row = tuple[Any, ...]

_CURSOR = "tactics.cursor"
# A migration changed a table under a statement that was prepared before; or a pooler handed out another session.
_STALE = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)


class Statement:
    """One statement, run with its parameters in order."""

    __slots__ = ("sql",)

    def __init__(self, sql: str) -> None:
        """Keep the text; parameters are `$1`, `$2`, …"""
        self.sql = sql

    def all(self, conn: Connection, *parameters: Any) -> list[Row]:
        """Run it and give every row.

        Raises:
            DatabaseDown: the connection is lost.
            DBAPIError: the database refused, as from SQLAlchemy.
        """
        return self._run(conn, parameters).fetchall()

    def first(self, conn: Connection, *parameters: Any) -> Row | None:
        """Run it and give the first row, or None. Raises as `all` does."""
        return self._run(conn, parameters).fetchone()

    def one(self, conn: Connection, *parameters: Any) -> Row:
        """Run a statement that always gives a row, and give it. Raises as `all` does."""
        row = self._run(conn, parameters).fetchone()
        assert row is not None, self.sql  # noqa: S101  # such statements end in RETURNING or are aggregates
        return row

    def run(self, conn: Connection, *parameters: Any) -> None:
        """Run a statement that gives nothing. Raises as `all` does."""
        self._run(conn, parameters)

    def _run(self, conn: Connection, parameters: Row) -> RawCursor[Row]:
        cursor = _cursor(conn)
        try:
            try:
                return cursor.execute(self.sql, parameters, prepare=True)
            except _STALE:
                if not cursor.connection.autocommit:  # taking the transaction back clears what is prepared
                    raise
                cursor.connection.execute("DEALLOCATE ALL")
                return cursor.execute(self.sql, parameters, prepare=True)
        except psycopg.Error as error:
            raise _told(conn, self.sql, error) from error
        except Exception:
            if cursor.connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                conn.invalidate()  # a time limit struck: whoever takes the transaction back must not wait for its end
            raise


def _cursor(conn: Connection) -> RawCursor[Row]:
    """Give the connection's one cursor for statements like these, with its transaction begun."""
    if not conn.in_transaction():
        conn.begin()
    known = conn.info
    cursor: RawCursor[Row] | None = known.get(_CURSOR)
    if cursor is None:
        driver: Any = conn.connection.driver_connection
        cursor = known[_CURSOR] = RawCursor(driver)
    return cursor


def _told(conn: Connection, sql: str, error: psycopg.Error) -> Exception:
    """Say it as the rest of the store says it."""
    driver: Any = conn.connection.driver_connection
    if driver.closed:
        where = conn.engine.url.render_as_string(hide_password=True)
        # As SQLAlchemy does for its own statements: the others of the pool are probably gone too.
        conn.engine.pool._invalidate(conn.connection, error)  # noqa: SLF001
        conn.invalidate(error)
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return DatabaseDown(f"cannot reach the database at {where}: {lines[0]}")
    return DBAPIError.instance(sql, None, error, psycopg.Error, hide_parameters=True, dialect=conn.dialect)
