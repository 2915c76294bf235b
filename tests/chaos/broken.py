"""Builds of Tactics with one protection taken out: the checker has to catch each, or its silence says nothing.

`apply` changes a forked process after Tactics is imported and before anything is made of it; `prepare` changes the
migrated database. Both are looked up by the name that TACTICS_CHAOS_BROKEN has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import psycopg
from sqlalchemy import Connection, text

_CALM: Mapping[str, Any] = MappingProxyType(
    {
        "kills": 0,
        "stops": 0,
        "cuts": 0,
        "dropped_replies": 0,
        "stalls": 0,
        "valkey_kills": 0,
        "flushes": 0,
        "postgres_stops": 0,
        "clock_jumps": 0,
        "events": 200,
        "users": 60,
        "placements": 200,
        "seconds": 6.0,
    }
)
_STOCK_CONDITION = "(remaining IS NULL OR remaining >= p_needed[n])"


def _nothing() -> None:
    """Change nothing here."""


def _leave_epochs() -> None:
    """Let no segment begin a new epoch: whoever was overtaken never hears of it."""
    from tactics.store import instances, segments
    from tactics.store.statement import Statement

    for module, name in ((instances, "_BUMP"), (segments, "_BEGIN")):
        sql = getattr(module, name).sql
        assert "epoch = instance.epoch + 1" in sql
        setattr(module, name, Statement(sql.replace("epoch = instance.epoch + 1", "epoch = instance.epoch")))


def _run_any_attempt() -> None:
    """Let a message run whichever attempt it is of."""
    from tactics import opening

    module: Any = opening
    check = module._current

    def any_attempt(row: Any, attempt: int, *rest: Any) -> bool:
        return bool(check(replace(row, attempts=attempt), attempt, *rest))

    module._current = any_attempt


def _sweep_nothing() -> None:
    """Let what lost its message lie."""
    from tactics.flows import sweep

    module: Any = sweep
    module.sweep = lambda _: {}


def _settle_by_epoch() -> None:
    """Settle a grant only under the epoch that reserved it, whatever its own state says."""
    from tactics import settling
    from tactics.store import instances

    settle = settling.settle

    def settle_by_epoch(conn: Connection, found: Any, *args: Any, **options: Any) -> str:
        instance = instances.lock(conn, found.user_id, found.activity_code)
        reserved_under = conn.execute(
            text("SELECT epoch FROM execution WHERE user_id = :user AND id = :id"),
            {"user": found.user_id, "id": found.execution_id},
        ).scalar()
        if instance.epoch != reserved_under:
            return str(found.state)
        return settle(conn, found, *args, **options)

    settling.settle = settle_by_epoch


def _sell_more_than_there_is(connection: psycopg.Connection[Any]) -> None:
    """Take the CHECK away, and the condition under which stock is taken."""
    connection.execute("ALTER TABLE benefit DROP CONSTRAINT ck_benefit_remaining")
    row = connection.execute("SELECT pg_get_functiondef('tactics_grant_benefit'::regproc)").fetchone()
    assert row is not None
    assert _STOCK_CONDITION in row[0]
    connection.execute(row[0].replace(_STOCK_CONDITION, "true"))


def _leave_database(_: psycopg.Connection[Any]) -> None:
    """Change nothing here."""


@dataclass(frozen=True)
class Build:
    """A broken build.

    `why` says what is taken out; `shape` what differs from the short run's where it shows; one at least of the `expected`
    checks has to find something. `apply` changes a process, `prepare` the database.
    """

    why: str
    expected: frozenset[str]
    shape: Mapping[str, Any] = field(default_factory=lambda: _CALM)
    apply: Callable[[], None] = _nothing
    prepare: Callable[[psycopg.Connection[Any]], None] = _leave_database


BUILDS: Mapping[str, Build] = {
    "epoch": Build(
        "no execution begins an epoch of its own",
        frozenset({"epoch_shared", "epoch"}),
        {**_CALM, "stops": 2},
        apply=_leave_epochs,
    ),
    "attempt": Build(
        "a message runs whichever attempt it is of",
        frozenset({"attempt"}),
        # The only worker stands still for longer than claims hold: what waits for it meanwhile is late when it goes on.
        {
            **_CALM,
            "stops": 2,
            "workers": 1,
            "pool": 1,
            "apis": 1,
            "events": 80,
            "users": 40,
            "placements": 120,
            "lease_s": 3,
            "claim_s": 2.0,
            "visibility_timeout_s": 4,
        },
        apply=_run_any_attempt,
    ),
    "sweeper": Build(
        "nothing is swept",
        frozenset({"event_unended", "execution_unended", "execution_missing", "grant_unended"}),
        {**_CALM, "kills": 6, "flushes": 6, "patience_s": 15.0},
        apply=_sweep_nothing,
    ),
    "stock": Build(
        "stock is taken without a condition, and no CHECK holds it",
        frozenset({"stock_negative", "stock_sum"}),
        {**_CALM, "short": 0.6},
        prepare=_sell_more_than_there_is,
    ),
    "settling": Build(
        "an outside grant is settled under the epoch that reserved it alone",
        frozenset({"grant_unended", "provider"}),
        {**_CALM, "users": 20, "placements": 300, "provider_times_out": 0.5, "patience_s": 15.0},
        apply=_settle_by_epoch,
    ),
}


def apply(name: str) -> None:
    """Take the protection out of this process."""
    BUILDS[name].apply()


def prepare(name: str, connection: psycopg.Connection[Any]) -> None:
    """Take the protection out of the database; the connection is one that commits each statement."""
    BUILDS[name].prepare(connection)
