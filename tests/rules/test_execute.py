"""Effects are handed to their handlers once per idempotency id, and what did not go well is said."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tactics import rules
from tactics.rules import (
    Effect,
    Evaluation,
    ExecutionRefused,
    Handlers,
    Ledger,
    MemoryLedger,
    NotDone,
    SqliteLedger,
    calculate,
    execute,
    resume,
)

RULE = rules.so(
    rules.amount_at_least(rules.order_amount(), 1000, enable_multiple=True),
    rules.send_coupon("c5"),
    rules.give_points(20),
)
COUPON, POINTS = "pbb.action.send_coupon", "pbb.action.give_points"


def matched(price_minor: int = 2500) -> Evaluation:
    return calculate(RULE, {"order": {"lines": [{"item_id": "7", "price_minor": price_minor}]}})


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Each ledger in turn: what holds for one holds for the other."""
    if request.param == "memory":
        yield MemoryLedger()
        return
    made = SqliteLedger(tmp_path / "done.db")
    yield made
    made.close()


def recording(*, points: Callable[[], object] = lambda: None, **options: Any) -> tuple[Handlers, list[tuple[Any, ...]]]:
    """Handlers for coupons and points, and the calls that they got."""
    handlers, calls = Handlers(), list[tuple[Any, ...]]()

    @handlers.on(rules.send_coupon)
    def send(effect: Effect, idempotency_id: str) -> object:
        calls.append((effect.block, effect.params, effect.times, idempotency_id))
        return {"code": "X1"}

    @handlers.on(POINTS, **options)
    def give(effect: Effect, idempotency_id: str) -> object:
        calls.append((effect.block, effect.params, effect.times, idempotency_id))
        return points()

    return handlers, calls


def keep(effect: Effect, idempotency_id: str) -> object:
    """A handler for whatever there is."""
    return idempotency_id


def statuses(execution: rules.Execution) -> list[str]:
    return [result.status for result in execution.results]


def test_each_effect_reaches_its_handler_with_its_own_id(ledger: Ledger) -> None:
    """A handler gets the effect with its parameters and times, and an id that is its own and says whose it is."""
    handlers, calls = recording()
    execution = execute(matched(), handlers, "order-1", ledger)
    assert calls == [(COUPON, {"benefit": "c5"}, 2, "order-1:0"), (POINTS, {"points": 20}, 2, "order-1:1")]
    assert (execution.complete, execution.status, execution.results[0].value) == (True, "matched", {"code": "X1"})
    assert execution.to_json()["results"][0] == {
        "index": 0,
        "effect": {"block": COUPON, "params": {"benefit": "c5"}, "times": 2},
        "idempotency_id": "order-1:0",
        "status": "done",
        "value": {"code": "X1"},
        "error": None,
    }


@pytest.mark.parametrize("form", [lambda e: e, Evaluation.to_json, lambda e: e.effects, lambda e: list(e.effects)])
def test_a_repeat_answers_the_first_time_s_values_and_calls_nobody(
    ledger: Ledger, form: Callable[[Evaluation], Any]
) -> None:
    """An evaluation, its JSON and its effects are the same thing, once done."""
    handlers, calls = recording(points=lambda: datetime(2025, 1, 2, tzinfo=UTC))
    first = execute(matched(), handlers, "order-1", ledger)
    second = execute(form(matched()), handlers, "order-1", ledger)
    assert (statuses(second), len(calls)) == (["repeated", "repeated"], 2)
    assert [one.value for one in second.results] == [one.value for one in first.results]
    assert second.results[1].value == "2025-01-02 00:00:00+00:00"
    execute(matched(), handlers, "order-2", ledger)
    assert len(calls) == 4


def test_without_a_ledger_the_handlers_remember(tmp_path: Path) -> None:
    """Left out, the ledger is the handlers' memory: once, as long as they live."""
    handlers, calls = recording()
    for _ in range(2):
        assert execute(matched(), handlers, "order-1").complete
    assert len(calls) == 2


def test_one_that_fails_does_not_stop_the_others_and_is_tried_again(ledger: Ledger) -> None:
    """The partial failure is reported; the next call with the same id runs only what is not done."""
    handlers, calls, down = Handlers(), [], [True]

    @handlers.on(COUPON)
    def send(effect: Effect, idempotency_id: str) -> None:
        if down[0]:
            raise TimeoutError("no answer")

    @handlers.on(POINTS)
    def give(effect: Effect, idempotency_id: str) -> None:
        calls.append(idempotency_id)

    first = execute(matched(), handlers, "order-1", ledger)
    assert (first.complete, statuses(first)) == (False, ["failed", "done"])
    assert first.results[0].error == "TimeoutError: no answer"
    assert isinstance(first.results[0].exception, TimeoutError)
    assert [name for name, _ in ledger.unfinished()] == ["order-1"]
    down[0] = False
    (second,) = resume(handlers, ledger)
    assert (second.complete, statuses(second), calls) == (True, ["done", "repeated"], ["order-1:1"])
    assert (ledger.unfinished(), resume(handlers, ledger)) == ((), ())


def test_an_effect_without_handler_is_reported_and_waits_for_one(ledger: Ledger) -> None:
    """The others run; once somebody carries it out, a repeat completes it. What is missing can be asked before."""
    handlers = Handlers()
    handlers.on(POINTS)(keep)
    for asked in (RULE, rules.tiers(RULE), matched(), matched().to_json()):
        assert handlers.missing(asked) == (COUPON,)
    assert handlers.missing(rules.exists(rules.order_amount())) == ()
    first = execute(matched(), handlers, "order-1", ledger)
    assert (first.complete, statuses(first)) == (False, ["no_handler", "done"])
    handlers.on(COUPON)(keep)
    assert statuses(execute(matched(), handlers, "order-1", ledger)) == ["done", "repeated"]
    without = execute(matched(), Handlers(), "order-1", ledger)
    assert (without.complete, statuses(without)) == (True, ["repeated", "repeated"])


@pytest.mark.parametrize(
    ("rule", "status"), [(RULE, "not_matched"), (None, "null_rule"), ({"block": "x"}, "invalid"), (RULE, "unknown")]
)
def test_what_did_not_match_executes_nothing_and_says_so(ledger: Ledger, rule: Any, status: str) -> None:
    """The status is the evaluation's, and the id stays free for an evaluation that matches."""
    handlers, calls = recording()
    answer = calculate(rule, {} if status == "unknown" else {"order": {"lines": []}})
    execution = execute(answer, handlers, "order-1", ledger)
    assert (execution.status, execution.complete, execution.results, calls) == (status, True, (), [])
    assert execute(matched(), handlers, "order-1", ledger).complete
    assert len(calls) == 2


def test_an_id_stands_for_its_effects_and_no_others(ledger: Ledger) -> None:
    """Other effects, their other order, or none are refused before anything is done."""
    handlers, calls = recording()
    execute(matched(), handlers, "order-1", ledger)
    others = (matched(9900), matched().effects[::-1], matched().effects[:1], matched(0))
    for other in others:
        with pytest.raises(ExecutionRefused, match="stands for other effects already") as refused:
            execute(other, handlers, "order-1", ledger)
        assert refused.value.code == "conflict"
    assert len(calls) == 2


@pytest.mark.parametrize(
    "given",
    [
        None,
        "matched",
        {"effects": []},
        {"status": ["matched"], "effects": []},
        {"status": "not_matched", "effects": [{"block": COUPON, "params": {}, "times": 1}]},
        [{"block": COUPON, "params": {}, "times": 0}],
        [{"block": COUPON, "params": {}, "times": True}],
        [{"block": COUPON, "params": {}, "time": 1}],
        [{"block": "", "params": {}}],
        [{"block": COUPON, "params": {"benefit": object()}}],
        [{"block": COUPON, "params": {"benefit": float("nan")}}],
        [COUPON],
    ],
)
def test_what_is_no_evaluation_is_refused(ledger: Ledger, given: Any) -> None:
    """Nothing of it is done, or remembered."""
    handlers, calls = recording()
    with pytest.raises(ExecutionRefused) as refused:
        execute(given, handlers, "order-1", ledger)
    assert (refused.value.code, calls, ledger.look("order-1")) == ("effects", [], None)


@pytest.mark.parametrize("bad", ["", None, 7, "\ud800"])
def test_what_is_no_id_is_refused(ledger: Ledger, bad: Any) -> None:
    """An idempotency id is text that any ledger can keep."""
    with pytest.raises(ExecutionRefused) as refused:
        execute(matched(), recording()[0], bad, ledger)
    assert refused.value.code == "id"


def test_a_handler_cannot_change_what_others_or_repeats_see(ledger: Ledger) -> None:
    """Each handler has a copy of its effect, and results show it as it was."""
    handlers = Handlers()

    @handlers.on(COUPON, POINTS)
    def spoil(effect: Effect, idempotency_id: str) -> None:
        effect.params.clear()

    evaluation = matched()
    for _ in range(2):
        execution = execute(evaluation, handlers, "order-1", ledger)
        assert execution.results[0].effect.params == {"benefit": "c5"}
    assert evaluation == matched()


class Unspeakable(Exception):
    """An error that cannot even be told."""

    def __str__(self) -> str:
        raise ValueError("nor this")


@pytest.mark.parametrize("error", [Unspeakable(), ValueError("\ud800"), ValueError("x" * 10**6), ValueError()])
def test_any_error_of_a_handler_is_a_result(ledger: Ledger, error: Exception) -> None:
    """Whatever it says, or fails to say, the effect can be tried again."""
    handlers, outcomes = Handlers(), iter([error, None])

    @handlers.on(COUPON)
    def send(effect: Effect, idempotency_id: str) -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    effects = matched().effects[:1]
    first = execute(effects, handlers, "order-1", ledger)
    assert (statuses(first), len(first.results[0].error or "") <= 1000) == (["failed"], True)
    assert execute(effects, handlers, "order-1", ledger).complete


class Nameless:
    """Something that has no words."""

    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("value", "kept"),
    [(None, None), ((1, {"a": True}), [1, {"a": True}]), (Path("a"), "a"), (float("nan"), None), (Nameless(), None)],
)
def test_any_answer_of_a_handler_can_be_remembered(ledger: Ledger, value: object, kept: object) -> None:
    """What JSON cannot carry becomes its words or null, and what was done is done."""
    handlers, _ = recording(points=lambda: value)
    for status in ("done", "repeated"):
        result = execute(matched(), handlers, "order-1", ledger).results[1]
        assert (result.status, result.value) == (status, kept)


def test_what_answers_something_to_await_has_not_done_it(ledger: Ledger) -> None:
    """A coroutine that nobody awaits is a failure, not a success."""

    async def later() -> None: ...

    handlers, _ = recording(points=later)
    assert statuses(execute(matched(), handlers, "order-1", ledger)) == ["done", "failed"]


def test_a_wrong_declaration_fails_where_it_is_written() -> None:
    """Two handlers for a block, none named, and functions that could not work are refused."""
    handlers, _ = recording()

    async def send(effect: Effect, idempotency_id: str) -> None: ...

    def send_many(effect: Effect, idempotency_id: str) -> Any:
        yield

    def one(effect: Effect) -> None: ...

    wrong: list[tuple[Any, str]] = [
        (send, "a handler is a plain function"),
        (send_many, "a handler is a plain function"),
        (one, "is called with the effect and its idempotency id"),
        ("send", "cannot be called"),
    ]
    for handler, message in wrong:
        with pytest.raises(ValueError, match=message):
            handlers.on("acme.action.send")(handler)
    with pytest.raises(ValueError, match="already has a handler"):
        handlers.on(COUPON)(keep)
    with pytest.raises(ValueError, match="name the blocks"):
        handlers.on()


def test_of_a_handler_that_is_not_repeatable_nobody_knows_how_it_ended(ledger: Ledger) -> None:
    """It raised, so the effect stays in doubt and is not called again, until somebody settles it either way."""
    for happened, status, called in ((True, "repeated", 1), (False, "done", 2)):
        outcomes = iter([TimeoutError("no answer"), None])

        def give(outcomes: Any = outcomes) -> None:
            outcome = next(outcomes)
            if outcome is not None:
                raise outcome

        handlers, calls = recording(points=give, repeatable=False)
        name = f"order-{happened}"
        for _ in range(3):
            execution = execute(matched(), handlers, name, ledger)
            assert (statuses(execution)[1], execution.results[1].error) == ("in_doubt", "TimeoutError: no answer")
        assert not ledger.settle(name, 0, happened=False)
        assert not ledger.settle("nobody's", 0, happened=True)
        assert ledger.settle(name, 1, happened=happened, value="seen")
        assert not ledger.settle(name, 1, happened=happened)
        after = execute(matched(), handlers, name, ledger)
        assert (after.complete, after.results[1].status) == (True, status)
        assert after.results[1].value == ("seen" if happened else None)
        assert sum(call[0] == POINTS for call in calls) == called


def test_a_handler_may_know_that_nothing_happened(ledger: Ledger) -> None:
    """After NotDone even one that is not repeatable is called again."""
    outcomes = iter([NotDone("refused before it was sent"), None])

    def give() -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    handlers, _ = recording(points=give, repeatable=False)
    assert statuses(execute(matched(), handlers, "order-1", ledger)) == ["done", "failed"]
    assert execute(matched(), handlers, "order-1", ledger).complete


def test_what_ends_the_process_goes_on_up_and_releases_the_effect(ledger: Ledger) -> None:
    """An interrupted handler is called again where it may be, and in doubt where it may not."""
    for repeatable, status in ((True, "done"), (False, "in_doubt")):
        outcomes = iter([KeyboardInterrupt(), None])

        def give(outcomes: Any = outcomes) -> None:
            outcome = next(outcomes)
            if outcome is not None:
                raise outcome

        handlers, _ = recording(points=give, repeatable=repeatable)
        with pytest.raises(KeyboardInterrupt):
            execute(matched(), handlers, f"order-{repeatable}", ledger)
        again = execute(matched(), handlers, f"order-{repeatable}", ledger)
        assert statuses(again) == ["repeated", status]


def test_only_the_claim_that_holds_can_fail_and_the_first_value_stays(ledger: Ledger) -> None:
    """A failure that comes late, or after success, changes nothing, and neither does a second success."""
    ledger.open("a", "[]", 1)
    first = ledger.begin("a", 0, repeatable=True)
    ledger.failed("a", 0, first.attempt, "down", in_doubt=False)
    second = ledger.begin("a", 0, repeatable=True)
    ledger.failed("a", 0, first.attempt, "late", in_doubt=False)
    assert ledger.begin("a", 0, repeatable=True).state == "in_progress"
    ledger.done("a", 0, "1")
    ledger.done("a", 0, "2")
    ledger.failed("a", 0, second.attempt, "too late", in_doubt=True)
    after = ledger.begin("a", 0, repeatable=True)
    assert (after.state, after.value) == ("done", "1")


def test_a_handler_that_executes_its_own_id_finds_it_in_progress(ledger: Ledger) -> None:
    """It neither recurses nor hangs."""
    found = []
    handlers, _ = recording(points=lambda: found.extend(statuses(execute(matched(), handlers, "order-1", ledger))))
    assert execute(matched(), handlers, "order-1", ledger).complete
    assert found == ["repeated", "in_progress"]


class Failing(MemoryLedger):
    """A ledger whose disk is full at one moment."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment: str | None = moment

    def begin(self, idempotency_id: str, index: int, *, repeatable: bool) -> Any:
        self._fail("begin")
        return super().begin(idempotency_id, index, repeatable=repeatable)

    def done(self, idempotency_id: str, index: int, value: str) -> None:
        self._fail("done")
        super().done(idempotency_id, index, value)

    def _fail(self, moment: str) -> None:
        if moment == self.moment:
            self.moment = None
            raise sqlite3.OperationalError("disk full")


def test_a_ledger_that_fails_is_a_result_too() -> None:
    """What could not begin has failed; what was done and not remembered is in doubt; the other effect is done."""
    for moment, status, said in (("begin", "failed", "not begun"), ("done", "in_doubt", "done, but the ledger failed")):
        execution = execute(matched(), recording()[0], "order-1", Failing(moment))
        assert (statuses(execution), execution.complete) == ([status, "done"], False)
        assert said in (execution.results[0].error or "")


def test_memory_forgets_what_is_finished_first_and_never_what_is_not() -> None:
    """Past its capacity the ledger drops finished ids; one with effects left stays, however old."""
    ledger = MemoryLedger(capacity=3)
    half = Handlers()
    half.on(POINTS)(keep)
    whole, _ = recording()
    execute(matched(), half, "left", ledger)
    for number in range(10):
        execute(matched(), whole, f"order-{number}", ledger)
    known = [name for name in ("left", *(f"order-{number}" for number in range(10))) if ledger.look(name)]
    assert known == ["left", "order-8", "order-9"]
    assert [name for name, _ in ledger.unfinished()] == ["left"]
    # As it is for a caller that had opened an id before it was forgotten.
    assert ledger.begin("order-0", 0, repeatable=True).state == "in_progress"
