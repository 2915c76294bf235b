"""A segment: what one delivery runs in place. One transaction, one epoch, one lease; if it dies, nothing happened.

From the step that a message (or a placement's caller) starts, to a hop, or to the end. See
docs/adr/0003-one-segment-one-transaction.md.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from sqlalchemy import Connection

from tactics import metrics
from tactics.domain.context import TacticsInstanceContext
from tactics.domain.expression import express_missed_items
from tactics.errors import TacticsError
from tactics.loss_breaker import LimitMet, pause_itself, trip_of
from tactics.run import AS_SET, Retry, Run, Step, Template
from tactics.runtime import Runtime
from tactics.store import events, executions, held, lease
from tactics.store.db import give_back
from tactics.store.lease import Lease
from tactics.store.trips import Trip

log = structlog.get_logger()

DEADLINE_PASSED = "the placement's deadline passed"
WENT_WRONG = "something went wrong; it has been recorded"
NOTHING_HERE = "the activity has nothing to show here"
# More in the order may change these; a page without an order leaves a rule over orders unknown.
_MAY_MATCH = frozenset({"not_matched", "unknown"})


class StepFailed(TacticsError):
    """A step failed; its execution will be tried again, or is parked. Carries ids only: Flower shows this text."""

    code = "step_failed"


class Abandoned(TacticsError):
    """The placement was given up at its deadline: nothing of it may be written any more."""

    code = "abandoned"


class TwinWasFaster(TacticsError):
    """The same placement was answered by another process meanwhile: its answer stands."""

    code = "twin"


@dataclass
class Segment:
    """An open segment. Whoever opened it ends it: `commit`, `suspend` or `fail`.

    `steps` is the whole chain of the execution.
    """

    template: Template
    steps: Sequence[Step]
    ctx: TacticsInstanceContext
    run: Run
    held: Lease
    committed: bool = False
    ended: bool = False

    def step(self, step: Step) -> None:
        """Run one step, and write down how it went. The last one commits."""
        started, notes = time.perf_counter(), len(self.ctx.notes)
        entry: dict[str, Any] = {"step": step.name, "outcome": "failed"}
        self.run.trace.append(entry)
        entry["outcome"] = self._choose(step)
        if entry["outcome"] == "ran":
            step(self.ctx, self.run)
            if self.run.execution.link == "prepare" and (trip := self._trip()) is not None:
                raise LimitMet(trip)
            if len(self.ctx.notes) > notes:
                entry["notes"] = self.ctx.notes[notes:]
            if self.ctx.stopped and not step.always:
                entry["outcome"] = f"stopped: {self.ctx.outcome}"
        entry["ms"] = round((time.perf_counter() - started) * 1000, 3)
        if step.name == self.steps[-1].name:
            self.commit()

    def _choose(self, step: Step) -> str:
        if self.ctx.stopped and not step.always:
            return "passed"
        return "ran" if step.applies(self.ctx) else "skipped"

    def commit(self) -> None:
        """Make everything true at once, then let the next one in."""
        trip = self._trip()
        self.run.conn.commit()
        self.committed = True
        metrics.execution_ended(self.run.execution.link, self.ctx.activity.code, self.ctx.outcome or "done")
        self.close()
        pause_itself(self.run.runtime, self.ctx.activity.code, trip)

    def _trip(self) -> Trip | None:
        limit = self.run.tripped
        return None if limit is None else trip_of(self.run.conn, self.ctx.activity, limit)

    def close(self) -> None:
        """Give connection and lock back, once; what was not committed is gone."""
        if self.ended:
            return
        self.ended = True
        try:
            give_back(self.run.conn)
        finally:
            let_go(self.run.runtime, self.held)

    def suspend(self, next_step: str) -> None:
        """Commit up to here and write where the execution goes on; the caller publishes the next step.

        The lock stays: the next segment of this execution takes it over.
        """
        run = self.run
        trip = self._trip()
        if not run.stored:
            _store_placement(run.conn, run, self.ctx)
        elif run.execution.link == "grant" and not events.record_answer(run.conn, self.ctx.event, {}):
            raise Abandoned  # else what this segment granted would stand, for nobody
        executions.suspend(
            run.conn,
            run.execution,
            attempt=run.attempt,
            epoch=run.epoch,
            step=next_step,
            context=encoded(self.ctx),
            trace=run.trace,
            claim_s=run.runtime.settings.claim_s,
        )
        run.conn.commit()
        run.stored = self.ended = True
        give_back(run.conn)
        pause_itself(run.runtime, self.ctx.activity.code, trip)

    def fail(self, step: Step, error: Exception) -> StepFailed:
        """Take everything back, and record why, for the sweeper and for people."""
        run, row, self.ended = self.run, self.run.execution, True
        if run.trace:
            run.trace[-1]["outcome"] = "failed"
        reason = f"{step.name}: {failure_text(error)}"
        expected = isinstance(error, Abandoned | LimitMet | TwinWasFaster)
        told = log.info if expected else log.warning
        told("step_failed", execution=str(row.id), step=step.name, attempt=run.attempt, error=reason)
        try:
            give_back(run.conn)
            with run.runtime.engine.begin() as conn:
                if isinstance(error, Abandoned):
                    ended = "abandoned" if record_abandoned(conn, run) else None
                elif isinstance(error, LimitMet):
                    ended = None
                    held.hold(conn, row, attempt=run.attempt, tripped_reason=error.trip.reason)
                else:
                    ended = record_failure(conn, run, self.ctx, reason, step=step, error=error)
            metrics.STEP_FAILURES.count(step.name, by=int(not expected))
            if ended is not None:
                metrics.PARKED.count("execution", by=int(ended == "parked"))
                metrics.execution_ended(row.link, row.activity_code, ended)
        finally:
            let_go(run.runtime, self.held)
        pause_itself(run.runtime, row.activity_code, error.trip if isinstance(error, LimitMet) else None)
        return StepFailed(f"step {step.name} failed with {type(error).__name__}", execution=str(row.id))


def encoded(ctx: TacticsInstanceContext) -> dict[str, Any]:
    """Give the context as plain data.

    Raises:
        TypeError: a step put something into the context that JSON cannot carry; the message names the field.
    """
    data = ctx.to_json()
    try:
        json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        for name, value in data.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                raise TypeError(f"context field {name!r} is not plain data: {error}") from error
        raise
    return data


def failure_text(error: Exception) -> str:
    """Say in one storable line what went wrong."""
    lines = str(error).replace("\x00", " ").encode(errors="replace").decode().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:500]


def backoff_s(runtime: Runtime, failures: int, retry: Retry = AS_SET) -> float:
    """Give the wait after so many failures: doubling, capped, with jitter so that twins part."""
    settings = runtime.settings
    base_s = settings.retry_base_s if retry.base_s is None else retry.base_s
    max_s = settings.retry_max_s if retry.max_s is None else retry.max_s
    wait = min(base_s * 2.0 ** min(failures - 1, 30), max_s)
    return wait * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret


def record_failure(
    conn: Connection, run: Run, ctx: TacticsInstanceContext, reason: str, *, step: Step, error: Exception
) -> str | None:
    """Write a failed attempt in a transaction of its own: tried again later, parked, or answered as an error.

    Returns:
        The outcome that this ends the execution with; None when it goes on, or another one stands.
    """
    row = run.execution
    if not run.stored:
        if executions.add_finished(conn, placement_row(run, ctx, outcome="error", reason=reason)):
            _answer_error(conn, ctx)
            return "error"
        return None
    wait_s = _wait_s(run, step, error)
    if wait_s is None:
        executions.park(conn, row, attempt=run.attempt, reason=reason)
        if row.link == "grant":
            _answer_error(conn, ctx)
        return "parked"
    executions.postpone(conn, row, attempt=run.attempt, wait_s=wait_s, reason=reason, trace=run.trace)
    return None


def _wait_s(run: Run, step: Step, error: Exception) -> float | None:
    """Give the wait before the next attempt, or None when there is none: by the step's own policy and the settings."""
    own, most = step.retry, run.runtime.settings.max_attempts
    failures = sum(one["step"] == step.name and one["outcome"] == "failed" for one in run.trace)
    spent = run.attempt - run.execution.waits >= most or failures >= (own.max_attempts or most)
    if spent or isinstance(error, own.give_up_on):
        return None
    # A step with a policy counts its own failures; else every attempt of the execution makes the next one wait longer.
    return backoff_s(run.runtime, run.attempt if own is AS_SET else failures, own)


def _answer_error(conn: Connection, ctx: TacticsInstanceContext) -> None:
    """Answer a placement: its part for this activity is an error, whose reason only operators see."""
    ctx.outcome, ctx.text, ctx.stopped = "error", WENT_WRONG, True
    events.record_answer(conn, ctx.event, {ctx.activity.code: not_shown(ctx)}, candidates=ctx.candidates)


def record_abandoned(conn: Connection, run: Run) -> bool:
    """Close an execution whose placement was given up: nobody is there to see what it would answer.

    Returns:
        False where it was closed before.
    """
    if not run.stored:
        ended = {"epoch": run.epoch, "trace": run.trace, "assets_unknown": False}
        return executions.add_finished(
            conn, {**run.execution.new(), **ended, "outcome": "abandoned", "reason": DEADLINE_PASSED}
        )
    row = executions.lock(conn, run.execution.user_id, run.execution.id)
    if row is None or row.attempts != run.attempt or row.finished_at is not None:
        return False
    executions.finish(
        conn,
        run.execution,
        attempt=run.attempt,
        epoch=run.epoch,
        outcome="abandoned",
        reason=DEADLINE_PASSED,
        trace=run.trace,
    )
    return True


def not_shown(ctx: TacticsInstanceContext) -> dict[str, Any]:
    """Give a placement's answer for an activity that shows nothing, with the items that more of would be cheaper."""
    reason = ctx.outcome or "not_matched"
    items = express_missed_items(ctx) if reason in _MAY_MATCH else []
    return {
        "activity": ctx.activity.code,
        "reason": reason,
        "text": ctx.text or ctx.outcome or NOTHING_HERE,
        **({"items": items} if items else {}),
    }


def placement_row(run: Run, ctx: TacticsInstanceContext, **outcome: Any) -> dict[str, Any]:
    """Give the execution row of a placement that begins and ends in this segment."""
    return {
        **run.execution.new(),
        "epoch": run.epoch,
        "trace": run.trace,
        "assets_unknown": ctx.assets_unknown,
        **outcome,
    }


def _store_placement(conn: Connection, run: Run, ctx: TacticsInstanceContext) -> None:
    """Store a placement that goes on elsewhere: its event, and its execution, which the sweeper can then find."""
    if not events.record_answer(conn, ctx.event, {}, candidates=ctx.candidates):
        raise Abandoned
    row = placement_row(run, ctx)
    row.pop("trace")
    if not executions.add_new(conn, [row], run.runtime.settings.claim_s):
        raise TwinWasFaster


def let_go(runtime: Runtime, held: Lease) -> None:
    """Give a lock back; without Redis it falls by itself."""
    try:
        lease.release(runtime.redis, held)
    except redis.RedisError as error:
        log.warning("lease_not_released", error=str(error))
