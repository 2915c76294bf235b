"""Hand an evaluation's effects to whoever carries them out: each once per idempotency id, whatever fails in between.

    handlers = Handlers()

    @handlers.on("pbb.action.send_coupon")
    def send(effect: Effect, idempotency_id: str) -> object:
        return coupons.send(effect.params["benefit"], effect.times, key=idempotency_id)

    execution = execute(calculate(rule, facts), handlers, "order-4711", SqliteLedger("done.db"))
    execution.complete  # False: call it again with the same evaluation and id, and only what is not done is tried

`calculate` decides and touches nothing; only `execute` acts. Source: C-52.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from tactics.rules.block import Builder
from tactics.rules.effect import Effect, ExecutionRefused, canonical, read_effects, refuse_unless_id
from tactics.rules.evaluation import Evaluation, Status
from tactics.rules.ledger import Claim, Ledger, MemoryLedger, as_text
from tactics.rules.tree import Node, So, Tiers

EffectStatus = Literal["done", "repeated", "failed", "no_handler", "in_progress", "in_doubt"]


Handler = Callable[[Effect, str], object]
_LONGEST_ERROR = 1000
_H = TypeVar("_H", bound=Handler)


@dataclass(frozen=True, slots=True)
class EffectResult:
    """What became of one effect.

    `done`: its handler has just done it. `repeated`: it was done before; nothing was called. `failed`: its handler
    raised, and may be called again. `no_handler`: nobody is registered for its block. `in_progress`: another thread or
    process has it. `in_doubt`: it may have been done or not, and its handler must not be called twice.
    `value` is what the handler answered, as JSON data; `exception` is what it raised in this call.
    """

    index: int
    effect: Effect
    idempotency_id: str
    status: EffectStatus
    value: object = None
    error: str | None = None
    exception: BaseException | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """This result as JSON data."""
        return {
            "index": self.index,
            "effect": self.effect.to_json(),
            "idempotency_id": self.idempotency_id,
            "status": self.status,
            "value": self.value,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of an evaluation's effects. `status` is the evaluation's: unless it matched, there are no results."""

    idempotency_id: str
    status: Status
    results: tuple[EffectResult, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: every effect is done, now or before, or there was none."""
        return all(result.status in {"done", "repeated"} for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """The whole as JSON data."""
        return {
            "idempotency_id": self.idempotency_id,
            "status": self.status,
            "complete": self.complete,
            "results": [result.to_json() for result in self.results],
        }


class NotDone(Exception):
    """Raised by a handler that knows that nothing happened: it may be called again, even if it is not repeatable."""


class Handlers:
    """Who carries out which actions, by the block's id. Declare them at start; then share them between threads."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Handler, bool]] = {}
        self.memory = MemoryLedger()

    def on(self, *blocks: str | Builder, repeatable: bool = True) -> Callable[[_H], _H]:
        """Declare the function that carries out these actions; it is called with the effect and its idempotency id.

        The id is the same in each try, so a handler that passes it on to whoever keeps ids does its work exactly once.
        `repeatable=False` is for one that cannot: it is not called again after a try of which nobody knows how it ended
        (it raised something else than NotDone, or the process died); the effect stays `in_doubt` until `Ledger.settle`.
        Raises ValueError for a block that has its handler, or a function that cannot be one.
        """
        names = [block if isinstance(block, str) else block.definition.id for block in blocks]
        if not names:
            raise ValueError("name the blocks that this handler carries out")

        def declare(handler: _H) -> _H:
            _refuse_unless_handler(handler)
            for name in names:
                if name in self._handlers:
                    raise ValueError(f"block {name!r} already has a handler")
                self._handlers[name] = (handler, repeatable)
            return handler

        return declare

    def get(self, block: str) -> tuple[Handler, bool] | None:
        """The block's handler and whether it is repeatable, or None."""
        return self._handlers.get(block)

    def missing(self, given: Node | Evaluation | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """The actions of a rule, or of an evaluation, that nobody carries out: for a check before anything is run."""
        if isinstance(given, Node):
            steps = given.steps if isinstance(given, Tiers) else (given,) if isinstance(given, So) else ()
            named = [action.block for step in steps for action in step.then]
        else:
            named = [effect.block for effect in read_effects(given)[1]]
        return tuple(sorted(set(named) - self._handlers.keys()))


def execute(
    evaluation: Evaluation | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    handlers: Handlers,
    idempotency_id: str,
    ledger: Ledger | None = None,
) -> Execution:
    """Carry out the effects of an evaluation, its JSON, or a list of effects: each once per idempotency id.

    Effects are tried in their order, one by one; one that fails, or has no handler, does not stop the others. Called
    again with the same id, it tries only what is not done. `ledger` remembers what is; left out, these handlers'
    memory does, for as long as they live. An evaluation that did not match executes nothing.

    Raises ExecutionRefused, before anything is done, for what is no evaluation, and for an id that stands for other
    effects already; and whatever the ledger raises when it cannot open the id. What a handler raises is a result, but
    for what ends the process (KeyboardInterrupt, SystemExit), which goes on up.
    """
    status, effects = read_effects(evaluation)
    refuse_unless_id(idempotency_id)
    ledger = handlers.memory if ledger is None else ledger
    text = canonical(effects)
    opened = ledger.open(idempotency_id, text, len(effects)) if effects else ledger.look(idempotency_id)
    if opened is not None and opened.effects != text:
        raise ExecutionRefused(
            "conflict",
            f"the idempotency id {idempotency_id!r} stands for other effects already: "
            "repeat with the evaluation of the first call, or use an id of its own",
        )
    done = {} if opened is None else opened.done
    results = []
    # Each handler gets a copy of its own, as it would be after a restart.
    for index, effect in enumerate(read_effects(json.loads(text))[1]):
        task = _Task(idempotency_id, index, effect)
        results.append(task.result("repeated", done[index]) if index in done else task.run(handlers, ledger))
    return Execution(idempotency_id, status, tuple(results))


def resume(handlers: Handlers, ledger: Ledger) -> tuple[Execution, ...]:
    """Execute again whatever the ledger knows to have effects left, as after a restart; raises what the ledger raises."""
    return tuple(execute(json.loads(text), handlers, name, ledger) for name, text in ledger.unfinished())


@dataclass(frozen=True, slots=True)
class _Task:
    """One effect on its way through its handler."""

    idempotency_id: str
    index: int
    effect: Effect

    def result(self, status: EffectStatus, value: str = "null", **more: Any) -> EffectResult:
        own_id = f"{self.idempotency_id}:{self.index}"
        return EffectResult(self.index, self.effect, own_id, status, json.loads(value), **more)

    def run(self, handlers: Handlers, ledger: Ledger) -> EffectResult:
        found = handlers.get(self.effect.block)
        if found is None:
            return self.result("no_handler", error=f"nobody is registered for {self.effect.block}")
        handler, repeatable = found
        try:
            claim = ledger.begin(self.idempotency_id, self.index, repeatable=repeatable)
        except Exception as error:  # noqa: BLE001 -- the other effects are to be tried, and this one is not lost
            return self.result("failed", error=f"not begun, the ledger failed: {_told(error)}", exception=error)
        if claim.state == "done":
            return self.result("repeated", claim.value)
        if claim.state == "in_doubt":
            return self.result("in_doubt", error=claim.error or "its handler began, and was never heard of again")
        if claim.state == "in_progress":
            return self.result("in_progress", error="another thread or process has it")
        return self._handled(handler, ledger, claim, repeatable=repeatable)

    def _handled(self, handler: Handler, ledger: Ledger, claim: Claim, *, repeatable: bool) -> EffectResult:
        own_id = f"{self.idempotency_id}:{self.index}"
        try:
            value = _answer(handler(Effect(**json.loads(canonical([self.effect]))[0]), own_id))
        except BaseException as error:
            in_doubt = not (repeatable or isinstance(error, NotDone))
            # Where this fails, the claim stays, and lapses as that of a dead process does.
            with suppress(Exception):
                ledger.failed(self.idempotency_id, self.index, claim.attempt, _told(error), in_doubt=in_doubt)
            if not isinstance(error, Exception):
                raise
            return self.result("in_doubt" if in_doubt else "failed", error=_told(error), exception=error)
        try:
            ledger.done(self.idempotency_id, self.index, value)
        except Exception as error:  # noqa: BLE001 -- it happened; that the ledger does not know it is what has to be said
            text = f"done, but the ledger failed to remember it: {_told(error)}"
            return self.result("in_doubt", value, error=text, exception=error)
        return self.result("done", value)


def _answer(value: object) -> str:
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError("the handler answered something to await, and nobody awaits it here")
    return as_text(value)


def _told(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 -- errors of handlers may be anything, and this is only their words
        text = ""
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return told[:_LONGEST_ERROR].encode(errors="replace").decode()


def _refuse_unless_handler(handler: object) -> None:
    name = getattr(handler, "__name__", repr(handler))
    if not callable(handler):
        raise ValueError(f"{name} cannot be called")  # noqa: TRY004 -- one kind of error for every wrong declaration
    if inspect.iscoroutinefunction(handler) or inspect.isgeneratorfunction(handler):
        raise ValueError(f"{name} would only begin when somebody awaits or iterates it: a handler is a plain function")
    try:
        inspect.signature(handler).bind(None, "")
    except TypeError as error:
        raise ValueError(f"{name} is called with the effect and its idempotency id: {error}") from None
