"""Whoever keeps this running can ask how it is, also while the servers behind it are not."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

import pytest
from anyio.to_thread import current_default_thread_limiter
from sqlalchemy import text

from tactics import metrics
from tactics.api.probe import Probe
from tactics.api.server import connections
from tactics.api.service import THREADS, create_api
from tactics.api.watch import Watch, close_watch, watch_of
from tactics.config import Settings
from tactics.errors import DatabaseDown, WrongSchema
from tactics.runtime import Runtime
from tactics.store import migrate
from tests.driving import Drive, make_drive
from tests.http.conftest import Client


def test_ready_while_database_and_schema_are_there(api: Client, live: Drive) -> None:
    """Ready names the schema's revision; newer tables change nothing, older or missing ones make it unready, and say why."""
    head = live.value("SELECT version_num FROM alembic_version")
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/readyz").json() == {"status": "ready", "revision": head, "redis": "ok"}
    with live.runtime.engine.connect() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert migrate.usable_revision(conn) == "9999"
        conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        with pytest.raises(WrongSchema, match=f"'s schema is 0001, this version needs {head}") as raised:
            migrate.usable_revision(conn)
        assert raised.value.fields == {"found": "0001", "needed": head}
        conn.execute(text("DELETE FROM alembic_version"))
        with pytest.raises(WrongSchema, match="is empty"):
            migrate.usable_revision(conn)
        conn.execute(text("DROP TABLE alembic_version"))
        with pytest.raises(WrongSchema, match="is empty"):
            migrate.usable_revision(conn)
    live.run("UPDATE alembic_version SET version_num = '0001'")
    answers = [api.get("/readyz")]
    assert answers[0].json()["status"] == "ready"  # kept for a second
    while answers[-1].status_code == 200:
        answers.append(api.get("/readyz"))
    problem = answers[-1].json()
    assert (answers[-1].status_code, problem["code"], problem["found"]) == (503, "wrong_schema", "0001")
    assert answers[-1].headers["Retry-After"] == "1"


def test_servers_that_are_away(settings: Settings) -> None:
    """A database that takes connections and says nothing is a 503 in about a second; Redis is only told; the process answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as other:
        port, closed = silent.getsockname()[1], other.getsockname()[1]
        other.close()
        silenced = {"database_url": f"postgresql://u:secret@127.0.0.1:{port}/x"}
        away = settings.model_copy(update={**silenced, "redis_url": f"redis://127.0.0.1:{closed}/0"})
        drive = make_drive(away, replay=False)
        client = Client(create_api(drive.app))  # not entered: what works in the background would wait for the database
        assert client.get("/healthz").status_code == 200
        for limit_s in (1.9, 0.9):  # while one question hangs, the next is answered from it
            started = time.monotonic()
            answer = client.get("/readyz")
            assert time.monotonic() - started < limit_s
            assert (answer.status_code, answer.json()["code"]) == (503, "database_down")
            assert "secret" not in answer.text
        found = metrics.shown(watch_of(drive.runtime)).decode()
        assert "\ntactics_database_up 0.0\n" in found
        assert "\ntactics_events_waiting " not in found
    close_watch(drive.runtime)
    drive.runtime.close()
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{closed}/0"})
    app = make_drive(gone, replay=False).app
    assert Client(create_api(app)).get("/readyz").json()["redis"] == "down"
    close_watch(app.runtime)
    app.runtime.close()


def test_answered_while_other_requests_hold_every_thread(api: Client) -> None:
    """However many requests wait in the threads that routes share, whoever watches is answered."""
    assert api.portal is not None
    held = [object() for _ in range(THREADS)]

    async def hold() -> None:
        for one in held:
            current_default_thread_limiter().acquire_on_behalf_of_nowait(one)

    async def let_go() -> None:
        for one in held:
            current_default_thread_limiter().release_on_behalf_of(one)

    api.portal.call(hold)
    with ThreadPoolExecutor(2) as pool:
        try:
            answers = [pool.submit(api.get, path) for path in ("/readyz", "/metrics")]
            assert [one.result(5).status_code for one in answers] == [200, 200]
        finally:
            api.portal.call(let_go)


def test_a_restarted_database_is_found_at_once(runtime: Runtime) -> None:
    """A connection that was cut meanwhile is no reason to say that the database is away."""
    watch = Watch(runtime)
    revision = watch._ask_health()
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with runtime.engine.connect() as conn:
        assert conn.execute(text(cut)).scalar_one() == 1
    assert watch._ask_health() == revision
    watch.close()


def test_a_probe_asks_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks while a question is open waits for that one's answer; what it raised is raised to all, and kept."""
    asked: list[int] = []
    go = Event()

    def ask() -> int:
        asked.append(1)
        go.wait(10)
        if len(asked) == 3:
            raise DatabaseDown
        return len(asked)

    probe = Probe(ask, kept_s=0.0, patience_s=0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            probe.result()
    assert asked == [1]
    with monkeypatch.context() as patched:
        patched.setattr("tactics.api.probe.GIVEN_UP_S", 0.0)  # long after, it is asked anew
        with pytest.raises(TimeoutError):
            probe.result()
    assert asked == [1, 1]
    patient: Probe[Any] = Probe(ask, kept_s=60.0, patience_s=10.0)
    found: list[str] = []

    def wait() -> None:
        try:
            patient.result()
        except DatabaseDown:
            found.append("down")

    waiting = [Thread(target=wait) for _ in range(3)]
    for one in waiting:
        one.start()
    go.set()
    for one in waiting:
        one.join()
    assert found == ["down"] * 3
    assert len(asked) == 3


def test_each_thread_of_the_api_has_a_connection(settings: Settings) -> None:
    """Placements, routes and what works beside them never wait for each other's connections; more may be set."""
    few = settings.model_copy(update={"pool_size": 3, "api_threads": 20})
    assert connections(few) >= 20 + THREADS + 4
    assert connections(few.model_copy(update={"pool_size": 99})) == 99
