"""What is loaded: `tactics api` and the baselines, each a process, over one durable Postgres and one Valkey of their own.

Workers and beat run only where a measure says so.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tactics import embedded
from tactics.celery_app import TacticsApp
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.domain.api_key import NewApiKey
from tactics.embedded.home import LOOPBACK, free_port
from tactics.flows import api_key, setup
from tactics.store.db import make_engine
from tactics.store.migrate import upgrade
from tactics.supervisor import Supervisor
from tactics.worker import beat_command, make_app, worker_command
from tests.bench import scene
from tests.bench.api import asked, bare
from tests.bench.stage import MeasureFailed, until

TACTICS = [sys.executable, "-c", "from tactics.cli import main; main()"]
_READY_S, _GRACE_S = 60.0, 2.0
# From small partial indexes: looking often costs little.
_UNFINISHED = """
    SELECT (SELECT count(*) FROM event WHERE next_attempt_at IS NOT NULL)
        + (SELECT count(*) FROM execution WHERE next_attempt_at IS NOT NULL)
"""


@dataclass
class Served:
    """The servers, an app in this process to look with, and the ports of what was started."""

    settings: Settings
    app: TacticsApp
    supervisor: Supervisor
    env: Mapping[str, str]
    key: str
    """An API key that may send events and call placements."""
    ports: dict[str, int] = field(default_factory=dict)

    def start_api(self) -> int:
        """Start `tactics api`; gives its port once it answers."""
        port = free_port()
        self._start("api", [*TACTICS, "api", "--host", LOOPBACK, "--port", str(port)])
        return self._ready("api", port)

    def start_bare(self, form: str) -> int:
        """Start a form of the baseline; gives its port once it answers."""
        port = free_port()
        url = self.settings.database_url.replace("postgresql+psycopg://", "postgresql://")
        module = [sys.executable, "-m", "tests.bench.api.bare"]
        self._start(f"bare_{form}", [*module, "--form", form, "--url", url, "--port", str(port)])
        return self._ready(f"bare_{form}", port)

    def start_all(self, processes: int) -> None:
        """Start `tactics api`, a worker of so many processes and beat, and wait for all of them."""
        self._start("worker", worker_command(name="bench@%h", processes=processes, log_level="WARNING"))
        self._start("beat", beat_command(log_level="WARNING"))
        self.start_api()
        until(self._worker_answers, "the worker to answer")

    def until_done(self) -> None:
        """Wait until every event and execution has ended.

        Raises:
            MeasureFailed: they do not.
        """
        until(self._is_done, "the events to be worked on")

    def _is_done(self) -> bool:
        self.supervisor.check()
        return not self.value(_UNFINISHED)

    def pid(self, name: str) -> int:
        """Give the process of what was started."""
        found = self.supervisor.statuses()[name].pid
        if found is None:
            raise MeasureFailed(f"{name} is not running")
        return found

    def cpu_s(self, name: str) -> float:
        """Give the processor seconds that a process has used."""
        fields = Path(f"/proc/{self.pid(name)}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self, name: str) -> float:
        """Give a process's resident memory."""
        status = Path(f"/proc/{self.pid(name)}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024

    def value(self, query: str, **params: Any) -> Any:
        """Ask the database for one value."""
        with self.app.runtime.engine.connect() as conn:
            return conn.execute(text(query), params).scalar_one()

    def run_sql(self, *statements: str) -> None:
        """Change the database."""
        with self.app.runtime.engine.begin() as conn:
            for one in statements:
                conn.execute(text(one))

    def _start(self, name: str, command: Sequence[str]) -> None:
        log = self.settings.home / f"{name}.log"
        self.supervisor.start(name, command, self.env, restart=False, log=log)

    def _ready(self, name: str, port: int) -> int:
        until(lambda: self._answers(port), f"{name} to answer", _READY_S)
        self.ports[name] = port
        return port

    def _answers(self, port: int) -> bool:
        self.supervisor.check()
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/openapi.json")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def _worker_answers(self) -> bool:
        self.supervisor.check()
        return bool(self.app.control.ping(timeout=0.5, limit=1))


@contextmanager
def serving(home: Path | None = None, *, durable: bool = True, **settings: Any) -> Iterator[Served]:
    """Run Postgres and Valkey, migrated and with the benchmark's activities; nothing else is started yet.

    Args:
        home: the folder for data and logs; None for a new temporary one.
        durable: whether a commit waits for the disk.
        settings: by their names in `Settings`, for this process and those that are started.
    """
    with embedded.running(home, durable=durable) as servers:
        found = {"database_url": servers.database_url, "redis_url": servers.redis_url, "home": servers.home}
        made = Settings(**{**settings, **found})
        _migrate(made)
        with served_over(made) as served:
            yield served


@contextmanager
def served_over(settings: Settings) -> Iterator[Served]:
    """Use a migrated database and a Redis that are there; processes that were started end when this does."""
    app = make_app(settings)
    prepare_app(app)
    try:
        setup.import_activities(app.runtime, [scene.document(), asked.activity()], publish=True)
        key = api_key.create(app.runtime, NewApiKey("bench", ("events:write", "placements:call"))).key
        with Supervisor(grace_s=_GRACE_S) as supervisor:
            yield Served(settings, app, supervisor, _environment(settings), key)
    finally:
        app.runtime.close()
        app.close()


def _migrate(settings: Settings) -> None:
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with engine.begin() as conn:
            upgrade(conn)
            conn.execute(text(bare.SCHEMA))
    finally:
        engine.dispose()


def _environment(settings: Settings) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TACTICS_")}
    for name, value in settings.model_dump(mode="json").items():
        told = value if isinstance(value, str) else ",".join(value) if isinstance(value, list) else json.dumps(value)
        env[f"TACTICS_{name.upper()}"] = told
    return env
