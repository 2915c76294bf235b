"""What is wrong with a ladder's steps, one beside the other.

Claimed: a step never wins, in `highest` or `first`, where each of its cases is one of a step that goes before it. By
bounds, two steps are compared when each wants one amount to reach a bound and otherwise asks the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tactics.rules.atom import Bound, bound_of, canonical_text
from tactics.rules.cases import NEVER, Cases, Search
from tactics.rules.problem import Problem, pointer
from tactics.rules.region import Cut
from tactics.rules.registry import Registry
from tactics.rules.value import is_number

Json = Mapping[str, Any]

# What tells how much an action gives; True where more of it gives more.
_MEASURES = {"amount_minor": True, "percent": True, "points": True, "quantity": True, "price_minor": False}
_MEASURED = "pbb.action."


def unwinnable(steps: list[Json], mode: str, holds: list[Cases], search: Search) -> Iterator[Problem | int]:
    """A problem for each step that can never win; the index of each for which that stays open.

    `holds` are the cases in which the steps hold. Raises TooMuchError.
    """
    if mode == "all":
        return
    order = list(range(len(steps)))
    if mode == "highest":
        order.reverse()
    before: list[int] = []
    covered = NEVER
    for index in order:
        if not holds[index].none:
            verdict = search.covered(holds[index], covered)
            winner = None
            if verdict is not False:
                winner = next((one for one in before if search.covered(holds[index], Cases(holds[one].cases))), None)
            if verdict or winner is not None:
                yield _never_wins(index, winner, mode)
            elif verdict is None:
                yield index
        # An action that reads a resource makes its step unknown where that is: others may then win all the same.
        if not any(isinstance(value, Mapping) for action in steps[index]["then"] for value in _params(action).values()):
            before.append(index)
            covered = search.any([covered, holds[index]])


def ladder_problems(tiers: Json, registry: Registry) -> list[Problem]:
    """Steps of which the higher gives less, and steps of `highest` that do not rise."""
    mode = tiers.get("mode", "highest")
    if mode == "all":
        return []
    asked = [
        (index, demand, step["so"]["then"])
        for index, step in enumerate(tiers["steps"])
        for demand in [_demand(step["so"].get("when"), registry)]
        if demand is not None
    ]
    problems = list(_gives_less(asked, mode))
    return problems + list(_not_rising(asked)) if mode == "highest" else problems


@dataclass(frozen=True, slots=True)
class _Demand:
    bound: Bound
    # What else is asked, beside the bound.
    others: frozenset[str]


def _params(action: Json) -> Json:
    params: Json = action.get("params", {})
    return params


def _never_wins(index: int, winner: int | None, mode: str) -> Problem:
    path = pointer("/tiers/steps", index)
    others = "after" if mode == "highest" else "before"
    who = f"one of those {others} it" if winner is None else f"{pointer('/tiers/steps', winner)} {others} it"
    order = "the least to the most" if mode == "highest" else "the most to the least"
    text = (
        f"this step can never win: whenever it holds, so does {who}, which wins in `{mode}`: list the steps from "
        f"{order}, or change their conditions"
    )
    return Problem(path, "never_wins", text, "warning")


def _demand(when: Json | None, registry: Registry) -> _Demand | None:
    """The bound that the condition wants one amount to reach, and what else it asks; None where there is not one."""
    if when is None:
        return None
    bounds: list[Bound] = []
    others: list[str] = []
    waiting = [when]
    while waiting:
        node = waiting.pop()
        if "and" in node:
            waiting += node["and"]
            continue
        bound = bound_of(node, registry) if "block" in node else None
        if bound is None:
            others.append(canonical_text(node))
        else:
            bounds.append(bound)
    return _Demand(bounds[0], frozenset(others)) if len(bounds) == 1 else None


_Asked = list[tuple[int, _Demand, list[Json]]]


def _gives_less(asked: _Asked, mode: str) -> Iterator[Problem]:
    alike: dict[object, dict[Cut, tuple[int, dict[str, float]]]] = {}
    # Of steps that ask the same, the one that wins tells what is given.
    for index, demand, then in asked if mode == "highest" else reversed(asked):
        gifts = _gifts(then)
        if gifts:
            group = (demand.bound.subject, demand.others, frozenset(gifts))
            alike.setdefault(group, {})[demand.bound.cut] = index, gifts
    for steps in alike.values():
        for (_, (lower, less)), (_, (higher, more)) in pairwise(sorted(steps.items(), key=lambda step: step[0])):
            differences = [more[name] - less[name] for name in more]
            if max(differences) <= 0 > min(differences):
                text = (
                    f"this step asks for more than {pointer('/tiers/steps', lower)} and gives less: let it give more, or "
                    f"remove it"
                )
                yield Problem(pointer("/tiers/steps", higher), "gives_less", text, "warning")


def _gifts(then: list[Json]) -> dict[str, float]:
    """How much each action gives, by what it is apart from that; nothing where that cannot be told."""
    gifts: dict[str, float] = {}
    for action in then:
        params = dict(_params(action))
        name = (
            next((name for name in _MEASURES if name in params), None)
            if action["block"].startswith(_MEASURED)
            else None
        )
        amount = params.pop(name) if name else 0
        key = canonical_text({"block": action["block"], "params": {**params, name or "": name}})
        if not is_number(amount) or key in gifts:
            return {}
        gifts[key] = amount if name is None or _MEASURES[name] else -amount
    return gifts


def _not_rising(asked: _Asked) -> Iterator[Problem]:
    highest: dict[object, tuple[int, Bound]] = {}
    for index, demand, _ in asked:
        bound = demand.bound
        if not bound.open_end:
            continue
        group = (bound.subject, demand.others)
        last = highest.get(group)
        if last is not None and bound.cut <= last[1].cut:
            text = (
                f"this step asks for {bound.asked}, which is not more than the {last[1].asked} of "
                f"{pointer('/tiers/steps', last[0])} before it: in `highest` the last listed step that holds wins, so "
                "list the steps from the least to the most"
            )
            yield Problem(pointer("/tiers/steps", index), "not_rising", text, "warning")
        else:
            highest[group] = (index, bound)
