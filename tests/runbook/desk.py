"""Where incidents are rehearsed: Tactics by its own programs, a benefit system beside it, and the runbook's own commands."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from tactics import embedded
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.domain.api_key import NewApiKey
from tactics.embedded.home import free_port, temporary
from tactics.embedded.postgres import Postgres
from tactics.embedded.server import Server
from tactics.embedded.valkey import Valkey
from tactics.flows import api_key, provider, setup
from tactics.store.db import make_engine
from tactics.store.migrate import upgrade
from tactics.supervisor import Supervisor
from tactics.worker import beat_command, make_app, worker_command
from tests.delivery.waiting import until
from tests.docs.blocks import ROOT, Block, blocks, shows
from tests.provider.fixtures import Simulated, simulating
from tests.runbook.spoilt import BROKEN, PAUSE
from tests.runbook.typist import write_command

PAGE = ROOT / "docs" / "runbook.md"
MARK = "rehearsed"
LOCAL, SPOILT, WALLET, BANK = "tea", "styled", "wallet_tea", "bank_tea"
QUICK: Mapping[str, Any] = {
    "claim_s": 2.0,
    "retry_base_s": 0.02,
    "retry_max_s": 0.2,
    "sweep_every_s": 0.1,
    "max_attempts": 8,
    "worker_processes": 2,
    "placement_deadline_ms": 3_000,
    "redis_timeout_ms": 300,
}
_OPEN = """
    SELECT (SELECT count(*) FROM event WHERE next_attempt_at IS NOT NULL)
        + (SELECT count(*) FROM execution WHERE next_attempt_at IS NOT NULL)
        + (SELECT count(*) FROM grant_record WHERE state IN ('pending', 'unknown'))
"""
_TWICE = "SELECT count(*) FROM (SELECT FROM grant_record GROUP BY user_id, activity_code, will_send_count HAVING count(*) > 1) x"


@cache
def steps() -> Mapping[str, tuple[Block, Block | None]]:
    """Give the page's rehearsed blocks by their names, each with what it says that they print."""
    found = [*blocks(PAGE), None]
    told: dict[str, tuple[Block, Block | None]] = {}
    for one, after in pairwise(found):
        if one is not None and one.mark == MARK:
            assert str(one.value) not in told, one.place
            told[str(one.value)] = one, after if after is not None and after.language == "text" else None
    return told


def activity(code: str, **changes: Any) -> dict[str, Any]:
    """Give an activity that gives whoever visits its corner a coupon."""
    return {
        "code": code,
        "template_type": "full_link_v3",
        "schedule": {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"},
        "channels": {"grant": [f"{code}_corner"]},
        "rule": {"so": {"then": [{"block": "pbb.action.send_coupon", "params": {"benefit": "five_off"}}]}},
        "benefits": {"five_off": {"kind": "coupon", "value_minor": 500, "stock": 1000}},
        **changes,
    }


def _given_by(name: str) -> dict[str, Any]:
    return {"five_off": {"kind": "coupon", "value_minor": 500, "stock": 1000, "provider": name}}


@dataclass
class Desk:
    """The servers, the processes, the provider, and somebody on call."""

    settings: Settings
    home: Path
    outside: Simulated
    bank: Simulated
    supervisor: Supervisor
    env: dict[str, str]
    app: Any
    key: str
    port: int
    heard: list[str] = field(default_factory=list)
    """Users to whom a visit of theirs said that they have the benefit."""

    def follow(self, name: str, about: Mapping[str, object] | None = None, *, exit_code: int = 0) -> str:
        """Do what a block of the page says, about something; it ends as said, and prints what the page shows."""
        one, shown = steps()[name]
        about = about or {}
        if one.language == "sql":
            return self._look(one, about)
        env = {**self.env, **{key: str(value) for key, value in about.items()}}
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", one.text],
            cwd=self.home,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == exit_code, f"{one.place} ended with {done.returncode}\n{printed}"
        assert shown is None or shows(printed, shown.text), f"{shown.place} shows something else than\n{printed}"
        return printed

    def _look(self, one: Block, about: Mapping[str, object]) -> str:
        with self.app.runtime.engine.begin() as conn:
            statement = one.text
            for name, value in about.items():
                statement = statement.replace(name, str(value))
            return json.dumps([dict(row) for row in conn.execute(text(statement)).mappings()], default=str)

    def visit(self, user: str, corner: str) -> str:
        """Visit as a user; gives what the activity came to."""
        status, body = self.ask("POST", f"/v1/placements/{corner}_corner", {"user_id": user})
        if status != http.client.OK:
            return str(status)
        part = (body["results"] + body["not_shown"])[0]
        outcome = str(part.get("outcome") or part["reason"])
        if outcome == "granted":
            self.heard.append(user)
        return outcome

    def act(self, user: str, action: str) -> str | None:
        """Hand a user's action in; gives its id where it was accepted."""
        made = f"e-{uuid4()}"
        data = {"user_id": user, "action": action}
        sent = {"specversion": "1.0", "id": made, "source": "rehearsal", "type": "tactics.action", "data": data}
        status, _ = self.ask("POST", "/v1/events", sent, "application/cloudevents+json")
        return made if status == http.client.ACCEPTED else None

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        """Ask the API; 0 where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": kind}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            read = answer.read().decode()
            return answer.status, json.loads(read) if "json" in answer.headers["Content-Type"] else read
        except OSError:
            return 0, None
        finally:
            connection.close()

    def metric(self, line: str) -> float:
        """Give a metric by its name and labels, as `/metrics` writes them; 0 where it is not there."""
        _, said = self.ask("GET", "/metrics")
        return next((float(one.rpartition(" ")[2]) for one in said.splitlines() if one.startswith(f"{line} ")), 0.0)

    def value(self, query: str, **params: Any) -> Any:
        """Ask the database for one value."""
        with self.app.runtime.engine.connect() as conn:
            return conn.execute(text(query), params).scalar_one()

    def run_sql(self, *statements: str, **params: Any) -> None:
        """Change the database, past Tactics."""
        with self.app.runtime.engine.begin() as conn:
            for one in statements:
                conn.execute(text(one), params)

    def load(self, *documents: Mapping[str, Any]) -> None:
        """Publish activities."""
        setup.import_activities(self.app.runtime, documents, publish=True)

    def state_of(self, user: str) -> str:
        """Give the state of a user's newest grant; empty where there is none."""
        query = "SELECT coalesce((SELECT state FROM grant_record WHERE user_id = :user ORDER BY will_send_count DESC LIMIT 1), '')"
        return str(self.value(query, user=user))

    def all_ended(self) -> bool:
        """Tell whether nothing waits for anything."""
        return not self.value(_OPEN)

    def lose(self, server: Server, number: signal.Signals) -> None:
        """End a server at once."""
        pid = server.pid()
        assert pid is not None
        os.kill(pid, number)
        until(lambda: server.pid() is None, "it is gone")

    def bring_back(self) -> None:
        """Start what is gone, at its address: Postgres with its data, Valkey empty."""
        embedded.start(self.home, durable=False)
        self.app.runtime.engine.dispose()

    @property
    def postgres(self) -> Server:
        """The database's server."""
        return Postgres(self.home)

    @property
    def valkey(self) -> Server:
        """The other one."""
        return Valkey(self.home)

    def all_is_well(self) -> None:
        """Nothing is lost, nothing was given twice: here, at the provider, and to whoever was told of it."""
        until(self.all_ended, "everything ends")
        assert self.value(_TWICE) == 0
        effects = self.outside.effects() + self.bank.effects()
        assert {name: many for name, many in effects.items() if many > 1} == {}
        granted = set(
            self.value("SELECT coalesce(array_agg(DISTINCT user_id), '{}') FROM grant_record WHERE state = 'granted'")
        )
        assert set(self.heard) <= granted
        self.follow("audit")

    @contextmanager
    def load_on(self, visit: Callable[[int], object]) -> Iterator[None]:
        """Let visits come all the time, one after the other."""
        over = threading.Event()

        def come() -> None:
            number = 0
            while not over.wait(0.02):
                visit(number)
                number += 1

        thread = threading.Thread(target=come)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def start_worker(self) -> None:
        """Start the worker, and wait until it answers."""
        worker = worker_command(name="rehearsal@%h", processes=2, log_level="INFO")
        self.supervisor.start("worker", worker, self.env, restart=True, log=self.home / "worker.log")
        until(self.worker_answers, "the worker answers")

    def worker_answers(self) -> bool:
        """Tell whether the worker answers, over a connection of its own: others may be from before Redis was lost."""
        with self.app.connection_for_write() as connection:
            return bool(self.app.control.ping(timeout=0.3, limit=1, connection=connection))


@contextmanager
def desk() -> Iterator[Desk]:
    """Start everything, in a home of its own."""
    home = temporary()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        outside, bank = (stack.enter_context(simulating(home / f"{name}.jsonl")) for name in ("wallet", "bank"))
        servers = stack.enter_context(embedded.running(home, durable=False))
        yield stack.enter_context(_opened(home, outside, bank, servers))


@contextmanager
def _opened(home: Path, outside: Simulated, bank: Simulated, servers: embedded.Servers) -> Iterator[Desk]:
    outbound = {"outbound_hosts": (outside.hosts, bank.hosts), "outbound_networks": ("127.0.0.0/8",)}
    for folder in ("metrics", "bin"):
        (home / folder).mkdir()
    addresses = {"database_url": servers.database_url, "redis_url": servers.redis_url, "home": home}
    settings = Settings(**{**QUICK, **outbound, **addresses, "plugins": ("tests.runbook.spoilt",)})
    spoilt = {BROKEN: str(home / "broken"), PAUSE: "1000"}
    env = {**_environment(settings), **spoilt, "TACTICS_METRICS_DIR": str(home / "metrics")}
    os.environ[BROKEN] = env[BROKEN]
    engine = make_engine(settings.database_url, pool_size=1)
    with engine.begin() as conn:
        upgrade(conn)
    engine.dispose()
    app = make_app(settings)
    prepare_app(app)
    try:
        _set_up(app, outside, bank)
        scopes = ("events:write", "placements:call", "audit:read")
        key, port = api_key.create(app.runtime, NewApiKey("on-call", scopes)).key, free_port()
        path = f"{home / 'bin'}{os.pathsep}{env['PATH']}"
        told = {"API": f"http://127.0.0.1:{port}", "KEY": key, "PATH": path}
        with Supervisor(grace_s=2.0, first_delay_s=0.1) as supervisor:
            made = Desk(settings, home, outside, bank, supervisor, {**env, **told}, app, key, port)
            supervisor.start("typist", write_command(home / "bin"), env, restart=False, log=home / "typist.log")
            supervisor.start("beat", beat_command(log_level="WARNING"), env, restart=True, log=home / "beat.log")
            api = [sys.executable, "-m", "tactics.cli", "api", "--host", "127.0.0.1", "--port", str(port)]
            supervisor.start("api", api, env, restart=True, log=home / "api.log")
            made.start_worker()
            until(lambda: made.ask("GET", "/readyz")[0] == http.client.OK, "the API answers")
            until((home / "bin" / "typist").exists, "commands can be typed")
            yield made
    finally:
        del os.environ[BROKEN]
        app.runtime.close()
        app.close()


def _set_up(app: Any, outside: Simulated, bank: Simulated) -> None:
    provider.save(app.runtime, {"name": "wallet", **_urls(outside), "timeout_ms": 500})
    # It cannot be asked by id, and forgets quickly: what outlasts its memory does so here within seconds.
    forgets = {"look_up_url": None, "timeout_ms": 400, "remembers_s": 3}
    provider.save(app.runtime, {"name": "bank", **_urls(bank), **forgets})
    count = {"block": "pbb.resource.behaviour_count", "params": {"action": "like", "window_s": 86_400}}
    liked = {"rule": {"block": "pbb.condition.amount_at_least", "params": {"amount": count, "amount_at": 1}}}
    channels = {"prepare": ["liked"], "grant": [f"{SPOILT}_corner"]}
    documents = [
        activity(LOCAL),
        activity(WALLET, benefits=_given_by("wallet")),
        activity(BANK, benefits=_given_by("bank")),
        activity(SPOILT, template_type="spoilt", channels=channels, behaviour_rules={"liked": liked}),
    ]
    setup.import_activities(app.runtime, documents, publish=True)


def _urls(outside: Simulated) -> dict[str, str]:
    grants = f"{outside.base}/grants"
    return {"url": grants, "look_up_url": f"{grants}/{{idempotency_id}}", "list_url": grants}


def _environment(settings: Settings) -> dict[str, str]:
    """Give the environment of the processes and of whoever types: these settings, and no others."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TACTICS_")}
    for name, value in settings.model_dump(mode="json").items():
        told = value if isinstance(value, str) else ",".join(value) if isinstance(value, list) else json.dumps(value)
        env[f"TACTICS_{name.upper()}"] = told
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    python = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**env, "PATH": path, "PYTHONPATH": python, "COLUMNS": "200"}
