"""The Celery app of this process's settings: `celery -A tactics.worker worker`, `… beat`, `… flower`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import structlog
from celery.signals import celeryd_init, setup_logging, worker_process_shutdown, worker_ready

from tactics import metrics
from tactics.celery_app import TacticsApp, create_app
from tactics.config import Settings
from tactics.flows import register
from tactics.logs import configure_logs
from tactics.runtime import Runtime

log = structlog.get_logger()
# Gone with this process.
_folders: list[TemporaryDirectory[str]] = []


def make_app(settings: Settings, open_runtime: Callable[[Settings], Runtime] = Runtime.open) -> TacticsApp:
    """Make an app with everything registered.

    Args:
        settings: as for `create_app`.
        open_runtime: as for `create_app`.
    """
    app = create_app(settings, open_runtime)
    register(app)
    return app


def celery_command(*arguments: str) -> list[str]:
    """Give the command line of a Celery program on this module's app, to be run as a process."""
    return [sys.executable, "-m", "celery", "-A", "tactics.worker", *arguments]


def worker_command(
    *,
    name: str,
    processes: int,
    queues: Sequence[str] = (),
    log_level: str = "INFO",
) -> list[str]:
    """Give a worker's command line.

    Args:
        name: the worker's name among all, as `name@host`; `%h` is this machine's.
        processes: of its pool.
        queues: what it works on; none is all: the usual ones, and those that plugins' processors declare.
        log_level: the least that it logs.
    """
    return celery_command(
        "worker",
        f"--hostname={name}",
        f"--concurrency={processes}",
        *([f"--queues={','.join(queues)}"] if queues else []),
        f"--loglevel={log_level}",
        "--task-events",
        # Workers need nothing of each other, and are there a second sooner.
        "--without-mingle",
        "--without-gossip",
    )


def beat_command(*, log_level: str = "INFO") -> list[str]:
    """Give beat's command line: the clock of the sweeper. Several do no harm; the sweeper claims what it repeats."""
    return celery_command("beat", f"--loglevel={log_level}")


def _set_up_logging(loglevel: int, **_: Any) -> None:
    configure_logs(loglevel)


def _forget_process(pid: int, **_: Any) -> None:
    metrics.forget_process(pid)


def _count_together(settings: Settings) -> None:
    """Let a worker keep what it and its pool count where any of them can tell it, and serve that where it is wanted."""
    port = settings.worker_metrics_port

    def keep(**_: Any) -> None:
        if settings.metrics_dir:
            metrics.keep_in(settings.metrics_dir)
        elif port:
            _folders.append(TemporaryDirectory(prefix="tactics-metrics-", ignore_cleanup_errors=True))
            metrics.keep_in(_folders[0].name)

    def serve(**_: Any) -> None:
        try:
            metrics.serve(settings.worker_metrics_host, port)
        except OSError as error:  # no reason to leave the work undone
            log.error("metrics_not_served", port=port, error=str(error))  # noqa: TRY400  # as above

    # Sent to workers alone, and before they have a pool.
    celeryd_init.connect(keep, weak=False)
    worker_process_shutdown.connect(_forget_process)
    if port:
        worker_ready.connect(serve, weak=False)


def __getattr__(name: str) -> TacticsApp:
    """Make `app` when Celery asks for it, so that importing this module needs no database."""
    if name != "app":
        raise AttributeError(name)
    settings = Settings()
    settings.require_servers("celery -A tactics.worker")
    setup_logging.connect(_set_up_logging)
    _count_together(settings)
    globals()["app"] = app = make_app(settings)
    return app
