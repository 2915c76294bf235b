"""Bring a database to the newest schema, or back; also one that processes of the version before are working on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from tactics.errors import Busy, WrongSchema
from tactics.store.partitions import ensure_months

_INSTALLED = Path(__file__).parents[1] / "_migrations"
_CHECKOUT = Path(__file__).parents[2] / "migrations"

PATIENCE_MS = 2_000
"""A migration waits so long for a table that somebody reads; whoever comes after it waits as long."""
TRIES = 10
PAUSE_S = 3.0
_LOOK_S = 0.1

_PATIENCE = text("SELECT set_config('lock_timeout', :patience, true)")
# Tried, not waited for: who waits inside a statement keeps an index from being built beside them.
_BEGIN = text("SELECT pg_try_advisory_lock(hashtextextended('tactics.migrate', 0))")
_END = text("SELECT pg_advisory_unlock(hashtextextended('tactics.migrate', 0))")
_HAS_VERSION = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_VERSION = text("SELECT version_num FROM alembic_version")
_LEAVES = text(
    "SELECT relid::regclass::text FROM pg_partition_tree(to_regclass(:name)) WHERE isleaf ORDER BY length(relid::text), 1"
)
_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def _config(conn: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_INSTALLED if _INSTALLED.exists() else _CHECKOUT))
    config.attributes["connection"] = conn
    return config


def upgrade(conn: Connection, revision: str = "head") -> None:
    """Apply what is missing up to `revision`, and add the months' partitions; the caller commits.

    All in the caller's transaction, so for a database that nobody else works on: `upgrade_in_use` is for others.
    """
    command.upgrade(_config(conn), revision)
    if revision == "head":
        ensure_months(conn)


def upgrade_in_use(engine: Engine, say: Callable[[str], None] = lambda _: None) -> None:
    """Apply what is missing while others work: a transaction for each migration, none of which waits long for a lock.

    What is done stays done: when it ends early, begin it again.

    Args:
        engine: of the database.
        say: told of what may take long, before it begins.

    Raises:
        Busy: somebody used a table all the while.
    """
    with _one_at_a_time(engine, say):
        while (script := _next(engine)) is not None:
            for name, on in getattr(script.module, "INDEXES", {}).items():
                _build_ahead(engine, name, on, say)
            step = partial(_upgrade_to, script.revision)
            _patiently(engine, f"migration {script.revision}", step, say)
        _patiently(engine, "adding the coming months", ensure_months, say)


@contextmanager
def _one_at_a_time(engine: Engine, say: Callable[[str], None]) -> Iterator[None]:
    with engine.connect() as conn:
        plain = conn.execution_options(isolation_level="AUTOCOMMIT")
        if not plain.execute(_BEGIN).scalar_one():
            say("another upgrade is under way: waiting for its end")
            while not plain.execute(_BEGIN).scalar_one():
                time.sleep(_LOOK_S)
        try:
            yield
        finally:
            plain.execute(_END)


def _next(engine: Engine) -> Script | None:
    """Give the first migration that a database lacks; None when it has all, or is newer than this version."""
    with engine.connect() as conn:
        found = conn.execute(_VERSION).scalar_one_or_none() if conn.execute(_HAS_VERSION).scalar_one() else None
        scripts = ScriptDirectory.from_config(_config(conn))
    missing: list[Script] = []
    for one in scripts.walk_revisions():  # the newest first
        if one.revision == found:
            break
        missing.append(one)
    else:
        if found is not None:
            return None
    return missing[-1] if missing else None


def _upgrade_to(revision: str, conn: Connection) -> None:
    command.upgrade(_config(conn), revision)


def _patiently(engine: Engine, what: str, do: Callable[[Connection], object], say: Callable[[str], None]) -> None:
    for tries_left in reversed(range(TRIES)):
        try:
            with engine.begin() as conn:
                conn.execute(_PATIENCE, {"patience": f"{PATIENCE_MS}ms"})
                do(conn)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            if not tries_left:
                raise Busy(
                    f"{what} could not have its tables in {TRIES} tries: a long transaction uses them. What came before is done."
                    " Let that transaction end (the oldest xact_start in pg_stat_activity), then upgrade again."
                ) from error
            say(f"{what} waits for a transaction that uses its tables")
            time.sleep(PAUSE_S)
        else:
            return


def _build_ahead(engine: Engine, name: str, on: str, say: Callable[[str], None]) -> None:
    """Build a partitioned index's parts where there are rows, while others write; what was left half built is built anew."""
    table, _, columns = on.partition(" ")
    with engine.connect() as conn:
        plain = conn.execution_options(isolation_level="AUTOCOMMIT")
        for leaf in _leaves_with_rows(plain, table):
            part = f"{leaf}_{name}"
            valid = plain.execute(_VALID, {"name": part}).scalar_one_or_none()
            if valid:
                continue
            if valid is not None:
                plain.execute(text(f"DROP INDEX CONCURRENTLY {part}"))
            say(f"building {name} on {leaf}; others go on meanwhile")
            plain.execute(text(f"CREATE INDEX CONCURRENTLY {part} ON {leaf} {columns}"))


def _leaves_with_rows(conn: Connection, table: str) -> Iterator[str]:
    for leaf in conn.execute(_LEAVES, {"name": table}).scalars().all():
        if conn.execute(text(f"SELECT EXISTS (SELECT FROM {leaf})")).scalar_one():  # noqa: S608  # a table of ours
            yield leaf


def downgrade(conn: Connection, revision: str = "base") -> None:
    """Go back to `revision`; the caller commits. Data of what is dropped is gone."""
    command.downgrade(_config(conn), revision)


@cache
def _revisions() -> tuple[str, frozenset[str]]:
    """Give the newest revision that this version knows, and all of them."""
    config = Config()
    config.set_main_option("script_location", str(_INSTALLED if _INSTALLED.exists() else _CHECKOUT))
    scripts = ScriptDirectory.from_config(config)
    return str(scripts.get_current_head()), frozenset(one.revision for one in scripts.walk_revisions())


def usable_revision(conn: Connection) -> str:
    """Give the schema's revision, where this version can work with it: its own, or one that is newer than all it knows.

    Raises:
        WrongSchema: there are no tables, or those of an older version.
    """
    head, known = _revisions()
    table = conn.execute(text("SELECT to_regclass('alembic_version')")).scalar_one()
    found = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() if table else None
    if found is None or (found in known and found != head):
        raise WrongSchema(
            f"the database's schema is {found or 'empty'}, this version needs {head}: run `tactics db upgrade`",
            found=found or "",
            needed=head,
        )
    return str(found)


def differences(conn: Connection) -> list[object]:
    """Compare the database with the models; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from tactics.store.tables import metadata

    def ours(thing: Any, _name: str | None, kind: str, reflected: bool, _other: object) -> bool:
        """Leave out foreign keys to partitions: Postgres lists one for each, and they follow their parent."""
        if kind != "foreign_key_constraint" or not reflected:
            return True
        return thing.elements[0].target_fullname.split(".")[0] in metadata.tables

    context = MigrationContext.configure(
        conn,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _parents: kind != "table" or name in metadata.tables,
            "include_object": ours,
        },
    )
    return list(compare_metadata(context, metadata))
