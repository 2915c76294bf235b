"""What is under chaos: Tactics, by its own programs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from tactics.config import Settings
from tactics.domain.api_key import NewApiKey
from tactics.domain.webhook import NewEndpoint
from tactics.embedded.home import free_port
from tactics.flows import api_key, provider, setup, webhook
from tactics.runtime import Runtime
from tactics.store.db import make_engine
from tactics.store.migrate import upgrade
from tests.chaos import history
from tests.chaos.house import Member
from tests.chaos.program import BROKEN, VISIBILITY
from tests.chaos.scene import Script, documents
from tests.chaos.servers import Servers
from tests.chaos.shape import Shape
from tests.provider.fixtures import Simulated

WALLET = "wallet"
_UNENDED = """
    SELECT (SELECT count(*) FROM event WHERE next_attempt_at IS NOT NULL)
        + (SELECT count(*) FROM execution WHERE next_attempt_at IS NOT NULL)
        + (SELECT count(*) FROM grant_record WHERE state IN ('pending', 'unknown'))
        + (SELECT count(*) FROM webhook_delivery WHERE next_attempt_at IS NOT NULL)
"""


@dataclass
class Ways:
    """The ports at which the proxy stands before the servers."""

    postgres: int = field(default_factory=free_port)
    valkey: int = field(default_factory=free_port)


class Tactics:
    """Tactics as a system under chaos."""

    program = "tests.chaos.program"

    def __init__(
        self, shape: Shape, home: Path, ways: Ways, outside: Simulated, listener: str, broken: str | None = None
    ) -> None:
        """Know how much, and where."""
        self.shape, self.home, self.ways, self.broken = shape, home, ways, broken
        self.outside, self.listener = outside, listener
        self.key = ""
        self.ports = [free_port() for _ in range(shape.apis)]

    def prepare(self, servers: Servers, script: Script) -> list[dict[str, Any]]:
        """Make schema, watching triggers and activities; gives these."""
        engine = make_engine(servers.database_url, pool_size=1)
        with engine.begin() as conn:
            upgrade(conn)
        engine.dispose()
        with connected(servers.database_url) as plain:
            history.watch(plain)
            if self.broken is not None:
                from tests.chaos import broken

                broken.prepare(self.broken, plain)
        made = documents(script, self.shape, WALLET)
        settings = Settings(database_url=servers.database_url, redis_url=servers.redis_url, home=servers.home)
        runtime = Runtime.open(settings.model_copy(update=self._outbound()))
        provider.save(runtime, self._provider())
        webhook.add_webhook(runtime, NewEndpoint(f"{self.listener}/told"))
        setup.import_activities(runtime, made, publish=True)
        scopes = ("events:write", "placements:call", "grants:operate")
        self.key = api_key.create(runtime, NewApiKey("chaos", scopes)).key
        runtime.close()
        return made

    def members(self, servers: Servers) -> list[Member]:
        """Give the processes that there should be. Of workers and of APIs, the last runs each step by a message of its own."""
        env = self._environment(servers)
        hopping = {**env, "TACTICS_IN_PLACE": "false"}
        last = {self.shape.workers - 1, self.shape.apis - 1}
        workers = [
            Member(
                f"worker-{one}",
                "worker",
                ("worker", f"w{one}", str(self.shape.pool)),
                env if one not in last else hopping,
            )
            for one in range(self.shape.workers)
        ]
        apis = [
            Member(f"api-{one}", "api", ("api", str(port)), env if one not in last else hopping)
            for one, port in enumerate(self.ports)
        ]
        return [*workers, *apis, Member("beat", "beat", ("beat",), env)]

    def _outbound(self) -> dict[str, tuple[str, ...]]:
        return {"outbound_hosts": (self.outside.hosts, self.listener), "outbound_networks": ("127.0.0.0/8",)}

    def _provider(self) -> dict[str, Any]:
        grants = f"{self.outside.base}/grants"
        urls = {"url": grants, "look_up_url": f"{grants}/{{idempotency_id}}", "list_url": grants}
        return {"name": WALLET, **urls, "timeout_ms": 500, "remembers_s": 3_600}

    def unended(self, conn: psycopg.Connection[Any]) -> int:
        """Count what has not ended."""
        found = conn.execute(_UNENDED).fetchone()
        return int(found[0]) if found else 0

    def _environment(self, servers: Servers) -> Mapping[str, str]:
        settings = {
            "database_url": make_url(servers.database_url).set(port=self.ways.postgres).render_as_string(False),
            "redis_url": make_url(servers.redis_url).set(port=self.ways.valkey).render_as_string(False),
            "home": self.home,
            "task_time_limit_s": self.shape.task_time_limit_s,
            "lease_s": self.shape.lease_s,
            "claim_s": self.shape.claim_s,
            "retry_base_s": 0.1,
            "retry_max_s": 2.0,
            "webhook_retry_base_s": 0.2,
            "webhook_retry_max_s": 2.0,
            "webhook_timeout_ms": 1000,
            "sweep_every_s": 0.5,
            # What a message does must fit into its time, which is shrunk.
            "batch_size": 10,
            "max_attempts": 200,
            "placement_deadline_ms": 1500,
            "redis_timeout_ms": 300,
            "api_threads": 4,
            "pool_size": 4,
            "learn_recall_every_s": 30,
            **{name: ",".join(value) for name, value in self._outbound().items()},
        }
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TACTICS_")}
        chaos = {VISIBILITY: str(self.shape.visibility_timeout_s), **({BROKEN: self.broken} if self.broken else {})}
        return {**plain, **chaos, **{f"TACTICS_{name.upper()}": str(value) for name, value in settings.items()}}


def connected(url: str) -> psycopg.Connection[Any]:
    """Connect to the database directly, as nothing under chaos does."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def ready(ports: Sequence[int]) -> bool:
    """Tell whether every API answers."""
    import http.client

    for port in ports:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status != http.HTTPStatus.OK:
                return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
    return True
