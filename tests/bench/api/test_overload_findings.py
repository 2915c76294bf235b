"""What `make overload` finds in answers: each thing that may be wrong is found, and nothing in what is right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.bench.api import asked
from tests.bench.api.load import Answers
from tests.bench.api.overload import Found, Phases, look_at_the_overload, look_at_the_recovery

KINDS = (asked.single(), asked.granted())
PHASES = Phases(before_s=4, overload_s=3, after_s=12)
PER_S = 10
Answer = tuple[float, int, bool]
"""How long it took (s), its status, whether it says when to come back."""
GOOD = 0.010


def answered(answer: Callable[[int, int], Answer]) -> Found:
    """Look at ten requests a second, events and placements in turn; `answer` gives what came of one, by second and number."""
    answers = Answers(kinds=KINDS, sample="the first of them")
    for number in range(int(PHASES.end) * PER_S):
        second = number // PER_S
        took_s, status, told_when = answer(second, number)
        answers.numbers.append(number)
        answers.due.append(number / PER_S)
        answers.took.append(took_s)
        answers.waited.append(0.0)
        answers.status.append(status)
        answers.good.append(status == KINDS[number % len(KINDS)].status)
        answers.told_when.append(told_when)
    found = Found()
    look_at_the_overload(found, answers, PHASES, 800)
    look_at_the_recovery(found, answers, PHASES)
    return found


def well(number: int) -> Answer:
    """Give a good answer."""
    return GOOD, KINDS[number % len(KINDS)].status, False


def in_overload(second: int) -> bool:
    """Tell whether it is overloaded then."""
    start, end = PHASES.overload
    return start <= second < end


def test_refusals_that_say_when_to_come_back_are_all_right() -> None:
    """An overload in which some are refused as they should be, and all is well after it, has nothing wrong."""
    found = answered(lambda second, number: (0.001, 503, True) if in_overload(second) and number % 5 else well(number))

    assert (found.wrong, found.slow) == ([], [])
    assert found.figures["refused_per_s"] == PER_S * 4 / 5
    assert found.figures["recovered_after_s"] == 0


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ((0.001, 503, False), "refused without Retry-After"),
        ((5.0, 0, False), "neither what they asked for nor a refusal"),
        ((0.001, 500, True), "neither what they asked for nor a refusal"),
    ],
)
def test_what_nobody_should_be_answered_is_found(bad: Answer, words: str) -> None:
    """One refusal without a time, one silence or one failure is enough."""
    found = answered(lambda _, number: bad if number == 52 else well(number))

    (wrong,) = found.wrong
    assert words in wrong
    assert wrong.startswith("1 ")


def test_a_placement_past_its_deadline_is_found_and_one_given_up_is_not() -> None:
    """A grant that is shown too late is slow; one that was given up in time was told so."""
    late = answered(lambda _, number: (0.9, 200, False) if number == 51 else well(number))
    given_up = answered(lambda _, number: (0.81, 202, False) if number == 51 else well(number))

    assert late.slow == ["a placement was answered after 900 ms, past 800 ms"]
    assert (given_up.wrong, given_up.slow) == ([], [])
    assert given_up.figures["given_up_at_the_deadline"] == 1


@pytest.mark.parametrize("after", [(0.5, 202, False), (GOOD, 503, True)])
def test_recovery_counts_until_three_seconds_in_a_row_are_well(after: Answer) -> None:
    """Seconds in which anybody waits long or is refused are no recovery; nor are two good ones between them."""
    end = int(PHASES.overload[1])
    uneasy = {end, end + 3}

    def answer(second: int, number: int) -> Answer:
        return after if second in uneasy and number % 2 == 0 else well(number)

    assert answered(answer).figures["recovered_after_s"] == 4

    uneasy = set(range(end, end + 11))
    assert answered(answer).slow == ["it took inf s to recover"]
