"""Celery chains that cost one message: the next step runs where the previous one ran, after it, never inside it.

Celery continues a chain in the tracer of the step that ended, by calling the next task's `apply_async`. That one place
is changed: a step that needs no isolation is kept, and run through its own tracer once the current one returned. So
ids, signals and states stay Celery's. A step that needs isolation (its own queue, limits, or any option that is not
known here) is published as ever: the chain hops. Tried on Celery 5.7; see docs/adr/0002-chains-in-place.md.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from celery import Task, chain
from celery._state import get_current_worker_task
from celery.app.trace import build_tracer
from celery.utils import uuid
from kombu.exceptions import OperationalError

from tactics import metrics
from tactics.celery_app import TacticsApp, failure_shown
from tactics.checking import MOST_STEPS
from tactics.run import Step
from tactics.segment import Segment, StepFailed
from tactics.store.executions import ExecutionRow

log = structlog.get_logger()

TASK_PREFIX = "tactics."
# Options that change nothing about where and when a step runs.
_HARMLESS = frozenset({"priority", "reply_to", "ignore_result", "task_id", "immutable"})
_STRUCTURE = frozenset({"chain", "parent_id", "root_id"})


@dataclass(slots=True)
class _Kept:
    """Steps of one chain that were kept to be run here, in order; `rest` is what Celery is to go on with after them."""

    steps: Sequence[StepTask]
    args: Sequence[Any]
    segment: Segment | None
    execution: ExecutionRow | None
    parent_id: str | None
    root_id: str | None
    rest: list[Any] | None


@dataclass
class Runner:
    """What one delivery runs in place: steps one after another, then their events for Flower in one message."""

    app: TacticsApp
    hostname: str | None = None
    waiting: deque[_Kept] = field(default_factory=deque)
    segment: Segment | None = None
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def keep(
        self,
        steps: Sequence[StepTask],
        args: Sequence[Any],
        *,
        parent: Any = None,
        segment: Segment | None = None,
        execution: ExecutionRow | None = None,
        rest: list[Any] | None = None,
    ) -> None:
        """Keep steps of a chain, to be run once the current task returned.

        What continues a chain comes before chains that have not begun: one segment is open at a time.
        """
        parent_id = parent.id if parent else None
        root_id = (parent.root_id or parent.id) if parent else None
        kept = _Kept(steps, args, segment, execution, parent_id, root_id, rest)
        if segment is None:
            self.waiting.append(kept)
        else:
            self.waiting.appendleft(kept)

    def run_waiting(self) -> None:
        """Run what was kept, and what that keeps, until nothing is left."""
        while self.waiting:
            self._run_steps(self.waiting.popleft())

    def _run_steps(self, kept: _Kept) -> None:
        """Run steps one after another, up to the end of the chain, a failure, or one that does not run here."""
        self.segment = kept.segment
        for position, task in enumerate(kept.steps):
            if position and self.segment is not None and not task.runs_here:
                _hop_and_publish(self.app, self.segment, kept.steps[position - 1].step, kept.steps[position:])
                return
            last = position == len(kept.steps) - 1
            ended_well = self._run(task, kept, kept.rest if last else None)
            if self.segment is None or self.segment.ended:
                return
            if not ended_well:  # not the step, which would have ended it: what Celery does around it
                self.segment.close()
                return

    def _run(self, task: StepTask, kept: _Kept, rest: list[Any] | None) -> bool:
        """Run a step through its tracer.

        Returns:
            Whether it ended well.
        """
        task_id = uuid()
        kept.root_id = kept.root_id or task_id
        request = {
            "id": task_id,
            "root_id": kept.root_id,
            "parent_id": kept.parent_id,
            "chain": rest,
            "retries": 0,
            "is_eager": False,
            "headers": {},
            "correlation_id": task_id,
            "hostname": self.hostname,
            "delivery_info": {},
            "runner": self,
            "segment": self.segment,
            "execution": kept.execution,
        }
        if self.hostname is None:
            _, info, _, _ = task.tracer(task_id, kept.args, {}, request)
        else:
            info = self._run_noted(task, task_id, kept, request)
        kept.parent_id = task_id
        return info is None

    def _run_noted(self, task: StepTask, task_id: str, kept: _Kept, request: dict[str, Any]) -> Any:
        """Run it, and note for Flower what Celery says of a task that a worker receives."""
        named = {"name": task.name, "args": repr(tuple(kept.args)), "kwargs": "{}", "retries": 0}
        lineage = {"root_id": kept.root_id, "parent_id": kept.parent_id, "eta": None}
        self._note(task_id, "task-received", **named, **lineage)
        self._note(task_id, "task-started")
        started = time.perf_counter()
        _, info, _, _ = task.tracer(task_id, kept.args, {}, request)
        runtime = time.perf_counter() - started
        if info is None:
            self._note(task_id, "task-succeeded", result="None", runtime=runtime)
        else:
            shown = failure_shown(repr(info.retval))
            self._note(task_id, "task-failed", exception=shown, traceback="", runtime=runtime)
        return info

    def _note(self, task_id: str, kind: str, **fields: Any) -> None:
        self.events.append((kind, {"uuid": task_id, "timestamp": time.time(), **fields}))

    def send_events(self) -> None:
        """Tell Flower about the steps that ran here, in one message. Nothing depends on its arrival."""
        if not self.events or not self.app.conf.worker_send_task_events:
            return
        try:
            with self.app.events.default_dispatcher(hostname=self.hostname) as dispatcher:
                dispatcher.buffer_group, dispatcher.buffer_limit = {"task"}, len(self.events) + 1
                for kind, fields in self.events:
                    dispatcher.send(kind, Event=_event, **fields)
                dispatcher.flush()
        except Exception as error:  # noqa: BLE001  # Redis' own errors come through, and what is committed stays
            log.warning("task_events_not_sent", count=len(self.events), error=str(error))
        self.events.clear()


def _event(kind: str, *, clock: int, **fields: Any) -> dict[str, Any]:  # noqa: ARG001  # see below
    # A pool process's logical clock is its own: without it the receiver orders events as they come in, step after step.
    return {**fields, "type": kind}


class TacticsTask(Task):  # type: ignore[misc]  # Celery ships no types
    """The base of all tasks: a delivery runs its task, and then everything that this kept to be run here."""

    abstract = True
    ignore_result = True
    typing = True
    throws = (StepFailed,)
    Request, Strategy = "tactics.celery_app:TacticsRequest", "tactics.celery_app:strict"
    tracer: Any = None

    @property
    def __trace__(self) -> Any:
        """What Celery calls to run a delivered task."""
        return self.tracer and self._deliver

    @__trace__.setter
    def __trace__(self, tracer: Any) -> None:
        self.tracer = tracer

    def _deliver(self, task_id: str, args: Sequence[Any], kwargs: dict[str, Any], request: dict[str, Any]) -> Any:
        runner = Runner(self.app, request.get("hostname"))
        with metrics.TASKS_RUNNING.one():
            try:
                outcome = self.tracer(task_id, args, kwargs, {**request, "runner": runner})
                runner.run_waiting()
            finally:  # a time limit may strike between two steps
                if runner.segment is not None:
                    runner.segment.close()
        runner.send_events()
        return outcome


class StepTask(TacticsTask):
    """A processor as a Celery task; `isolated` when it was declared with its own queue or limits."""

    abstract = True
    isolated = False
    step: Any = None

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        task_id: str | None = None,
        **options: Any,
    ) -> Any:
        """Keep the step where it continues a chain that runs here; otherwise hop: commit, then publish."""
        parent = get_current_worker_task()
        request = parent.request if parent is not None else None
        segment: Segment | None = request.get("segment") if request is not None else None
        continues = segment is not None and options.get("parent_id") == request.id  # type: ignore[union-attr]
        if not continues or segment is None or request is None:
            return super().apply_async(args, kwargs, task_id=task_id, **options)
        # What follows an isolated step goes back: it has nothing to do with that step's workers and limits.
        link, rest = segment.run.execution.link, options.get("chain") or []
        if not parent.isolated and self.runs_here and _asks_nothing(options, link):
            following = self._following(rest, args, link)
            steps, rest = ([self], rest) if following is None else ([self, *following], [])
            request.runner.keep(steps, args or (), parent=request, segment=segment, rest=rest)
            return None
        _hop(self.app, segment, parent.step, self.name.removeprefix(TASK_PREFIX))
        return super().apply_async(args, kwargs, task_id=task_id, **options)

    @property
    def runs_here(self) -> bool:
        """Whether it may run where the step before it ran."""
        return self.app.settings.in_place and not self.isolated

    def _following(self, rest: Sequence[Any], args: Sequence[Any] | None, link: str) -> list[StepTask] | None:
        """Give the steps of a chain's rest, which Celery has with the last one first; None: something is odd about it."""
        steps = []
        for one in reversed(rest):
            task = self.app.tasks.get(one["task"])
            if not isinstance(task, StepTask) or list(one["args"]) != list(args or ()):
                return None
            if not _asks_nothing(one["options"], link):
                return None
            steps.append(task)
        return steps


def _asks_nothing(options: dict[str, Any], link: str) -> bool:
    """Tell whether the options ask for nothing but what the step's declaration and link say."""
    asked = {name: value for name, value in options.items() if value and name not in _HARMLESS | _STRUCTURE}
    return asked in ({}, {"queue": link})


def _hop(app: TacticsApp, segment: Segment, last: Step, next_step: str) -> None:
    """Write down where the execution goes on. What cannot be written is a failure of the step that was run last."""
    try:
        segment.suspend(next_step)
    except Exception as error:  # noqa: BLE001  # as whatever a step raises
        raise segment.fail(last, error) from None
    except BaseException:
        segment.close()
        raise
    send_owed(app, segment)


def send_owed(app: TacticsApp, segment: Segment) -> None:
    """Publish what a segment that has committed owes. What cannot be published now, the sweeper publishes."""
    owed, segment.run.owed = segment.run.owed, []
    for name, args in owed:
        try:
            app.tasks[name].apply_async(args, retry=False)
        except (OperationalError, OSError) as error:
            log.warning("not_published", task=name, error=str(error))


def _hop_and_publish(app: TacticsApp, segment: Segment, last: Step, rest: Sequence[StepTask]) -> None:
    """Go on elsewhere. What cannot be published now, the sweeper publishes."""
    row = segment.run.execution
    try:
        _hop(app, segment, last, rest[0].step.name)
        publish_chain(app, [task.step for task in rest], row, segment.run.attempt)
    except StepFailed:
        return  # recorded
    except (OperationalError, OSError) as error:
        log.warning("not_published", execution=str(row.id), error=str(error))


def prepare_app(app: TacticsApp) -> None:
    """Make an app ready to start chains in this process, without being a worker.

    Somebody waits for its answers: what cannot be published at once is left to the sweeper.
    """
    app.conf.task_publish_retry = False
    app.finalize()
    app.set_default()
    for name, task in app.tasks.items():
        task.__trace__ = build_tracer(name, task, app=app)


def _signatures(app: TacticsApp, steps: Sequence[Step], row: ExecutionRow, attempt: int) -> list[Any]:
    """Give the steps as signatures; those that do not choose a queue of their own go to the link's."""
    if len(steps) > MOST_STEPS:
        raise ValueError(f"a chain has at most {MOST_STEPS} steps, this one has {len(steps)}")
    found = []
    for step in steps:
        name = TASK_PREFIX + step.name
        signature = app.tasks[name].si(str(row.id), attempt)
        found.append(signature if name in app.conf.task_routes else signature.set(queue=row.link))
    return found


def publish_chain(app: TacticsApp, steps: Sequence[Step], row: ExecutionRow, attempt: int) -> None:
    """Publish the first of `steps`, with the rest as its chain. The message carries ids only."""
    chain(*_signatures(app, steps, row, attempt)).apply_async()


def start_chain(app: TacticsApp, steps: Sequence[Step], row: ExecutionRow) -> None:
    """Start a chain: in the running delivery, after the current task, where that is possible; else by a message."""
    current = get_current_worker_task()
    runner = current.request.get("runner") if current is not None else None
    if runner is None or steps[0].isolated or not app.settings.in_place:
        publish_chain(app, steps, row, row.attempts)
        return
    runner.keep(_tasks(app, steps), (str(row.id), row.attempts), execution=row)


def _tasks(app: TacticsApp, steps: Sequence[Step]) -> list[StepTask]:
    return [app.tasks[TASK_PREFIX + step.name] for step in steps]


def run_here(app: TacticsApp, segment: Segment) -> None:
    """Run the chain of an open segment in this process, up to its end or its first hop. Needs `prepare_app`.

    What a step raised is recorded; who waits for the answer finds it.
    """
    run, steps = segment.run, _tasks(app, segment.steps)
    try:
        if not steps[0].runs_here:
            _hop_and_publish(app, segment, segment.steps[0], steps)
            return
        runner = Runner(app)
        runner.keep(steps, (str(run.execution.id), run.attempt), segment=segment)
        runner.run_waiting()
    except BaseException:
        segment.close()
        raise
