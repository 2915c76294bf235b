"""Composition root: database, Redis, gateways and clock of one process, built once and replaced as one in tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Connection, Engine, text

from tactics.config import Settings
from tactics.gateways.local import LocalAssets, LocalItems, LocalUsers
from tactics.gateways.ports import AssetGateway, ItemGateway, UserGateway
from tactics.store.db import make_engine

REDIS_TIMEOUT_S = 2.0
_NOW = text("SELECT now()")


@dataclass(frozen=True)
class Gateways:
    """The outer systems that steps talk to."""

    items: ItemGateway
    users: UserGateway
    assets: AssetGateway


@dataclass(frozen=True)
class Runtime:
    """What code that does I/O receives. Open it after a fork, never before."""

    settings: Settings
    engine: Engine
    redis: redis.Redis
    gateways: Gateways
    caches: dict[str, object] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings) -> Runtime:
        """Build the runtime that the settings describe; nothing connects before its first use."""
        engine = make_engine(settings.database_url, pool_size=settings.pool_size)
        assets_engine = make_engine(
            settings.database_url,
            pool_size=settings.pool_size,
            statement_timeout_ms=settings.assets_timeout_ms,
            autocommit=True,
        )
        gateways = Gateways(items=LocalItems(), users=LocalUsers(), assets=LocalAssets(assets_engine))
        return cls(settings, engine, connect_redis(settings.redis_url), gateways)

    def now(self, conn: Connection, event_at: datetime | None = None) -> datetime:
        """Give the business time of a run: the database's, or in replay the event's own."""
        if self.settings.replay and event_at is not None:
            return event_at
        found: datetime = conn.execute(_NOW).scalar_one()
        return found.astimezone(UTC)

    def close(self) -> None:
        """Give connections back."""
        self.engine.dispose()
        self.redis.close()


def connect_redis(url: str) -> redis.Redis:
    """Make a client that fails fast: one short attempt, for a lost reply must not take a lock twice."""
    return redis.Redis.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 0),
    )
