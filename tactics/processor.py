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

from tactics.celery_app import TacticsApp
from tactics.chain import TASK_PREFIX, StepTask
from tactics.domain.context import TacticsInstanceContext
from tactics.errors import TacticsError
from tactics.opening import open_stored
from tactics.run import Run
from tactics.segment import Segment

Ctx = TypeVar("Ctx", bound=TacticsInstanceContext)
_NAME = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)+$")


class InvalidProcessor(TacticsError):
    """A processor is declared in a way that cannot work."""

    code = "invalid_processor"


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

    Raises:
        InvalidProcessor: the name is not verb_noun.
    """
    # Celery refuses a soft limit, here the app's, that is longer than the hard one.
    soft_s = None if time_limit_s is None else max(1, time_limit_s - max(1, time_limit_s // 10))
    given = {"queue": queue, "time_limit": time_limit_s, "soft_time_limit": soft_s, "rate_limit": rate_limit}
    options = {name: value for name, value in given.items() if value is not None}

    def declare(function: Callable[[Ctx, Run], None]) -> Processor[Ctx]:
        name = getattr(function, "__name__", "")
        if not _NAME.match(name):
            raise InvalidProcessor(f"processor {name!r}: name it verb_noun in lower case, such as query_item")
        return Processor(name, function, needs, when, always, saves, options)

    return declare


def register_processor(app: TacticsApp, step: Processor[Any]) -> None:
    """Make a processor a task of the app.

    Raises:
        InvalidProcessor: another processor has this name.
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
    options = {option: value for option, value in step.options.items() if option != "queue"}
    task = app.task(name=name, base=StepTask, bind=True, shared=False, **options)(run_step)
    if "queue" in step.options:
        app.send_to(name, step.options["queue"])
    task.isolated, task.step = step.isolated, step


def _run_step(task: StepTask, step: Processor[Any], execution_id: UUID, attempt: int) -> None:
    app, request = task.app, task.request
    segment: Segment | None = request.get("segment")
    if segment is None:
        known = request.get("execution")
        segment = open_stored(app.runtime, app.templates, execution_id, attempt, step.name, known)
        if segment is None:
            request.chain = None
            return
        request.segment = request.runner.segment = segment
    try:
        segment.step(step)
    except Exception as error:  # noqa: BLE001  # whatever a step raises is recorded, and tried again
        raise segment.fail(step, error) from None
    except BaseException:
        segment.close()
        raise
