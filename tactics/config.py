"""Settings: the only reader of the environment. Every name is `TACTICS_` + the field in capitals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tactics.errors import NotConfigured

# Postgres does not run as root, and whom it runs as cannot enter root's own home.
ROOT_HOME = Path("/var/lib/tactics")


class Settings(BaseSettings):
    """What can be set from outside. Times end in `_s` (seconds) or `_ms`."""

    model_config = SettingsConfigDict(env_prefix="TACTICS_", frozen=True, extra="ignore")

    database_url: str = Field("", description="Postgres, as postgresql+psycopg://user:password@host:port/name")
    redis_url: str = Field("", description="Redis or Valkey, as redis://:password@host:port/0")
    home: Path = Field(
        default_factory=lambda: ROOT_HOME if os.geteuid() == 0 else Path.home() / ".local" / "share" / "tactics",
        description="Where `tactics up` keeps its servers' data.",
    )
    replay: bool = Field(False, description="Business time is each event's own time; for demos and tests.")
    in_place: bool = Field(True, description="Run a chain's steps where its first step runs; false: publish each step.")
    max_event_age_s: int = Field(7 * 86_400, gt=0, description="Older events are refused (off in replay).")
    max_event_ahead_s: int = Field(300, ge=0, description="Events further in the future are refused (off in replay).")
    batch_size: int = Field(100, gt=0, le=100, description="Most ids in one message.")
    max_attempts: int = Field(25, gt=0, description="After so many attempts an execution or event is parked.")
    asset_wait_attempts: int = Field(
        12,
        gt=0,
        description="So often an event of an asset that is not there yet is tried: a quarter of an hour or so.",
    )
    claim_s: float = Field(120.0, gt=0, description="How long a published attempt has before the sweeper repeats it.")
    retry_base_s: float = Field(0.5, gt=0, description="First wait after a failed or busy attempt; doubles.")
    retry_max_s: float = Field(300.0, gt=0, description="Longest wait after a failed attempt.")
    sweep_every_s: float = Field(1.0, gt=0, description="How often beat looks for what is due.")
    task_time_limit_s: int = Field(60, gt=0, description="A worker's child is killed after so long in one message.")
    lease_s: int = Field(75, gt=0, description="Expiry of the lock on an instance; longer than the time limit.")
    assets_timeout_ms: int = Field(250, gt=0, description="How long the asset query may take at a placement.")
    recall_url: str = Field(
        "", pattern=r"^(https?://.+)?$", description="Who recalls items, by HTTP POST; empty: learnt here from actions."
    )
    recall_timeout_ms: int = Field(150, gt=0, description="How long recall may take; preparation then goes on without.")
    outbound_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts of benefit providers and webhooks that may be called, separated by commas: `host`, `host:port`, `*.suffix`, and"
        " `http://host` where it has to do without TLS; empty: none.",
    )
    outbound_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Private networks in which such a host may be all the same, as CIDR, separated by commas; empty: none.",
    )
    webhook_timeout_ms: int = Field(10_000, gt=0, le=30_000, description="How long a webhook may take to answer.")
    webhook_retry_base_s: float = Field(
        5.0, gt=0, description="First wait after a webhook failed, at most: it is drawn; doubles."
    )
    webhook_retry_max_s: float = Field(14_400.0, gt=0, description="Longest wait before a webhook is tried again.")
    webhook_keep_trying_s: float = Field(
        259_200.0, gt=0, description="So long a webhook is tried before a delivery is parked: three days."
    )
    learn_recall_every_s: float = Field(5.0, gt=0, description="How often beat lets recall learn from new actions.")
    redis_timeout_ms: int = Field(500, gt=0, description="How long Redis may take; placements then go on without it.")
    placement_deadline_ms: int = Field(800, gt=0, description="A placement is answered by then, or given up.")
    placement_deadline_max_ms: int = Field(10_000, gt=0, description="The longest deadline that a caller may ask for.")
    busy_wait_ms: int = Field(100, ge=0, description="How long a placement waits for an instance that is busy.")
    worker_processes: int = Field(2, gt=0, description="Pool processes of `tactics worker`.")
    api_port: int = Field(8470, ge=0, le=65_535, description="Where the API answers; 0 takes a free port.")
    api_threads: int = Field(8, gt=0, description="Placements that one process of the API works on at a time.")
    api_max_requests: int = Field(
        100, gt=0, description="With more requests than these inside, one process of the API says 503 to the next."
    )
    api_max_waiting_events: int = Field(
        5_000, gt=0, description="More events than these, not committed yet, and the API says 503."
    )
    max_backlog: int = Field(
        100_000, ge=0, description="More accepted events than these, not routed yet, and the API says 503; 0: no limit."
    )
    keep_actions_days: int = Field(
        0,
        ge=0,
        description="User actions are dropped, whole months, when they are older and no rule reads them; 0: never.",
    )
    keep_events_days: int = Field(
        0,
        ge=0,
        description="Done events, finished executions, grants of activities that are over, and the outbox are deleted when older; 0: never.",
    )
    keep_audit_log_days: int = Field(
        0, ge=0, description="The audit log is dropped, whole months, when it is older; 0: never."
    )
    pool_size: int = Field(
        10, gt=0, description="Database connections a process keeps; one of the API at least TACTICS_API_THREADS + 12."
    )
    metrics_dir: str = Field(
        "", description="Folder in which this machine's processes keep what they count, so that any tells it all."
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65_535, description="Where a worker serves what is counted, for machines without the API; 0: not."
    )
    worker_metrics_host: str = Field("127.0.0.1", description="The address for TACTICS_WORKER_METRICS_PORT.")

    plugins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Modules that are plugins, separated by commas, beside those that are installed as such."
    )
    plugins_off: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Plugins that are not loaded, by name or module, separated by commas."
    )

    @field_validator("plugins", "plugins_off", "outbound_hosts", "outbound_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    def require_servers(self, command: str) -> None:
        """Refuse to go on without a database and Redis.

        Raises:
            NotConfigured: naming what is missing, so that nobody takes events into a throw-away database by mistake.
        """
        missing = [
            name
            for name, value in (("TACTICS_DATABASE_URL", self.database_url), ("TACTICS_REDIS_URL", self.redis_url))
            if not value
        ]
        if missing:
            raise NotConfigured(
                f"`{command}` needs {' and '.join(missing)}: set them to a Postgres and a Redis of yours, "
                "or try everything on this machine with `tactics up`.",
                missing=missing,
            )

    def out_of_order(self) -> dict[str, float]:
        """Give the times that must rise in this order, by their names, where they do not; empty when all is well.

        Out of order, work is done twice or waits for a lock whose owner is gone; what is stored stays right.
        """
        times = {
            "TACTICS_TASK_TIME_LIMIT_S": float(self.task_time_limit_s),
            "TACTICS_LEASE_S": float(self.lease_s),
            "TACTICS_CLAIM_S": self.claim_s,
        }
        return {} if self.task_time_limit_s < self.lease_s < self.claim_s else times
