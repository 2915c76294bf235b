"""Alembic's entry: the connection comes from the caller (`tactics.store.migrate`), never from a file."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection

from tactics.store.tables import metadata


def include_name(name: str | None, type_: str, _parents: Any) -> bool:
    """Leave partitions out of comparisons: they are not tables of the model."""
    return not (type_ == "table" and name is not None and name not in metadata.tables)


connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_name=include_name,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
