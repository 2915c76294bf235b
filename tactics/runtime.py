"""Composition root: database, Redis, gateways and clock of one process, built once and replaced as one in tests."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import redis
from psycopg.errors import LockNotAvailable
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from tactics.config import Settings
from tactics.domain.activity import TacticsActivity
from tactics.errors import Busy, UnreadableActivity
from tactics.gateways.benefits import HttpBenefits
from tactics.gateways.local import LocalAssets, LocalItems, LocalRecall, LocalUsers
from tactics.gateways.outbound import Outbound
from tactics.gateways.ports import AssetGateway, BenefitGateway, ItemGateway, RecallGateway, UserGateway
from tactics.store import activities, audit_log
from tactics.store.db import autocommitting, make_engine

ACTIVITIES_KEPT = 20_000
ACTOR = "tactics"
"""Who does what nobody asked for: workers, beat, the API on its own account."""
_NOW = text("SELECT now()")
_PATIENCE = text("SELECT set_config('lock_timeout', :patience, true)")


@dataclass
class Breaker:
    """Remembers for a moment that something did not answer, so that nobody waits for it again at every step."""

    pause_s: float = 1.0
    _until: float = 0.0

    def trip(self) -> None:
        """It did not answer."""
        self._until = time.monotonic() + self.pause_s

    @property
    def tripped(self) -> bool:
        """Whether to go on without it."""
        return time.monotonic() < self._until


@dataclass(frozen=True)
class Gateways:
    """The outer systems that steps talk to; `outbound` is the way to those whose addresses operators typed in."""

    items: ItemGateway
    users: UserGateway
    assets: AssetGateway
    recall: RecallGateway
    benefits: BenefitGateway
    outbound: Outbound


@dataclass(frozen=True)
class Runtime:
    """What code that does I/O receives. Open it after a fork, never before.

    `shared` keeps what modules have read and may use again, by name; each says itself when its part is out of date.
    `actor` is who asks for what is changed through it, `request_id` the request they do it by, for the audit log;
    `patience_ms` is how long such a change waits for locks, None is without end.
    """

    settings: Settings
    engine: Engine
    redis: redis.Redis
    gateways: Gateways
    assets_engine: Engine | None = None
    close_recall: Callable[[], None] | None = None
    redis_breaker: Breaker = field(default_factory=Breaker)
    recall_breaker: Breaker = field(default_factory=Breaker)
    shared: dict[str, object] = field(default_factory=dict)
    actor: str = ACTOR
    request_id: str | None = None
    patience_ms: int | None = None
    _activities: OrderedDict[tuple[str, int], TacticsActivity] = field(default_factory=OrderedDict)

    def acting_as(self, actor: str, request_id: str | None = None, *, patience_ms: int | None = None) -> Runtime:
        """Give this runtime, with the same connections, for changes that somebody else asks for."""
        return replace(self, actor=actor, request_id=request_id, patience_ms=patience_ms)

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Open a transaction for changes that the audit log tells of, in the actor's name.

        Other transactions need not say whose they are: their connections do, for the whole process.

        Raises:
            Busy: somebody else kept for longer than `patience_ms` what is to be changed; the transaction is taken back.
        """
        try:
            with self.engine.begin() as conn:
                audit_log.act_as(conn, self.actor, self.request_id)
                if self.patience_ms is not None:
                    conn.execute(_PATIENCE, {"patience": f"{self.patience_ms}ms"})
                yield conn
        except OperationalError as error:
            if self.patience_ms is None or not isinstance(error.orig, LockNotAvailable):
                raise
            raise Busy("somebody else is changing the same at this moment: ask again") from error

    @classmethod
    def open(cls, settings: Settings, actor: str = ACTOR) -> Runtime:
        """Build the runtime that the settings describe; nothing connects before its first use.

        Args:
            settings: where the servers are, and sizes.
            actor: who does what this process does, unless somebody else asks for it.
        """
        engine = make_engine(
            settings.database_url,
            pool_size=settings.pool_size,
            actor=actor,
            # Somebody who vanished in the middle of a segment must not keep its rows for hours.
            idle_in_transaction_ms=2_000 * settings.lease_s,
        )
        assets_engine = make_engine(
            settings.database_url,
            pool_size=settings.pool_size,
            statement_timeout_ms=settings.assets_timeout_ms,
            autocommit=True,
        )
        recall, close_recall = _open_recall(settings)
        outbound = Outbound.from_settings(settings)
        gateways = Gateways(
            LocalItems(), LocalUsers(), LocalAssets(assets_engine), recall, HttpBenefits(outbound), outbound
        )
        client = connect_redis(settings.redis_url, settings.redis_timeout_ms / 1000)
        return cls(settings, engine, client, gateways, assets_engine, close_recall, actor=actor)

    def now(self, conn: Connection, event_at: datetime | None = None) -> datetime:
        """Give the business time of a run: the database's, or in replay the event's own."""
        if self.settings.replay and event_at is not None:
            return event_at
        found: datetime = conn.execute(_NOW).scalar_one()
        return found.astimezone(UTC)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection for single reads: each statement is a transaction of its own, and costs one round trip."""
        with self.engine.connect() as conn, autocommitting(conn):
            yield conn

    def activity(self, code: str, version: int) -> TacticsActivity:
        """Give a version of an activity; versions never change, so the last used ones are kept.

        Raises:
            NotFound: there is no such version.
            UnreadableActivity: it was saved in a form that this process does not know.
        """
        key = (code, version)
        try:
            self._activities.move_to_end(key)
            return self._activities[key]
        except KeyError:
            try:
                with self.reading() as conn:
                    found = activities.load(conn, code, version)
            except ValidationError as error:
                raise UnreadableActivity(
                    f"version {version} of activity {code!r} cannot be read here: was it saved by a newer Tactics, or with a plugin that"
                    " is not loaded here?"
                ) from error
            self._activities[key] = found
            if len(self._activities) > ACTIVITIES_KEPT:
                self._activities.popitem(last=False)
            return found

    def close(self) -> None:
        """Give connections back."""
        self.engine.dispose()
        if self.assets_engine is not None:
            self.assets_engine.dispose()
        if self.close_recall is not None:
            self.close_recall()
        self.gateways.outbound.close()
        self.redis.close()


def _open_recall(settings: Settings) -> tuple[RecallGateway, Callable[[], None]]:
    """Give who recalls items, and what closes it."""
    if settings.recall_url:
        from tactics.gateways.http import HttpRecall

        asked = HttpRecall(settings.recall_url, settings.recall_timeout_ms / 1000)
        return asked, asked.close
    engine = make_engine(
        settings.database_url,
        pool_size=settings.pool_size,
        statement_timeout_ms=settings.recall_timeout_ms,
        autocommit=True,
    )
    return LocalRecall(engine), engine.dispose


def connect_redis(url: str, timeout_s: float) -> redis.Redis:
    """Make a client that fails fast: one attempt of `timeout_s` seconds, for a lost reply must not lock twice."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 0),
    )
