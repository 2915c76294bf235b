"""Finds the servers that a command works with: those that are set, else those of a running `tactics up`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tactics.errors import BadInput, NotConfigured

if TYPE_CHECKING:
    from tactics.config import Settings
    from tactics.runtime import Runtime

_at_end: ContextVar[ExitStack] = ContextVar("at_end")


@contextmanager
def command() -> Iterator[None]:
    """Run a command: what `runtime` opens meanwhile is closed when it ends."""
    with ExitStack() as stack:
        token = _at_end.set(stack)
        try:
            yield
        finally:
            _at_end.reset(token)


def settings() -> Settings:
    """Give the settings, with the addresses of a running `tactics up` where none are set.

    Raises:
        BadInput: a setting in the environment has a wrong value.
        NotConfigured: nothing is set and nothing runs, or only one of the two servers is set.
    """
    found = _from_environment()
    if not found.database_url and not found.redis_url:
        return _of_running(found)
    found.require_servers("tactics")
    return found


def database_url() -> str:
    """Give the database's address alone, for a command that needs no Redis.

    Raises:
        BadInput: a setting in the environment has a wrong value.
        NotConfigured: nothing is set and nothing runs.
    """
    found = _from_environment()
    return found.database_url or _of_running(found).database_url


def runtime() -> Runtime:
    """Open the runtime; it is closed when the command ends.

    Raises:
        BadInput: a setting in the environment has a wrong value.
        NotConfigured: nothing is set and nothing runs.
    """
    from sqlalchemy.exc import ArgumentError

    from tactics.runtime import Runtime

    found = settings()
    try:
        opened = Runtime.open(found)
    except ArgumentError as error:
        raise BadInput(f"TACTICS_DATABASE_URL is no address of a database: {error}") from error
    except ValueError as error:
        raise BadInput(f"TACTICS_REDIS_URL is no address of a Redis: {error}") from error
    _at_end.get().callback(opened.close)
    return opened


def _from_environment() -> Settings:
    from pydantic import ValidationError

    from tactics.config import Settings

    try:
        return Settings()
    except ValidationError as error:
        problems = [
            {"path": "TACTICS_" + str(item["loc"][0]).upper(), "message": item["msg"]}
            for item in error.errors(include_url=False)
        ]
        text = "; ".join(f"{problem['path']}: {problem['message']}" for problem in problems)
        raise BadInput(text, problems=problems) from None


def _of_running(found: Settings) -> Settings:
    from tactics.embedded import attached

    servers = attached(found.home)
    if servers is None:
        raise NotConfigured(
            "there are no servers to work with: set TACTICS_DATABASE_URL and TACTICS_REDIS_URL to a Postgres and a Redis "
            f"of yours, or start them on this machine with `tactics up` (none runs in {found.home}).",
            missing=["TACTICS_DATABASE_URL", "TACTICS_REDIS_URL"],
        )
    return found.model_copy(update={"database_url": servers.database_url, "redis_url": servers.redis_url})
