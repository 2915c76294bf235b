"""Migrations and models."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, make_url, text

from tactics import embedded
from tactics.errors import Busy
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
        conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
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


_GRANTS = (
    "INSERT INTO grant_record (id, user_id, activity_code, activity_version, will_send_count, idempotency_id, execution_id,"
    " event_source, event_id, state, lines, value_minor, day, business_at) SELECT gen_random_uuid(), 'u' || n, 'a', 1, 1,"
    " 'g' || n, gen_random_uuid(), 's', 'e', 'granted', '[]', 0, '2017-01-01', now() FROM generate_series(1, 40) AS n"
)
_BUILDING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX%'"
    " AND wait_event_type = 'Lock'"
)


def _write_while_building(other: Engine, leaf: str, written: list[str]) -> Thread:
    """Hold a write open until the index waits for it, and write more meanwhile: what would wait behind the index fails."""
    writer = other.connect()
    writer.execute(text(f"UPDATE {leaf} SET reason = 'one'"))  # noqa: S608  # a table of ours

    def go_on() -> None:
        with other.connect() as conn, writer:
            while not conn.execute(text(_BUILDING)).scalar_one():
                conn.rollback()
            conn.execute(text("SET LOCAL lock_timeout = '300ms'"))
            conn.execute(text(f"INSERT INTO {leaf} SELECT (jsonb_populate_record(one, jsonb_build_object('id', gen_random_uuid(), 'execution_id', gen_random_uuid(), 'will_send_count', 2))).* FROM {leaf} AS one LIMIT 1"))  # fmt: skip  # noqa: S608  # a table of ours
            conn.commit()
            written.append(leaf)

    thread = Thread(target=go_on)
    thread.start()
    return thread


def test_a_database_in_use_is_migrated_step_by_step(empty: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each migration is kept on its own, none waits long behind a reader, and indexes on rows are built while others write."""
    monkeypatch.setattr(migrate, "PATIENCE_MS", 50)
    monkeypatch.setattr(migrate, "PAUSE_S", 0.0)
    monkeypatch.setattr(migrate, "TRIES", 2)
    other = make_engine(empty.url.render_as_string(hide_password=False), pool_size=2)
    with empty.begin() as conn:
        migrate.upgrade(conn, "0006")
        conn.execute(text("INSERT INTO activity (code, version, status, template_type, priority, starts_at, ends_at) VALUES ('a', 1, 'live', 't', 0, '2017-01-01', '2018-01-01')"))  # fmt: skip
        conn.execute(text(_GRANTS))
        conn.execute(
            text("CREATE INDEX grant_record_p3_ix_grant_record_created_at ON grant_record_p3 (created_at, id)")
        )
        # What an upgrade that was interrupted leaves behind.
        conn.execute(text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'grant_record_p3_ix_grant_record_created_at'::regclass"))  # fmt: skip
    said: list[str] = []
    with other.connect() as writer:
        writer.execute(text("UPDATE activity SET priority = 1"))
        with pytest.raises(Busy, match=r"migration 0007 could not have its tables in 2 tries.*pg_stat_activity"):
            migrate.upgrade_in_use(empty, said.append)
        writer.rollback()
    assert said == ["migration 0007 waits for a transaction that uses its tables"]
    written: list[str] = []
    threads: list[Thread] = []

    def build(told: str) -> None:
        said.append(told)
        if told.startswith("building") and not threads:
            threads.append(_write_while_building(other, told.partition(" on ")[2].partition(";")[0], written))

    with other.connect() as reader:
        reader.execute(text("SELECT count(*) FROM asset"))
        with pytest.raises(Busy, match="migration 0008"):
            migrate.upgrade_in_use(empty, build)
        assert reader.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0007"
    threads[0].join()
    assert len(written) == 1
    built = len(said)
    waiting = Event()
    also = Thread(target=migrate.upgrade_in_use, args=(other, lambda _: waiting.set()))
    with migrate._one_at_a_time(empty, said.append):
        also.start()
        assert waiting.wait(10)
    also.join()
    migrate.upgrade_in_use(empty, said.append)
    assert len(said) == built  # what was built before is there, and is not built again
    other.dispose()
    with empty.connect() as conn:
        assert migrate.differences(conn) == []
        assert conn.execute(text("SELECT count(*) FROM pg_index WHERE NOT indisvalid")).scalar_one() == 0
        ours = text("SELECT count(*) FROM pg_indexes WHERE indexname ~ '^grant_record_p._ix_grant_record_created_at$'")
        assert conn.execute(ours).scalar_one() == sum(
            one.startswith("building ix_grant_record_created_at") for one in said
        )
        attached = text("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ix_grant_record_created_at'::regclass")
        assert conn.execute(attached).scalar_one() == 8
