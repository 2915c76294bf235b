"""Migrations and models."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, make_url, text

from tactics import embedded
from tactics.store import migrate
from tactics.store.db import make_engine


@pytest.fixture
def empty(servers: embedded.Servers) -> Iterator[Engine]:
    """An empty database."""
    name = f"empty_{uuid4().hex}"
    admin = make_engine(servers.database_url, pool_size=1, autocommit=True)
    with admin.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    engine = make_engine(url, pool_size=1)
    yield engine
    engine.dispose()
    with admin.connect() as conn:
        conn.execute(text(f"DROP DATABASE {name}"))
    admin.dispose()


def _catalogue(conn: Connection) -> list[tuple[str, str]]:
    columns = text(
        "SELECT table_name, column_name || ' ' || data_type || ' ' || is_nullable || coalesce(column_default, '')"
        " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        " UNION ALL SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND tablename <> 'alembic_version'"
        " UNION ALL SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2"
    )
    return [(row[0], row[1]) for row in conn.execute(columns)]


def test_models_are_the_migrated_schema(empty: Engine) -> None:
    """A migrated database has nothing more, less or else than the models say."""
    with empty.begin() as conn:
        migrate.upgrade(conn)
        assert migrate.differences(conn) == []
        conn.execute(text("ALTER TABLE item ADD COLUMN colour text"))
        assert len(migrate.differences(conn)) == 1


def test_up_down_up_gives_the_same_schema(empty: Engine) -> None:
    """Going back leaves nothing, and the way up again ends where it did the first time."""
    with empty.begin() as conn:
        migrate.upgrade(conn)
        first = _catalogue(conn)
    with empty.begin() as conn:
        migrate.downgrade(conn)
        assert _catalogue(conn) == []
    with empty.begin() as conn:
        migrate.upgrade(conn)
        assert _catalogue(conn) == first
    assert len(first) > 100


def test_upgrade_twice_changes_nothing(empty: Engine) -> None:
    """A second upgrade finds everything there."""
    with empty.begin() as conn:
        migrate.upgrade(conn)
        first = _catalogue(conn)
        migrate.upgrade(conn)
        assert _catalogue(conn) == first


def test_versions_from_before_plays_have_been_current(empty: Engine) -> None:
    """Each version of an activity that there was before drafts became current when it was saved."""
    with empty.begin() as conn:
        migrate.upgrade(conn, "0004")
        conn.execute(
            text(
                "INSERT INTO activity (code, version, status, template_type, priority, starts_at, ends_at)"
                " VALUES ('a', 2, 'live', 't', 0, '2017-01-01', '2018-01-01')"
            )
        )
        conn.execute(
            text(
                "INSERT INTO activity_version (activity_code, version, definition, created_at)"
                " VALUES ('a', 1, '{}', '2017-01-01'), ('a', 2, '{}', '2017-02-01')"
            )
        )
        migrate.upgrade(conn)
        rows = conn.execute(text("SELECT version FROM activity_version WHERE current_at = created_at ORDER BY 1"))
        assert list(rows.scalars()) == [1, 2]
