"""Everything on this machine: servers from wheels, the schema, and a supervised worker, beat and Flower."""

from __future__ import annotations

import fcntl
import http.client
import json
import logging
import os
import secrets
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kombu.exceptions import OperationalError

from tactics import embedded, metrics
from tactics.celery_app import TacticsApp
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.embedded.home import LOOPBACK, is_free, made
from tactics.errors import BadInput, Conflict, TacticsError
from tactics.store.db import make_engine
from tactics.store.migrate import upgrade_in_use
from tactics.supervisor import Supervisor, last_lines
from tactics.worker import beat_command, make_app, worker_command

logger = logging.getLogger(__name__)

FLOWER_PORT = 5555
FLOWER_USER = "tactics"
_PORTS_TRIED = 100
_READY_S = 120.0
_REPLY_S = 0.25
_TICK_S = 0.05
_LOOK_S = 1.0


class AlreadyRunning(Conflict):
    """Tactics is already running in this home."""

    code = "already_running"


class NotReady(TacticsError):
    """A process of Tactics did not become ready."""

    code = "not_ready"


@dataclass(frozen=True, slots=True)
class Flower:
    """Where Flower is, on this machine alone, and who may look."""

    port: int
    user: str
    password: str

    @property
    def url(self) -> str:
        """Its address for a browser."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def secret(self) -> str:
        """User and password as HTTP sends them, after the word `Basic`."""
        return b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Local:
    """A whole Tactics that runs on this machine. `app` is prepared to send events and answer placements from here."""

    settings: Settings
    app: TacticsApp
    supervisor: Supervisor
    servers: embedded.Servers
    flower: Flower | None
    api: str | None
    durable: bool
    notify: Callable[[str], None]

    def wait(self) -> None:
        """Wait for as long as everything stays up; servers that ended meanwhile are started again.

        Raises:
            EmbeddedError: a server does not start again.
            NotReady: it did, but at another address, which the others do not know.
            SupervisorError: another process does not stay up.
        """
        while not self.supervisor.wait(_LOOK_S):
            if gone := embedded.missing(self.servers.home):
                self._start_again(gone)

    def _start_again(self, gone: Sequence[str]) -> None:
        names, home = " and ".join(gone), self.servers.home
        logs = ", ".join(str(home / f"{name.lower()}.log") for name in gone)
        self.notify(f"{names} ended and is started again; see {logs}.")
        found = embedded.start(home, durable=self.durable)
        if found != self.servers:
            raise NotReady(f"{names} runs again, but on another port: somebody took the old one. Start again.")
        self.notify(f"{names} runs again.")


@contextmanager
def running_locally(
    home: Path | None = None,
    *,
    durable: bool,
    flower: bool,
    port: int | None = None,
    api: bool = False,
    api_port: int | None = None,
    notify: Callable[[str], None] = logger.warning,
    **overrides: Any,
) -> Iterator[Local]:
    """Run everything on this machine for a while: it is ready when this yields, and stopped when the block ends.

    Args:
        home: the folder for data and logs; None for a new temporary one, removed at the end.
        durable: False trades what survives a power cut for speed.
        flower: whether to run Flower.
        port: Flower's; None for 5555, or the next free one.
        api: whether to run the API.
        api_port: the API's; None for TACTICS_API_PORT, or the next free one.
        notify: gets a sentence whenever a process or server is restarted or given up.
        overrides: settings, by their names in `Settings`, for this process and the others.

    Raises:
        AlreadyRunning: somebody else does so in the same home.
        EmbeddedError: the servers do not start or stop.
        NotReady: the worker, the API or Flower runs, but does not answer.
        SupervisorError: a process does not stay up.
    """
    with _alone(home), embedded.running(home, durable=durable) as servers:
        settings = Settings(
            **{
                **overrides,
                "database_url": servers.database_url,
                "redis_url": servers.redis_url,
                "home": servers.home,
                "metrics_dir": str(metrics.emptied(servers.home / "metrics")),
            }
        )
        _migrate(settings)
        app = make_app(settings)
        prepare_app(app)
        try:
            with Supervisor(notify=notify) as supervisor:
                shown = _start(supervisor, app, _choose_port(port, FLOWER_PORT) if flower else None)
                served = None
                if api:
                    chosen = _choose_port(api_port, settings.api_port, "--api-port")
                    if chosen != (api_port or settings.api_port):
                        notify(f"port {settings.api_port} is taken: the API answers on {chosen} instead.")
                    served = _start_api(supervisor, settings, chosen)
                yield Local(settings, app, supervisor, servers, shown, served, durable, notify)
        finally:
            app.runtime.close()
            app.close()


@contextmanager
def _alone(home: Path | None) -> Iterator[None]:
    """Hold the home's mark: one Tactics runs in it at a time. The system lets go of it when we die."""
    if home is None:
        yield
        return
    with (made(home) / "tactics.pid").open("a+") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mark.seek(0)
            pid = mark.read().strip() or "unknown"
            raise AlreadyRunning(f"Tactics is already running in {home} (process {pid}).", home=str(home)) from None
        mark.truncate(0)
        mark.write(str(os.getpid()))
        mark.flush()
        yield


def _migrate(settings: Settings) -> None:
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        upgrade_in_use(engine)
    finally:
        engine.dispose()


def _start(supervisor: Supervisor, app: TacticsApp, flower_port: int | None) -> Flower | None:
    settings = app.settings
    env, home = _environment(settings), settings.home
    name = f"tactics@{socket.gethostname()}"
    worker = worker_command(name=name, processes=settings.worker_processes)
    supervisor.start("worker", worker, env, restart=True, log=home / "worker.log")
    supervisor.start("beat", beat_command(), env, restart=True, log=home / "beat.log")
    flower = None
    if flower_port is not None:
        flower = Flower(flower_port, FLOWER_USER, _password(home / "flower.password"))
        command = [sys.executable, "-m", "tactics.flower", f"--address={LOOPBACK}", f"--port={flower_port}"]
        # Not on the command line, which every account of this machine can read.
        flower_env = {**env, "FLOWER_BASIC_AUTH": f"{flower.user}:{flower.password}"}
        supervisor.start("flower", command, flower_env, restart=True, log=home / "flower.log")
    _until(supervisor, "worker", lambda: _worker_answers(supervisor, app, name))
    if flower is not None:
        _until(supervisor, "flower", lambda: _flower_answers(flower))
    return flower


def _start_api(supervisor: Supervisor, settings: Settings, port: int) -> str:
    """Run the API, for this machine alone until it has a key; gives its address once it answers."""
    command = [sys.executable, "-m", "tactics.cli", "api", "--host", LOOPBACK, "--port", str(port)]
    supervisor.start("api", command, _environment(settings), restart=True, log=settings.home / "api.log")
    _until(supervisor, "api", lambda: _answers(port, "/healthz", {}))
    return f"http://{LOOPBACK}:{port}"


def _environment(settings: Settings) -> dict[str, str]:
    """Give our children our own environment, with these settings and no others."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("TACTICS_", "FLOWER_"))}
    for name, value in settings.model_dump(mode="json").items():
        text = value if isinstance(value, str) else ",".join(value) if isinstance(value, list) else json.dumps(value)
        ours[f"TACTICS_{name.upper()}"] = text
    return ours


def _password(file: Path) -> str:
    """Give the password kept in a file that only its owner can read; choose one where there is none."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(secrets.token_hex(12))
    except FileExistsError:
        file.chmod(0o600)
    return file.read_text().strip()


def _choose_port(port: int | None, usual: int, option: str = "--port") -> int:
    if port is not None:
        if not is_free(port):
            raise BadInput(f"port {port} is taken: choose another with {option}", port=port)
        return port
    found = next((one for one in range(usual, usual + _PORTS_TRIED) if is_free(one)), None)
    if found is None:
        raise BadInput(f"no port from {usual} to {usual + _PORTS_TRIED - 1} is free: choose one with {option}")
    return found


def _until(supervisor: Supervisor, name: str, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + _READY_S
    while not ready():
        supervisor.check()
        if time.monotonic() > until:
            log = supervisor.statuses()[name].log
            raise NotReady(f"'{name}' does not answer after {_READY_S:.0f} s. Its log {log} ends:\n{last_lines(log)}")
        time.sleep(_TICK_S)


def _worker_answers(supervisor: Supervisor, app: TacticsApp, name: str) -> bool:
    """Tell whether the worker takes commands, and with them tasks. One of an earlier, killed run may answer too."""
    try:
        replies = app.control.broadcast("stats", destination=[name], reply=True, timeout=_REPLY_S, limit=1) or []
    except (OperationalError, OSError):
        return False
    pid = supervisor.statuses()["worker"].pid
    return any(stats.get("pid") == pid for reply in replies for stats in reply.values())


def _flower_answers(flower: Flower) -> bool:
    return _answers(flower.port, "/healthcheck", {"Authorization": f"Basic {flower.secret}"})


def _answers(port: int, path: str, headers: dict[str, str]) -> bool:
    """Tell whether a server of ours answers well."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
