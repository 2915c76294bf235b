"""Nobody is timed who answers differently: each contestant's answers are compared with ours first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.bench.rules import hand, ours
from tests.bench.rules.facts import Facts, as_json, sparse
from tests.bench.stage import MeasureFailed


def same(who: str, given: Iterable[Any], wanted: Iterable[Any]) -> None:
    """Compare the answers of a contestant with ours, facts by facts.

    Raises:
        MeasureFailed: one differs.
    """
    for number, (theirs, our) in enumerate(zip(given, wanted, strict=True)):
        if theirs != our:
            raise MeasureFailed(f"{who} answers {theirs!r} to facts {number}, and we {our!r}")


def ours_are_by_hand(name: str, orders: Sequence[Facts]) -> list[Any]:
    """Compare every way of ours to judge a single rule with the hand-written one, also where facts leave things out.

    Returns:
        What the rule gives, by order; None where it does not match.

    Raises:
        MeasureFailed: answers differ.
    """
    compiled = ours.single(name)
    by_hand = hand.HAND.single()[name]
    every = [*orders, *(sparse(facts, seed) for seed, facts in enumerate(orders))]
    wanted = [by_hand(facts) for facts in every]
    same(f"calculate of {name}", [ours.gives(compiled.calculate(facts)) for facts in every], wanted)
    same(f"decide of {name}", [ours.decided(name, compiled.decide(facts)) for facts in every], wanted)
    from_json = [ours.decided(name, compiled.decide_json(as_json(facts))) for facts in every]
    same(f"decide_json of {name}", from_json, wanted)
    same(f"matches of {name}", [compiled.matches(facts) for facts in every], [one is not None for one in wanted])
    return wanted[: len(orders)]


def keys(
    who: str, matching: Callable[[Facts], Sequence[str]], orders: Sequence[Facts], wanted: list[list[str]]
) -> None:
    """Compare which rules match, in whatever order; raises MeasureFailed when they differ."""
    same(who, [sorted(matching(facts)) for facts in orders], wanted)
