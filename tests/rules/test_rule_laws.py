"""The laws of `not`, `and` and `or`, for any conditions over any facts."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.rules.agreement import verdict
from tests.rules.rules_at_random import Json, conditions, facts

PART = conditions(4)
PARTS = st.lists(PART, min_size=1, max_size=4)
BOTH = st.sampled_from(["and", "or"])
ALWAYS: Json = {"block": "pbb.condition.exists", "params": {"value": 1}}
NEVER: Json = {"not": ALWAYS}
NOBODY: Json = {"block": "pbb.resource.user_attribute", "params": {"name": "nobody has this"}}
UNKNOWN: Json = {"block": "pbb.condition.equals", "params": {"value": NOBODY, "to": 1}}


def status(condition: Json, facts: Any) -> str:
    return verdict(condition, facts)[0]


@given(PARTS, facts())
def test_de_morgan(parts: list[Json], facts: Any) -> None:
    """Not all is the same as one that does not; not any is the same as none; without multiplicity either way."""
    denied = [{"not": part} for part in parts]
    assert verdict({"not": {"and": parts}}, facts) == verdict({"or": denied}, facts)
    assert verdict({"not": {"or": parts}}, facts) == verdict({"and": denied}, facts)


@given(PART, facts())
def test_double_negation(part: Json, facts: Any) -> None:
    """Turned around twice is as it was, except that `not` counts only once."""
    was, times = verdict(part, facts)
    assert verdict({"not": {"not": part}}, facts) == (was, min(times, 1))


@given(BOTH, PARTS, st.randoms(use_true_random=False), facts())
def test_order_plays_no_part(both: str, parts: list[Json], random: Any, facts: Any) -> None:
    """The parts of `and` and `or` may stand in any order: same verdict, same multiplicity."""
    shuffled = random.sample(parts, len(parts))
    assert verdict({both: parts}, facts) == verdict({both: shuffled}, facts)


@given(BOTH, PARTS, PARTS, facts())
def test_grouping_plays_no_part(both: str, parts: list[Json], more: list[Json], facts: Any) -> None:
    """The parts of `and` and `or` may be put in groups: same verdict, same multiplicity."""
    flat = verdict({both: [*parts, *more]}, facts)
    assert verdict({both: [{both: parts}, *more]}, facts) == flat
    assert verdict({both: [*parts, {both: more}]}, facts) == flat


@given(BOTH, PART, st.integers(1, 4), facts())
def test_saying_it_again_adds_nothing(both: str, part: Json, often: int, facts: Any) -> None:
    """A condition alone, or with itself, in `and` and `or` is as it is."""
    assert verdict({both: [part] * often}, facts) == verdict(part, facts)


@given(PART, PART, facts())
def test_absorption(part: Json, other: Json, facts: Any) -> None:
    """`a or (a and b)` and `a and (a or b)` are decided as `a` is."""
    for outer, inner in (("or", "and"), ("and", "or")):
        assert status({outer: [part, {inner: [part, other]}]}, facts) == status(part, facts)


@given(PART, PART, PART, facts())
def test_distribution(part: Json, one: Json, other: Json, facts: Any) -> None:
    """`a and (b or c)` is decided as `(a and b) or (a and c)`, and the same with both exchanged."""
    for outer, inner in (("or", "and"), ("and", "or")):
        spread = {outer: [{inner: [part, one]}, {inner: [part, other]}]}
        assert status({inner: [part, {outer: [one, other]}]}, facts) == status(spread, facts)


@given(PART, facts())
def test_what_is_neutral_and_what_decides(part: Json, facts: Any) -> None:
    """True leaves `and` as it is and false leaves `or`; false decides `and`, true decides that `or` holds."""
    whole = verdict(part, facts)
    assert verdict({"and": [part, ALWAYS]}, facts) == whole
    assert verdict({"or": [part, NEVER]}, facts) == whole
    assert verdict({"and": [part, NEVER]}, facts) == ("not_matched", 0)
    assert verdict({"or": [part, ALWAYS]}, facts) == ("matched", max(1, whole[1]))


@given(PART, facts())
def test_unknown_among_others(part: Json, facts: Any) -> None:
    """Unknown yields to what decides, and to nothing else."""
    whole = status(part, facts)
    assert status({"not": UNKNOWN}, facts) == "unknown"
    assert status({"and": [part, UNKNOWN]}, facts) == ("not_matched" if whole == "not_matched" else "unknown")
    assert status({"or": [UNKNOWN, part]}, facts) == ("matched" if whole == "matched" else "unknown")


@given(PART, facts(), st.sampled_from(["user", "event", "order", "behaviours", "now"]), st.booleans())
def test_knowing_less_never_turns_an_answer_around(part: Json, facts: Any, section: str, absent: bool) -> None:
    """Without a part of the facts, a condition is decided as before, or is unknown; `exists` alone asks for absence."""
    assume(isinstance(facts, dict) and "pbb.condition.exists" not in str(part))
    less = {key: value for key, value in facts.items() if key != section}
    after = status(part, less if absent else {**less, section: None})
    assert after in ("unknown", status(part, facts))


@given(PART, facts())
def test_unknown_conditions_stay_unknown_turned_around(part: Json, facts: Any) -> None:
    """`not` exchanges the two that are decided and leaves the third alone."""
    turned = {"matched": "not_matched", "not_matched": "matched", "unknown": "unknown"}
    assert status({"not": part}, facts) == turned[status(part, facts)]
