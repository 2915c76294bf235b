"""Bring a database to the newest schema, or back."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tactics.errors import WrongSchema
from tactics.store.partitions import ensure_months

_INSTALLED = Path(__file__).parents[1] / "_migrations"
_CHECKOUT = Path(__file__).parents[2] / "migrations"


def _config(conn: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_INSTALLED if _INSTALLED.exists() else _CHECKOUT))
    config.attributes["connection"] = conn
    return config


def upgrade(conn: Connection, revision: str = "head") -> None:
    """Apply what is missing up to `revision`, and add the months' partitions; the caller commits."""
    command.upgrade(_config(conn), revision)
    if revision == "head":
        ensure_months(conn)


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
