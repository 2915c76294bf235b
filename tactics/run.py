"""What the driver and a step know of each other: the step, its template, and what it receives beside its context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection

from tactics.domain.activity import Link
from tactics.domain.context import TacticsInstanceContext
from tactics.runtime import Gateways, Runtime
from tactics.store import instances, prepared
from tactics.store.executions import ExecutionRow
from tactics.store.instances import InstanceRow
from tactics.store.prepared import Prepared


@dataclass(frozen=True)
class Retry:
    """How a step that failed is tried again; what is left None, the settings say.

    Args:
        max_attempts: so many failures of this step park the execution; no more than TACTICS_MAX_ATTEMPTS.
        base_s: seconds to wait after the step's first failure; doubles with each.
        max_s: seconds that it waits at most.
        give_up_on: errors that no retry can help: the first one parks the execution.
    """

    max_attempts: int | None = None
    base_s: float | None = None
    max_s: float | None = None
    give_up_on: tuple[type[Exception], ...] = ()


AS_SET = Retry()
"""Whatever the settings say."""


class Step(Protocol):
    """What a segment needs to know of a processor."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def isolated(self) -> bool:
        """Whether it runs by a message of its own."""
        ...

    @property
    def always(self) -> bool:
        """Whether it runs after the chain was stopped."""
        ...

    @property
    def saves(self) -> bool:
        """Whether it ends what is repeated when prepared data is lost."""
        ...

    @property
    def needs(self) -> type[TacticsInstanceContext]:
        """The context type whose fields it uses."""
        ...

    @property
    def after(self) -> tuple[str, ...]:
        """The steps that come before it where a chain has them."""
        ...

    @property
    def link(self) -> Link | None:
        """The one link whose chains it can stand in; None: either."""
        ...

    @property
    def retry(self) -> Retry:
        """How it is tried again after a failure."""
        ...

    def applies(self, ctx: TacticsInstanceContext) -> bool:
        """Tell whether the step has something to do."""
        ...

    def __call__(self, ctx: Any, run: Run) -> None:
        """Do it."""
        ...


class Template(Protocol):
    """What a segment needs to know of a template."""

    @property
    def template_type(self) -> str:
        """What activities name it by."""
        ...

    @property
    def context_type(self) -> type[TacticsInstanceContext]:
        """The type of the contexts that its steps work on."""
        ...

    @property
    def lock(self) -> bool:
        """Whether instances are locked where nothing else decides."""
        ...

    def chain(self, link: Link, channel_code: str) -> Sequence[Any]:
        """Give the steps of a link for a channel code, as the code has them."""
        ...

    def override(self, link: Link, channel_code: str) -> Sequence[Any] | None:
        """Give the steps that the code has for this channel code alone, if any."""
        ...


@dataclass
class Run:
    """What a step receives beside its context: the transaction it writes in, and what it may ask.

    `owed`: tasks to be published once this segment has committed, by name with their arguments, which are ids; whoever
    is to run them is found by the sweeper as well. `tripped`: the limit per minute that its grant would have passed.
    """

    runtime: Runtime
    conn: Connection
    execution: ExecutionRow
    attempt: int
    epoch: int
    instance: InstanceRow
    prepared_text: bytes | None
    rebuild: Callable[[TacticsInstanceContext], None]
    stored: bool
    trace: list[dict[str, Any]] = field(default_factory=list)
    # What the rule reads of the user's actions, once a step has loaded it; after a hop it is loaded again.
    behaviours: list[dict[str, Any]] | None = None
    owed: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    tripped: str | None = None

    @property
    def gateways(self) -> Gateways:
        """The outer systems."""
        return self.runtime.gateways

    @property
    def found_prepared(self) -> Prepared | None:
        """The instance's prepared data, if Redis has what the instance row says was prepared."""
        return prepared.decode(self.prepared_text, self.instance)

    def save_prepared(self, ctx: TacticsInstanceContext) -> None:
        """Leave the context's prepared data for placements, under this segment's epoch."""
        source, event_id = ctx.event.key
        body = Prepared(self.epoch, source, event_id, ctx.prepared_data())
        expiry_s = int((ctx.activity.schedule.ends_at - ctx.now).total_seconds())
        prepared.save(self.runtime.redis, ctx.activity.code, ctx.user_id, body, expiry_s)
        instances.set_prepared(
            self.conn,
            ctx.user_id,
            ctx.activity.code,
            epoch=self.epoch,
            source=source,
            event_id=event_id,
            at=ctx.event.at,
        )
