"""What is counted while things happen, for Prometheus; docs/reference/metrics.md lists it.

Counting costs a few microseconds and never fails. Nothing is made before something is counted, so that importing this
opens no files and reads no settings. Where `keep_in` was called, counts are in files of a folder, and whoever gives them
gives the sum over all processes that keep theirs there; else each process has its own. Labels have few values: codes of
activities only on what is rare and capped, ids of users never.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Literal, Protocol

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
"""What stands for the values of an open label past the most that are told apart."""

_LIVE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")
_LOG = logging.getLogger(__name__)
_making = Lock()
_said: list[bool] = []
FAMILIES: list[Family] = []


class Source(Protocol):
    """What else is told when somebody asks, read at that moment."""

    def collect(self) -> Iterable[Any]:
        """Give prometheus_client's metrics."""
        ...


class Family:
    """One name under which things are counted, a number for each combination of its labels' values."""

    kind: ClassVar[str]

    def __init__(self, name: str, text: str, *labels: str, open_label: str | None = None, most: int = 200) -> None:
        """Declare it.

        Args:
            name: as Prometheus will know it.
            text: what it counts, for people.
            labels: their names, in the order in which values are given.
            open_label: the one whose values are not ours, such as codes of activities.
            most: how many combinations are told apart in a process; then the open label's value is `other`.
        """
        self.name, self.text, self.labels, self.most = name, text, labels, most
        self._open = labels.index(open_label) if open_label else None
        self._children: dict[tuple[str, ...], Any] = {}
        self._metric: Any = None
        FAMILIES.append(self)

    def made(self) -> Any:
        """Give prometheus_client's metric, made at the first call."""
        with _making:
            if self._metric is None:
                import prometheus_client

                prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
                self._metric = self._make(prometheus_client)
            return self._metric

    def collect(self) -> Iterable[Any]:
        """Give what this process has counted."""
        found: Iterable[Any] = self.made().collect()
        return found

    def _make(self, client: Any) -> Any:
        raise NotImplementedError

    def _child(self, labels: tuple[str, ...]) -> Any:
        found = self._children.get(labels)
        return self._new_child(labels) if found is None else found

    def _new_child(self, labels: tuple[str, ...]) -> Any:
        if self._open is not None and len(self._children) >= self.most:
            labels = (*labels[: self._open], OTHER, *labels[self._open + 1 :])
            if labels in self._children:
                return self._children[labels]
        metric = self.made()
        self._children[labels] = found = metric.labels(*labels) if labels else metric
        return found


class Counter(Family):
    """How often something happened."""

    kind = "counter"

    def _make(self, client: Any) -> Any:
        return client.Counter(self.name, self.text, self.labels, registry=None)

    def count(self, *labels: str, by: int = 1) -> None:
        """Count, `by` times at once; nothing at all where it is 0."""
        if by:
            try:
                self._child(labels).inc(by)
            except OSError as error:
                _not_counted(error)


class Histogram(Family):
    """How long something took, in seconds."""

    kind = "histogram"

    def __init__(self, name: str, text: str, *labels: str, buckets: Sequence[float], **options: Any) -> None:
        """Declare it, with the upper bounds in which durations are counted, in seconds."""
        super().__init__(name, text, *labels, **options)
        self._buckets = buckets

    def _make(self, client: Any) -> Any:
        return client.Histogram(self.name, self.text, self.labels, registry=None, buckets=self._buckets)

    def observe(self, seconds: float, *labels: str) -> None:
        """Count a duration."""
        try:
            self._child(labels).observe(seconds)
        except OSError as error:
            _not_counted(error)


class Running(Family):
    """How much of something is going on at this moment, over all processes that live."""

    kind = "gauge"

    def _make(self, client: Any) -> Any:
        return client.Gauge(self.name, self.text, self.labels, registry=None, multiprocess_mode="livesum")

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one more while the block runs."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        try:
            self._child(()).inc(by)
        except OSError as error:
            _not_counted(error)


class Level(Family):
    """What something is at this moment; nothing is told of it before it is known.

    `over` says what the processes that live come to together: the sum of theirs, or the greatest.
    """

    kind = "gauge"

    def __init__(self, name: str, text: str, *, over: Literal["sum", "max"]) -> None:
        """Declare it."""
        super().__init__(name, text)
        self._over = over

    def collect(self) -> Iterable[Any]:
        """Give what it is in this process, if it is known here."""
        if self._metric is not None:
            return super().collect()
        from prometheus_client.metrics_core import Metric

        return [Metric(self.name, self.text, self.kind)]

    def _make(self, client: Any) -> Any:
        return client.Gauge(self.name, self.text, registry=None, multiprocess_mode=f"live{self._over}")

    def set(self, value: float) -> None:
        """Say what it is now."""
        try:
            self._child(()).set(value)
        except OSError as error:
            _not_counted(error)


def _not_counted(error: OSError) -> None:
    """Say once that the folder cannot be written to; what is counted goes on."""
    if not _said:
        _said.append(True)
        _LOG.error("nothing can be counted in %s: %s", os.environ.get(_FOLDER), error.strerror)


_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)

EVENTS = Counter("tactics_events_total", "Events handed in: accepted, duplicate or rejected.", "type", "outcome")
EVENTS_REFUSED = Counter(
    "tactics_events_refused_total",
    "Events of requests that failed as a whole, by the error's code: overloaded: none was accepted; others: sent again.",
    "code",
)
INBOX_WAITING = Level(
    "tactics_inbox_waiting_events", "Events that the API has taken and not committed yet.", over="sum"
)
INBOX_REFUSING = Level(
    "tactics_inbox_refusing",
    "Processes of the API that take no events, for more than TACTICS_MAX_BACKLOG wait to be routed.",
    over="sum",
)
EVENTS_ROUTED = Counter("tactics_events_routed_total", "Events routed, those that rules gave here too.", "type")
ROUTING_LAG = Histogram(
    "tactics_routing_lag_seconds", "From an event's acceptance to its routing.", "type", buckets=_LAG
)
EXECUTIONS = Counter(
    "tactics_executions_total", "Executions that ended, by outcome.", "link", "outcome", open_label="outcome"
)
GRANTS = Counter(
    "tactics_grants_total",
    "What placements came to where a benefit was to be given.",
    "activity",
    "outcome",
    open_label="activity",
)
TRIPS = Counter(
    "tactics_activity_trips_total",
    "Times that an activity paused itself, by the limit per minute that it met.",
    "activity",
    "limit",
    open_label="activity",
)
STEP_FAILURES = Counter(
    "tactics_step_failures_total", "Steps that failed; most are tried again.", "step", open_label="step"
)
FALLBACKS = Counter(
    "tactics_fallbacks_total",
    "Answered or prepared without something: assets_unknown, no_redis, prepared_rebuilt, no_recall.",
    "what",
)
LOCK_WAITS = Counter(
    "tactics_lock_waits_total", "Met an instance at work: by its lease, or by its row in the database.", "lock"
)
PLACEMENT_SECONDS = Histogram(
    "tactics_placement_seconds",
    "Placements answered: ok, deadline, busy, overloaded, refused or error.",
    "outcome",
    buckets=_QUICK,
)
PROVIDER_CALLS = Counter(
    "tactics_provider_calls_total",
    "Calls of outer systems: ok, timeout, unreachable or bad_answer; of benefit providers what their answer says.",
    "provider",
    "outcome",
    open_label="provider",
)
PROVIDER_SECONDS = Histogram(
    "tactics_provider_seconds",
    "How long outer systems took to answer.",
    "provider",
    open_label="provider",
    buckets=_QUICK,
)
PROVIDER_HELD_BACK = Counter(
    "tactics_provider_held_back_total",
    "Calls of benefit systems that wait: breaker, it does not answer; limit, enough are under way.",
    "provider",
    "why",
)
GRANTS_SETTLED = Counter(
    "tactics_grants_asked_total",
    "Answers of benefit systems, by what they made of the grant: granted, refused, pending, unknown, parked or gone.",
    "provider",
    "state",
)
GRANTS_CONTRADICTED = Counter(
    "tactics_grants_contradicted_total",
    "Definite answers of benefit systems that are not what the grant was closed with: somebody has to look.",
    "provider",
)
WEBHOOK_DELIVERIES = Counter(
    "tactics_webhook_deliveries_total",
    "Attempts to deliver a notice to a webhook: delivered; failed, it is tried again; parked, given up on.",
    "outcome",
)
SWEEPS = Counter("tactics_sweeps_total", "Runs of the sweeper.")
SWEPT = Counter(
    "tactics_swept_total",
    "What the sweeper published again or reconciled: events, executions, grants, webhooks, reconciled.",
    "what",
)
PARKED = Counter("tactics_parked_total", "Given up on after the last attempt: event, execution or grant.", "what")
TASKS_RUNNING = Running("tactics_tasks_running", "Messages that pool processes work on at this moment.")
REQUESTS = Counter(
    "tactics_http_requests_total",
    "Answers of the API, by the route's template; (gate): refused before they were begun, more were inside than can be.",
    "route",
    "method",
    "status",
)
REQUEST_SECONDS = Histogram(
    "tactics_http_request_seconds", "How long the API took to answer.", "route", "method", buckets=_QUICK
)
REQUESTS_RUNNING = Running("tactics_http_requests_running", "Requests that the API answers at this moment.")
KEYS_FAILURES = Counter("tactics_keys_read_failures_total", "Times that the API keys could not be read.")
KEYS_READ_AT = Level(
    "tactics_keys_read_timestamp_seconds",
    "When the API keys were last read, in Unix time, by the process that did so last. Known keys let in for 300 s more.",
    over="max",
)

# What the grant's step may come to; any other outcome of a placement was decided before it.
_OF_GRANTS = frozenset({"granted", "reused", "replayed", "pending", "sold_out", "limit", "holdout"})


def execution_ended(link: str, activity: str, outcome: str) -> None:
    """Count an execution that ended, and the grant that it came to."""
    EXECUTIONS.count(link, outcome)
    if link == "grant" and outcome in _OF_GRANTS:
        GRANTS.count(activity, outcome)


def keep_in(folder: str | Path) -> None:
    """Keep the counts of this process and of its children in a folder, before anything is counted.

    Processes that share it share their process numbers too: those of one machine, or of one container.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.environ[_FOLDER] = str(folder)
    # It reads that when it is imported, which somebody may have done: Celery's command line does so for Flower.
    from prometheus_client import values

    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


def emptied(folder: Path) -> Path:
    """Give a folder to keep counts in, without those of processes that ended long ago."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)
    return folder


def forget_process(pid: int) -> None:
    """Let go of what a process that ended says is going on in it. What it has counted stays."""
    folder = os.environ.get(_FOLDER)
    for file in Path(folder).glob(f"gauge_live*_{pid}.db") if folder else ():
        file.unlink(missing_ok=True)


def shown(*more: Source) -> bytes:
    """Give everything that was counted, in Prometheus' text format.

    Args:
        more: what else there is to say.
    """
    from prometheus_client import generate_latest

    return generate_latest(_registry(more))


def serve(host: str, port: int) -> Callable[[], None]:
    """Serve what was counted over HTTP, from a thread of this process, to whoever can reach the address.

    Returns:
        What ends it.

    Raises:
        OSError: the address is taken, or not this machine's.
    """
    from prometheus_client import start_http_server

    server, thread = start_http_server(port, host, _registry(()))

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def _registry(more: Sequence[Source]) -> Any:
    from prometheus_client import CollectorRegistry, values

    found = CollectorRegistry(auto_describe=False)
    for source in (_OfFolder() if values.ValueClass._multiprocess else _OfProcess(), *more):  # noqa: SLF001  # the library decides it when it is imported
        found.register(source)
    return found


class _OfProcess:
    """The counts of this process."""

    def collect(self) -> Iterator[Any]:
        for family in FAMILIES:
            yield from family.collect()


class _OfFolder:
    """The counts of all processes that keep them in the folder; names that were not counted yet are there too."""

    def collect(self) -> Iterator[Any]:
        from prometheus_client import CollectorRegistry
        from prometheus_client.metrics_core import Metric
        from prometheus_client.multiprocess import MultiProcessCollector

        _forget_the_dead()
        counted = {one.name: one for one in MultiProcessCollector(CollectorRegistry()).collect()}  # type: ignore[no-untyped-call]
        for family in FAMILIES:
            name = family.name.removesuffix("_total")
            found = counted.get(name) or Metric(name, family.text, family.kind)
            found.documentation = family.text
            yield found


def _forget_the_dead() -> None:
    """Forget what processes were doing that were killed: they could not say that they end."""
    for file in Path(os.environ[_FOLDER]).iterdir():
        named = _LIVE.fullmatch(file.name)
        if named is None:
            continue
        try:
            os.kill(int(named[1]), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)
        except PermissionError:  # somebody else's, so it lives
            continue
