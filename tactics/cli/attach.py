"""Finds the servers that a command works with: those that are set, else those of a running `tactics up`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tactics.errors import BadInput, NotConfigured

if TYPE_CHECKING:
    from tactics.celery_app import TacticsApp
    from tactics.config import Settings
    from tactics.plugin import Plugin
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
    found = from_environment()
    if not found.database_url and not found.redis_url:
        return _of_running(found)
    return configured("tactics")


def configured(command: str) -> Settings:
    """Give the settings for a command that never falls back on servers of this machine.

    Args:
        command: how to call it in errors.

    Raises:
        BadInput: a setting in the environment has a wrong value.
        NotConfigured: the address of a server is missing.
    """
    found = from_environment()
    found.require_servers(command)
    _check_address(found.database_url)
    return found


def database_url() -> str:
    """Give the database's address alone, for a command that needs no Redis.

    Raises:
        BadInput: a setting in the environment has a wrong value.
        NotConfigured: nothing is set and nothing runs.
    """
    found = from_environment()
    if not found.database_url:
        return _of_running(found).database_url
    _check_address(found.database_url)
    return found.database_url


def runtime() -> Runtime:
    """Open the runtime; it is closed when the command ends.

    Raises:
        BadInput: a setting in the environment has a wrong value.
        NotConfigured: nothing is set and nothing runs.
    """
    return _opened(settings())


def app() -> TacticsApp:
    """Make the Celery app of this command; it sends events, and answers placements in this process.

    The broker is tried once: a person waits, and what is committed is not lost.

    Raises:
        BadInput: a setting in the environment has a wrong value.
        NotConfigured: nothing is set and nothing runs.
    """
    import structlog

    from tactics.chain import prepare_app
    from tactics.worker import make_app

    # The command says itself what went wrong; what it does not know of goes to standard error.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _at_end.get().callback(structlog.reset_defaults)
    made = make_app(settings(), _opened)
    made.conf.broker_transport_options = {**made.conf.broker_transport_options, "max_retries": 0}
    prepare_app(made)
    _at_end.get().callback(made.close)
    return made


def _opened(found: Settings) -> Runtime:
    from tactics.runtime import Runtime

    try:
        opened = Runtime.open(found, actor=who())
    except ValueError as error:
        raise BadInput(f"TACTICS_REDIS_URL is no address of a Redis: {error}") from error
    _at_end.get().callback(opened.close)
    return opened


def who() -> str:
    """Give what the audit log calls whoever runs this command."""
    import getpass
    import os

    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a user without a name, as in some containers
        return f"cli:{os.getuid()}"


def plugins() -> list[Plugin]:
    """Load the plugins, for a command that reads rules but makes no app.

    Raises:
        BadInput: a setting in the environment has a wrong value.
        InvalidPlugin: one cannot be loaded.
    """
    from tactics.plugin import load_plugins

    return load_plugins(from_environment())


def from_environment() -> Settings:
    """Read the settings, whatever they are good for.

    Raises:
        BadInput: a setting in the environment has a wrong value.
    """
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


def _check_address(url: str) -> None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(url)
    except ArgumentError as error:
        raise BadInput(
            "TACTICS_DATABASE_URL is no address such as postgresql://user:password@host:5432/name"
        ) from error


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
