"""What went wrong, in terms of what the person at the keyboard can do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from tactics.errors import BadInput, DatabaseDown, InvalidPlugin, NotConfigured, NotFound, RedisDown, TacticsError

USAGE = 2
FAILURE = 1
_SCHEMA = frozenset({"UndefinedTable", "UndefinedColumn", "UndefinedFunction"})


class NoSchema(TacticsError):
    """The database lacks the tables that this version of Tactics works with: run `tactics db upgrade`."""

    code = "no_schema"


def exit_code(error: TacticsError) -> int:
    """Give 2 for what the caller can put right by asking differently, 1 for everything else."""
    return USAGE if isinstance(error, BadInput | InvalidPlugin | NotFound | NotConfigured) else FAILURE


def explain(error: BaseException) -> TacticsError | None:
    """Turn an error that people can do something about into one of ours; None for a bug."""
    if isinstance(error, TacticsError):
        return error
    # What was never imported cannot have been raised; importing it here would make every failure slow.
    for module, turn in _TURNS.items():
        if module in sys.modules and (found := turn(error)):
            return found
    return None


def _of_database(error: BaseException) -> TacticsError | None:
    from sqlalchemy import exc

    if isinstance(error, exc.DBAPIError):
        if type(error.orig).__name__ in _SCHEMA:
            return NoSchema()
        if isinstance(error, exc.OperationalError):
            return DatabaseDown(f"the database failed: {str(error.orig).strip().splitlines()[0]}")
    if isinstance(error, exc.TimeoutError):
        return DatabaseDown("no connection to the database came free in time")
    return None


def _of_rules(error: BaseException) -> TacticsError | None:
    from tactics.rules import RuleError

    if isinstance(error, RuleError):
        return TacticsError(f"a rule cannot be read here: {error}. Is its plugin loaded? `tactics plugins` lists them")
    return None


def _of_servers(error: BaseException) -> TacticsError | None:
    from tactics.embedded import EmbeddedError
    from tactics.supervisor import SupervisorError

    return TacticsError(str(error)) if isinstance(error, EmbeddedError | SupervisorError) else None


def _of_redis(error: BaseException) -> TacticsError | None:
    import redis

    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return RedisDown(f"cannot reach Redis: {error}")
    return RedisDown(f"Redis refused: {error}") if isinstance(error, redis.RedisError) else None


_TURNS: Mapping[str, Callable[[BaseException], TacticsError | None]] = {
    "sqlalchemy": _of_database,
    "tactics.rules": _of_rules,
    "tactics.embedded": _of_servers,
    "redis": _of_redis,
}
