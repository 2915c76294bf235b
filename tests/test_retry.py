"""Retry policies: a step that declares one is tried again as it says, whatever the settings say for the others."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.celery_app import create_app
from tactics.config import Settings
from tactics.processor import InvalidProcessor, register_processor
from tactics.run import Retry, Run
from tests.driving import Drive, Maker, Working, satisfied
from tests.plays import playing, step_of

SETTINGS: dict[str, Any] = {"retry_base_s": 1000.0, "retry_max_s": 2000.0, "max_attempts": 9}
STATE = "SELECT attempts, outcome, reason FROM execution WHERE link = 'prepare'"


class BadRequest(ValueError):
    """An answer that will be the same next time."""


class _Failing:
    """A body that fails so many times, and then works."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error = times, error

    def __call__(self, _ctx: Any, _run: Run) -> None:
        if self.left:
            self.left -= 1
            raise self.error


def _wait_s(drive: Drive) -> float:
    return float(drive.value("SELECT extract(epoch FROM next_attempt_at - clock_timestamp()) FROM execution"))


def _again(drive: Drive) -> None:
    drive.sweep()
    drive.work()


def test_a_step_waits_as_it_declares(driven: Maker) -> None:
    """Its waits double from its own base up to its own most, and when it works at last the chain goes on."""
    failing = _Failing(4, ValueError("not yet"))
    drive = playing(driven, step_of("do_call", failing, retry=Retry(5, base_s=10, max_s=25)), **SETTINGS)
    drive.happen(satisfied("1"))
    for least, most in ((5, 10), (10, 20), (12.5, 25), (12.5, 25)):
        assert least - 1 < _wait_s(drive) <= most
        _again(drive)
    assert drive.rows(STATE) == [(5, "prepared", None)]


@pytest.mark.parametrize("in_place", [True, False])
def test_a_step_is_parked_after_its_own_failures(driven: Maker, in_place: bool) -> None:
    """Only its own failures count: those of the steps before it, which have no policy, do not use them up."""
    before = _Failing(3, ValueError("before"))
    step = step_of("do_call", _Failing(99, ValueError("for ever")), retry=Retry(2))
    drive = playing(driven, step_of("do_before", before), step, in_place=in_place, **SETTINGS)
    drive.happen(satisfied("1"))
    drive.settle()
    assert drive.rows(STATE) == [(5, "parked", "do_call: ValueError: for ever")]
    assert drive.value("SELECT next_attempt_at FROM execution") is None


def test_failures_of_a_hopped_step_are_its_own(driven: Maker) -> None:
    """A step with its own queue and policy is tried again there, and parked after as many failures as it declares."""
    step = step_of("do_far", _Failing(99, ValueError("far")), queue="slow", retry=Retry(3, base_s=7, max_s=8))
    drive = playing(driven, step, **SETTINGS)
    drive.happen(satisfied("1"))
    assert drive.work() == ["tactics.do_far"]
    assert 3 < _wait_s(drive) <= 7
    drive.settle()
    assert drive.rows(STATE) == [(3, "parked", "do_far: ValueError: far")]


@pytest.mark.parametrize("error", [BadRequest("no such item"), type("Worse", (BadRequest,), {})("no such item")])
def test_what_no_retry_can_help_is_parked_at_once(driven: Maker, error: Exception) -> None:
    """An error that the step gives up on, or a kind of it, parks the execution at its first failure, with the reason."""
    step = step_of("do_call", _Failing(99, error), retry=Retry(give_up_on=(BadRequest,)))
    drive = playing(driven, step, **SETTINGS)
    drive.happen(satisfied("1"))
    assert drive.rows(STATE) == [(1, "parked", f"do_call: {type(error).__name__}: no such item")]


def test_other_errors_of_the_same_step_are_tried_again(driven: Maker) -> None:
    """A policy that only names what to give up on leaves everything else to the settings."""
    step = step_of("do_call", _Failing(1, ValueError("a moment")), retry=Retry(give_up_on=(BadRequest,)))
    drive = playing(driven, step, **SETTINGS)
    drive.happen(satisfied("1"))
    assert 490 < _wait_s(drive) <= 1000
    _again(drive)
    assert drive.rows(STATE) == [(2, "prepared", None)]


def test_a_policy_is_its_steps_alone(driven: Maker) -> None:
    """A failure of another step of the same chain waits as the settings say."""
    patient = step_of("do_call", retry=Retry(2, base_s=1, max_s=1))
    drive = playing(driven, patient, step_of("do_other", _Failing(1, ValueError("x"))), **SETTINGS)
    drive.happen(satisfied("1"))
    assert 490 < _wait_s(drive) <= 1000


def test_a_hopped_placement_is_answered_at_once_where_no_retry_helps(driven: Maker) -> None:
    """Who waits for the answer gets an error before the deadline; its reason only operators see."""
    step = step_of("do_far", _Failing(9, BadRequest("secret")), queue="slow", retry=Retry(give_up_on=(BadRequest,)))
    drive = playing(driven, step, link="grant", placement_deadline_ms=60_000, **SETTINGS)
    drive.happen(satisfied("1"))
    with Working(drive):
        answer = drive.visit("1")
    assert answer.complete
    (part,) = answer.not_shown
    assert part["reason"] == "error"
    assert "secret" not in str(answer.to_json())
    found = drive.rows("SELECT attempts, outcome, reason FROM execution WHERE link = 'grant'")
    assert found == [(1, "parked", "do_far: BadRequest: secret")]


@pytest.mark.parametrize(
    ("retry", "text"),
    [
        (Retry(0), "max_attempts must be at least 1"),
        (Retry(base_s=-1), "base_s must not be negative"),
        (Retry(max_s=-1), "max_s must not be negative"),
        (Retry(base_s=2, max_s=1), "base_s must not be more than max_s"),
        (Retry(give_up_on=BadRequest), "give_up_on must be a tuple of exception classes"),  # type: ignore[arg-type]
        (Retry(give_up_on=("BadRequest",)), "give_up_on must be a tuple of exception classes"),  # type: ignore[arg-type]
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(retry: Retry, text: str) -> None:
    """A wrong policy is refused when it is declared, with the step's name."""
    with pytest.raises(InvalidProcessor, match=f"processor 'do_call': {text}"):
        step_of("do_call", retry=retry)


@pytest.mark.parametrize(
    ("rate", "fits"), [("10/s", True), ("0.5/h", True), ("7", True), ("fast", False), ("9/d", False)]
)
def test_rate_limits_are_those_that_celery_reads(rate: str, fits: bool) -> None:
    """A rate limit that would keep a worker from starting is refused where it is declared, naming the step."""
    if fits:
        assert step_of("do_call", rate_limit=rate).isolated
    else:
        with pytest.raises(InvalidProcessor, match="processor 'do_call': rate_limit must be a number"):
            step_of("do_call", rate_limit=rate)


def test_no_step_is_tried_more_often_than_the_settings_allow() -> None:
    """A policy past TACTICS_MAX_ATTEMPTS would never be reached: it is refused when an app learns of the step."""
    app = create_app(Settings(max_attempts=5))
    register_processor(app, step_of("do_call", retry=Retry(5)))
    with pytest.raises(InvalidProcessor, match="raise TACTICS_MAX_ATTEMPTS"):
        register_processor(app, step_of("do_more", retry=Retry(6)))
