"""The laws of ladders and of multiples, for any steps over any facts."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tactics.rules import Evaluation, calculate
from tests.rules.agreement import unknown_steps, verdict
from tests.rules.rules_at_random import Json, actions, conditions, facts, item_ids, steps
from tests.rules.test_rule_laws import ALWAYS, NEVER, UNKNOWN

STEPS = st.lists(steps(3), min_size=1, max_size=4)
MODES = st.sampled_from(["highest", "first", "all"])
GIFT: Json = {"block": "pbb.action.gift", "params": {"item_id": "free", "quantity": 1}}


def ladder(listed: list[Json], mode: str) -> Json:
    return {"tiers": {"mode": mode, "steps": listed}}


def given_by(answer: Evaluation) -> tuple[str, list[Json]]:
    return answer.status, list(answer.effects)


@given(STEPS, facts(), item_ids())
def test_highest_is_the_first_of_the_list_turned_around(listed: list[Json], facts: Any, item_id: str | None) -> None:
    """Same status, same effects, same steps skipped."""
    turned = ladder(listed[::-1], "first")
    highest = calculate(ladder(listed, "highest"), facts, item_id=item_id)
    first = calculate(turned, facts, item_id=item_id)
    assert given_by(highest) == given_by(first)
    last = len(listed) - 1
    skipped = [last - step for step in unknown_steps(turned, first)]
    assert unknown_steps(ladder(listed, "highest"), highest) == skipped


@given(STEPS, facts(), item_ids())
def test_all_is_every_step_alone_together(listed: list[Json], facts: Any, item_id: str | None) -> None:
    """The effects are those of each step on its own, one after the other; it holds when one of them does."""
    alone = [calculate(step, facts, item_id=item_id) for step in listed]
    status, effects = given_by(calculate(ladder(listed, "all"), facts, item_id=item_id))
    assert effects == [effect for answer in alone for effect in answer.effects]
    statuses = [answer.status for answer in alone]
    assert status == next((one for one in ("matched", "unknown") if one in statuses), "not_matched")


@given(STEPS, MODES, facts())
def test_every_mode_holds_for_the_same_facts(listed: list[Json], mode: str, facts: Any) -> None:
    """Modes choose among the steps that hold; whether one does is the same for all."""
    assert calculate(ladder(listed, mode), facts).status == calculate(ladder(listed, "all"), facts).status


@given(steps(6), MODES, facts(), item_ids())
def test_a_ladder_of_one_step_is_that_step(step: Json, mode: str, facts: Any, item_id: str | None) -> None:
    """In every mode."""
    alone = calculate(step, facts, item_id=item_id)
    assert given_by(calculate(ladder([step], mode), facts, item_id=item_id)) == given_by(alone)


@given(STEPS, MODES, st.integers(0, 4), facts())
def test_a_step_that_does_not_hold_changes_nothing(listed: list[Json], mode: str, at: int, facts: Any) -> None:
    """Wherever it stands; one that is unknown makes a ladder unknown where no step holds, and changes no effects."""
    before = calculate(ladder(listed, mode), facts)
    for when in (NEVER, UNKNOWN):
        more = [*listed[:at], {"so": {"when": when, "then": [GIFT]}}, *listed[at:]]
        status, effects = given_by(calculate(ladder(more, mode), facts))
        unmet = "unknown" if when == UNKNOWN else before.status
        assert (status, effects) == ("matched" if before.matched else unmet, list(before.effects))


@given(STEPS, facts())
def test_a_step_for_everybody_wins_at_its_end(listed: list[Json], facts: Any) -> None:
    """A last step without condition is always the highest, and a first one always the first."""
    everybody: Json = {"so": {"then": [GIFT]}}
    given_to_everybody = [{"block": GIFT["block"], "params": GIFT["params"], "times": 1}]
    assert list(calculate(ladder([*listed, everybody], "highest"), facts).effects) == given_to_everybody
    assert list(calculate(ladder([everybody, *listed], "first"), facts).effects) == given_to_everybody


@given(conditions(6), st.lists(actions(), min_size=1, max_size=3), facts(), item_ids())
def test_a_so_is_its_condition_and_its_actions(when: Json, then: list[Json], facts: Any, item_id: str | None) -> None:
    """It holds when its condition does and what it gives is known; each effect is that of its action alone, so often."""
    alone = calculate(when, facts, item_id=item_id)
    parts = [calculate({"so": {"then": [action]}}, facts, item_id=item_id) for action in then]
    answer = calculate({"so": {"when": when, "then": then}}, facts, item_id=item_id)
    if not alone.matched:
        assert given_by(answer) == (alone.status, [])
    elif not all(part.matched for part in parts):
        assert given_by(answer) == ("unknown", [])
    else:
        _, times = verdict(when, facts, item_id)
        assert given_by(answer) == ("matched", [{**part.effects[0], "times": times} for part in parts])


AMOUNTS = st.integers(0, 500) | st.sampled_from([0.1, 0.3, 2.5, 99.99])
LEASTS = st.integers(1, 100) | st.sampled_from([0.1, 0.25, 33.3])


def counted(amount: float, least: float, **more: Any) -> Json:
    params = {"amount": amount, "amount_at": least, "enable_multiple": True, **more}
    return {"block": "pbb.condition.amount_at_least", "params": params}


@given(AMOUNTS, LEASTS, st.integers(1, 6))
def test_a_cap_caps_and_does_no_more(amount: float, least: float, cap: int) -> None:
    """`max_multiple` changes how often a condition holds, down to the cap, and never whether it does."""
    status, times = verdict(counted(amount, least), {})
    assert verdict(counted(amount, least, max_multiple=cap), {}) == (status, min(times, cap))
    assert verdict(counted(amount, least, enable_multiple=False), {}) == (status, min(times, 1))


@given(AMOUNTS, AMOUNTS, LEASTS)
def test_more_never_counts_less(one: float, other: float, least: float) -> None:
    """Who spends more holds at least as many times."""
    (_, few), (_, many) = (verdict(counted(amount, least), {}) for amount in sorted([one, other]))
    assert few <= many


@given(st.lists(st.tuples(AMOUNTS, LEASTS), min_size=1, max_size=4))
def test_and_takes_the_least_or_the_greatest(pairs: list[tuple[float, float]]) -> None:
    """Of those that hold; conditions that do not count have no say, and `not` counts nothing."""
    parts = [counted(amount, least) for amount, least in pairs]
    times = [verdict(part, {})[1] for part in parts]
    assert verdict({"and": [*parts, ALWAYS]}, {})[1] == min(times)
    assert verdict({"or": [NEVER, *parts]}, {})[1] == max(times)
    assert verdict({"or": [*parts, ALWAYS]}, {})[1] == max(1, *times)
    assert verdict({"not": {"not": {"and": parts}}}, {})[1] == min(1, *times)
