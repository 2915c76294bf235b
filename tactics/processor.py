"""What a processor is: a function with a name, what it needs, and when it applies. As a Celery task, one step.

The article's trio: name is the function's name (the Celery task `tactics.<name>`), validate is `when`, process is the
body::

    @processor(needs=ItemContext, when=lambda ctx: bool(ctx.items))
    def handle_item_promotion(ctx: ItemContext, run: Run) -> None: ...
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded

from tactics.celery_app import TacticsApp
from tactics.chain import TASK_PREFIX, StepTask, send_owed
from tactics.domain.activity import Link
from tactics.domain.context import TacticsInstanceContext
from tactics.errors import TacticsError
from tactics.opening import open_stored
from tactics.run import AS_SET, Retry, Run
from tactics.segment import Segment

Ctx = TypeVar("Ctx", bound=TacticsInstanceContext)
_RATE = re.compile(r"^\d+(\.\d+)?(/[smh])?$")
_NAME = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)+$")


class InvalidProcessor(TacticsError):
    """A processor is declared in a way that cannot work."""

    code = "invalid_processor"


class TookTooLong(TacticsError):
    """A step ran into its time limit."""

    code = "took_too_long"
    retryable = True


@dataclass(frozen=True)
class Processor(Generic[Ctx]):
    """One step that templates put into their chains. Declare it with `@processor`."""

    name: str
    function: Callable[[Ctx, Run], None]
    needs: type[Ctx]
    when: Callable[[Ctx], bool] | None = None
    always: bool = False
    saves: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    retry: Retry = AS_SET
    after: tuple[str, ...] = ()
    link: Link | None = None

    @property
    def isolated(self) -> bool:
        """Tell whether it has to run by a message of its own."""
        return bool(self.options)

    def applies(self, ctx: Any) -> bool:
        """Tell whether it has something to do; the trace says `skipped` otherwise."""
        return self.when is None or self.when(ctx)

    def __call__(self, ctx: Any, run: Run) -> None:
        """Run the body."""
        self.function(ctx, run)


def processor(
    *,
    needs: type[Ctx],
    when: Callable[[Ctx], bool] | None = None,
    always: bool = False,
    saves: bool = False,
    queue: str | None = None,
    time_limit_s: int | None = None,
    rate_limit: str | None = None,
    retry: Retry = AS_SET,
    after: tuple[str, ...] = (),
    link: Link | None = None,
) -> Callable[[Callable[[Ctx, Run], None]], Processor[Ctx]]:
    """Declare a processor.

    Args:
        needs: the context type whose fields the body uses; a template whose context lacks it is refused.
        when: tells from the context whether the step applies.
        always: the step also runs after an earlier one has stopped the chain.
        saves: the step ends what is repeated when prepared data is lost.
        queue: run it on workers of this queue: the chain hops there and back.
        time_limit_s: seconds after which its worker's child is killed: a message of its own.
        rate_limit: Celery's rate limit, such as `10/s`: a message of its own.
        retry: how it is tried again after a failure; the settings say so where nothing is declared.
        after: names of steps that come before this one where a chain has them; another order is refused.
        link: the one link whose chains this step can stand in; None is either.

    Raises:
        InvalidProcessor: the name is not verb_noun, or a limit or the retry policy cannot be kept.
    """
    # Celery refuses a soft limit, here the app's, that is longer than the hard one.
    soft_s = None if time_limit_s is None else max(1, time_limit_s - max(1, time_limit_s // 10))
    given = {"queue": queue, "time_limit": time_limit_s, "soft_time_limit": soft_s, "rate_limit": rate_limit}
    options = {name: value for name, value in given.items() if value is not None}

    def declare(function: Callable[[Ctx, Run], None]) -> Processor[Ctx]:
        name = getattr(function, "__name__", "")
        if not _NAME.match(name):
            raise InvalidProcessor(f"processor {name!r}: name it verb_noun in lower case, such as query_item")
        _check_limits(name, time_limit_s, rate_limit, retry)
        return Processor(name, function, needs, when, always, saves, options, retry, after, link)

    return declare


def _check_limits(name: str, time_limit_s: int | None, rate_limit: str | None, retry: Retry) -> None:
    wrong = [
        text
        for text, holds in (
            ("time_limit_s must be at least 1", time_limit_s is None or time_limit_s >= 1),
            ("rate_limit must be a number, alone or with /s, /m or /h", rate_limit is None or _RATE.match(rate_limit)),
            ("max_attempts must be at least 1", retry.max_attempts is None or retry.max_attempts >= 1),
            ("base_s must not be negative", retry.base_s is None or retry.base_s >= 0),
            ("max_s must not be negative", retry.max_s is None or retry.max_s >= 0),
            ("base_s must not be more than max_s", None in (retry.base_s, retry.max_s) or retry.base_s <= retry.max_s),  # type: ignore[operator]  # neither is None
            ("give_up_on must be a tuple of exception classes", _are_errors(retry.give_up_on)),
        )
        if not holds
    ]
    if wrong:
        raise InvalidProcessor(f"processor {name!r}: {'; '.join(wrong)}")


def _are_errors(given: object) -> bool:
    return isinstance(given, tuple) and all(isinstance(one, type) and issubclass(one, Exception) for one in given)


def register_processor(app: TacticsApp, step: Processor[Any]) -> None:
    """Make a processor a task of the app.

    Raises:
        InvalidProcessor: another processor has this name, or the settings do not allow what it declares.
    """
    name = TASK_PREFIX + step.name
    known = app.tasks.get(name)
    if known is not None:
        if getattr(known, "step", None) is not step:
            raise InvalidProcessor(f"two tasks are called {step.name!r}: rename one")
        return

    def run_step(self: StepTask, execution_id: str, attempt: int) -> None:
        _run_step(self, step, UUID(execution_id), attempt)

    limit_s = step.options.get("time_limit", 0)
    if limit_s >= app.settings.lease_s:
        raise InvalidProcessor(
            f"processor {step.name!r} may run {limit_s} s, but locks fall after {app.settings.lease_s} s:"
            " raise TACTICS_LEASE_S above it"
        )
    most = app.settings.max_attempts
    if (step.retry.max_attempts or 0) > most:
        raise InvalidProcessor(
            f"processor {step.name!r} may be tried {step.retry.max_attempts} times, but executions are parked after"
            f" {most} attempts: raise TACTICS_MAX_ATTEMPTS"
        )
    options = {option: value for option, value in step.options.items() if option != "queue"}
    task = app.task(name=name, base=StepTask, bind=True, shared=False, **options)(run_step)
    if "queue" in step.options:
        app.send_to(name, step.options["queue"])
    app.processors[step.name] = step
    task.isolated, task.step = step.isolated, step


def _run_step(task: StepTask, step: Processor[Any], execution_id: UUID, attempt: int) -> None:
    app, request = task.app, task.request
    segment: Segment | None = request.get("segment")
    if segment is None:
        known = request.get("execution")
        segment = open_stored(app.runtime, app, execution_id, attempt, step.name, known)
        if segment is None:
            request.chain = None
            return
        request.segment = request.runner.segment = segment
    try:
        segment.step(step)
    except SoftTimeLimitExceeded:
        limit_s = step.options.get("time_limit", app.conf.task_time_limit)
        raise segment.fail(step, TookTooLong(f"stopped shortly before its limit of {limit_s} s")) from None
    except Exception as error:  # noqa: BLE001  # whatever a step raises is recorded, and tried again
        raise segment.fail(step, error) from None
    except BaseException:
        segment.close()
        raise
    if segment.committed:
        send_owed(app, segment)
