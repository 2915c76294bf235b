"""`tactics worker` and `tactics beat`: the processes of an installation. They take the place of this one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tactics.config import Settings

LogLevel = Annotated[str, typer.Option("--log-level", "-l", help="DEBUG, INFO, WARNING or ERROR.")]


def worker(
    queues: Annotated[
        str,
        typer.Option(
            "--queues",
            "-Q",
            help="What to work on, separated by commas. Default: prepare, grant, ops, provider, webhooks, and the queues of plugins' steps.",
        ),
    ] = "",
    processes: Annotated[
        int | None,
        typer.Option("--concurrency", "-c", min=1, help="Pool processes. Default: TACTICS_WORKER_PROCESSES."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Its name among all workers; %h is this machine's. Default: tactics-PID@%h."),
    ] = None,
    log_level: LogLevel = "INFO",
) -> None:
    """Run a worker: it routes events, prepares, and finishes what was interrupted. Start as many as you need."""
    from tactics.cli import attach

    settings = attach.configured("tactics worker")
    from tactics.plugin import load_plugins
    from tactics.worker import worker_command

    load_plugins(settings)  # what is wrong with one is said here, not by Celery in a traceback
    _warn(settings)

    _become(
        worker_command(
            name=name or f"tactics-{os.getpid()}@%h",
            processes=processes or settings.worker_processes,
            queues=[queue.strip() for queue in queues.split(",") if queue.strip()],
            log_level=log_level,
        )
    )


def beat(log_level: LogLevel = "INFO") -> None:
    """Run the clock that wakes the sweeper up: whatever was lost on the way is found and done. One is enough."""
    from tactics.cli import attach

    settings = attach.configured("tactics beat")
    from tactics.worker import beat_command

    settings.home.mkdir(parents=True, exist_ok=True)  # it keeps its schedule there
    _become(beat_command(log_level=log_level))


def _warn(settings: Settings) -> None:
    times = settings.out_of_order()
    if times:
        import structlog

        from tactics.logs import configure_logs

        configure_logs()
        structlog.get_logger(__name__).warning("settings_out_of_order", wanted=" < ".join(times), **times)


def _become(command: list[str]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    # One process less: signals and exit code are Celery's own.
    os.execv(command[0], command)  # noqa: S606  # our own interpreter
