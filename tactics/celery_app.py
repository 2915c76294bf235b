"""The Celery app factory: queues, limits, and how long anything may wait. No app exists at import time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request
from celery.worker.strategy import default as default_strategy
from kombu import Queue

from tactics.broker import use_for_redis
from tactics.config import Settings
from tactics.runtime import Runtime

QUEUES = ("prepare", "grant", "ops")
PUBLISH_TRIES = 60


MASKED = "(…)"
# What these say names steps, signals, limits and servers; any other text may quote what a user sent.
_HARMLESS = frozenset(
    {"StepFailed", "DatabaseDown", "RedisDown", "WorkerLostError", "TimeLimitExceeded", "SoftTimeLimitExceeded"}
)
_PARTS = ("arguments", "named arguments", "options")


def failure_shown(described: str) -> str:
    """Give what monitors may show of a failure: its kind, and its text only where that cannot hold a user's data.

    Args:
        described: the exception's repr.
    """
    kind = described.partition("(")[0]
    return described if kind in _HARMLESS else kind + MASKED


class TacticsRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """A delivery whose failures show what went wrong, and nothing of whom it went wrong for."""

    def send_event(self, kind: str, **fields: Any) -> None:
        """Tell monitors; a traceback ends with the same texts as the failure, and stays in the log."""
        if "exception" in fields:
            fields.update(exception=failure_shown(fields["exception"]), traceback="")
        super().send_event(kind, **fields)


class MaskedRequest(TacticsRequest):
    """A delivery whose arguments show neither in events, logs nor answers to `inspect`: they are a user's data."""

    def __init__(self, message: Any, **kwargs: Any) -> None:
        """Cover what the producer's headers say of the arguments."""
        super().__init__(message, **kwargs)
        self._argsrepr, self._kwargsrepr = MASKED, MASKED
        self._request_dict.update(argsrepr=MASKED, kwargsrepr=MASKED)

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002  # as Celery calls it
        """Describe the delivery; by default Celery would show the arguments themselves."""
        return {**super().info(safe=True), "args": MASKED, "kwargs": MASKED}


def strict(task: Any, app: Any, consumer: Any) -> Callable[..., Any]:
    """Make what a worker does with a task's messages: Celery's own, but for those that no task can be made of.

    Celery refuses some of these; others end the worker, and are handed to the next one.
    """
    receive = default_strategy(task, app, consumer)

    def receive_well_formed(message: Any, body: Any, *rest: Any) -> Any:
        _check_form(message, older=body is not None)
        return receive(message, body, *rest)

    return receive_well_formed


def _check_form(message: Any, *, older: bool) -> None:
    """Raise where a message is not as Celery's protocols want it: worker and log then get over it."""
    payload, limits = message.payload, message.headers.get("timelimit")
    if isinstance(payload, dict) and (older or "args" in payload):  # protocol 1, and what is between 1 and 2
        parts, task_id = [payload.get("args", []), payload.get("kwargs", {}), {}], payload.get("id")
    else:
        parts, task_id = payload, message.headers.get("id")
    if not isinstance(parts, list) or [type(part) for part in parts[:2]] != [list, dict] or len(parts) != len(_PARTS):
        raise InvalidTaskError(f"its body is not {', '.join(_PARTS)}")
    if not isinstance(parts[2], dict | None):
        raise InvalidTaskError("its options are not a mapping")
    if not isinstance(task_id, str):
        raise InvalidTaskError("it has no id")
    if limits is not None and not (isinstance(limits, list) and len(limits) == len(("hard", "soft"))):
        raise InvalidTaskError("its time limits are not a pair")


class TacticsApp(Celery):  # type: ignore[misc]  # Celery ships no types
    """A Celery app that knows its settings and opens its runtime once per process, after the fork."""

    def __init__(self, settings: Settings, open_runtime: Callable[[Settings], Runtime]) -> None:
        """Keep what is needed to open the runtime later."""
        super().__init__("tactics", set_as_current=False)
        self.settings = settings
        self.templates: dict[str, Any] = {}
        self.processors: dict[str, Any] = {}
        self._open_runtime = open_runtime
        self._runtime: tuple[int, Runtime] | None = None

    def send_to(self, task_name: str, queue: str) -> None:
        """Let a task's messages go to a queue, unless its caller chooses another; workers serve it, as they do others."""
        self.conf.task_routes[task_name] = {"queue": queue}
        if queue not in self.served:
            self.conf.task_queues.append(Queue(queue, routing_key=queue))

    @property
    def served(self) -> tuple[str, ...]:
        """The queues that a worker of this app serves where nothing else is asked for."""
        return tuple(one.name for one in self.conf.task_queues)

    @property
    def runtime(self) -> Runtime:
        """This process's database, Redis and gateways."""
        pid = os.getpid()
        if self._runtime is None or self._runtime[0] != pid:
            self._runtime = (pid, self._open_runtime(self.settings))
        return self._runtime[1]


def _learning(settings: Settings) -> dict[str, Any]:
    every_s = settings.learn_recall_every_s
    return {
        "task": "tactics.learn_recall",
        "schedule": every_s,
        "options": {"queue": "ops", "expires": max(every_s, 5)},
    }


def create_app(settings: Settings, open_runtime: Callable[[Settings], Runtime] = Runtime.open) -> TacticsApp:
    """Make the app. Tasks are registered by `tactics.flows.register`.

    Args:
        settings: broker, limits and sizes.
        open_runtime: builds the runtime; tests put their own gateways in here.
    """
    use_for_redis()
    app = TacticsApp(settings, open_runtime)
    limit = settings.task_time_limit_s
    app.conf.update(
        broker_url=settings.redis_url,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=4,
        broker_transport_options={
            # Longer than any message may run, or Redis hands it out twice.
            "visibility_timeout": 10 * limit,
            "socket_timeout": 10,
            "socket_connect_timeout": 4,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # A publisher without a broker hears of it at once, not after six seconds; whether to try again it decides.
            "max_retries": 1,
            "interval_start": 0,
        },
        task_serializer="json",
        result_serializer="json",
        event_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_time_limit=limit,
        task_soft_time_limit=limit - max(1, limit // 10),
        task_queues=[Queue(name, routing_key=name) for name in QUEUES],
        task_default_queue="prepare",
        task_routes={},
        task_create_missing_queues=True,
        task_publish_retry=True,
        task_publish_retry_policy={
            "max_retries": PUBLISH_TRIES,
            "interval_start": 0,
            "interval_step": 0.1,
            "interval_max": limit / (2 * PUBLISH_TRIES),
        },
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.worker_processes,
        worker_send_task_events=True,
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_enable_remote_control=True,
        timezone="UTC",
        enable_utc=True,
        beat_schedule={
            "sweep": {
                "task": "tactics.sweep",
                "schedule": settings.sweep_every_s,
                "options": {"queue": "ops", "expires": max(10 * settings.sweep_every_s, 5)},
            },
            # Nobody asks for what is learnt here when a service recalls.
            **({} if settings.recall_url else {"learn_recall": _learning(settings)}),
        },
        # In memory: one short interval needs no file that remembers it, nor a folder to have one in.
        beat_scheduler="celery.beat:Scheduler",
    )
    return app
