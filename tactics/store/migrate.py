"""Bring a database to the newest schema, or back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

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
