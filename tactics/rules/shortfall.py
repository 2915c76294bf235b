"""What is missing until a step of a rule holds, where only amounts are; and which action gave which effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from tactics.rules.discount import NO_PRICE_PHASE, phase
from tactics.rules.engine import compile_rule
from tactics.rules.evaluation import climb
from tactics.rules.plan import PlannedAnd, PlannedBlock, PlannedCondition, PlannedNot, PlannedSo, Run
from tactics.rules.registry import Registry
from tactics.rules.tree import Node, Rule, So, Tiers
from tactics.rules.value import Unknown, exact, is_number


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a step that does not hold still asks for.

    `path` is that of its `so`. `pieces` is how many more of them, the pieces being what `more` has one of beyond
    `facts`; `amount_minor` is the money that is missing, None where something else than money is.
    """

    path: str
    pieces: int
    amount_minor: int | None


def shortfalls(
    rule: Rule | Mapping[str, Any],
    facts: Mapping[str, Any],
    more: Mapping[str, Any],
    registry: Registry | None = None,
    *,
    item_id: str | None = None,
) -> tuple[Shortfall, ...]:
    """What the steps that change prices, and do not hold, still ask for; only those that more pieces would satisfy.

    Whatever a condition reads is taken to grow with each further piece as it does from `facts` to `more`: a threshold
    on something that stays the same is never reached, and one on something unknown promises nothing. The caller makes
    sure of what it promises by evaluating the rule with so many more. Raises RuleError as `price` does.
    """
    ready = compile_rule(rule, registry)
    now, then = ready.run(facts, item_id), ready.run(more, item_id)
    return tuple(_shortfalls(ready.plan.steps, now, then))


def origins(
    rule: Rule | Mapping[str, Any],
    facts: Mapping[str, Any],
    registry: Registry | None = None,
    *,
    item_id: str | None = None,
) -> list[tuple[str, dict[str, Any]]]:
    """The effects that `calculate` gives, each with the path (a JSON Pointer) of the action that it comes from."""
    ready = compile_rule(rule, registry)
    run = ready.run(facts, item_id)
    return [
        (action.path, effect)
        for step, verdict in climb(ready.plan, run)[0]
        for action, effect in zip(step.then, step.effects(run, verdict), strict=True)
    ]


def changes_prices(rule: Node) -> bool:
    """Whether any action of the rule is one that `price` lowers prices by."""
    steps = rule.steps if isinstance(rule, Tiers) else (rule,) if isinstance(rule, So) else ()
    return any(phase(action.block) != NO_PRICE_PHASE for step in steps for action in step.then)


@dataclass(frozen=True, slots=True)
class _Lack:
    pieces: int
    amount_minor: int | None


_NOTHING = _Lack(0, 0)


def _shortfalls(steps: tuple[PlannedSo, ...], now: Run, then: Run) -> Iterator[Shortfall]:
    for step in steps:
        if step.when is None or not any(phase(action.definition.id) != NO_PRICE_PHASE for action in step.then):
            continue
        lack = _lack(step.when, now, then, wanted=True)
        if lack is not None and lack.pieces:
            yield Shortfall(step.path, lack.pieces, lack.amount_minor)


def _lack(node: PlannedCondition, now: Run, then: Run, *, wanted: bool) -> _Lack | None:
    """What is missing until the condition has the verdict that is wanted; None where more pieces do not bring it."""
    verdict = node.verdict(now)
    if verdict is None:
        return None
    if (verdict is not False) == wanted:
        return _NOTHING
    if isinstance(node, PlannedBlock):
        return _until_threshold(node, now, then, wanted=wanted)
    if isinstance(node, PlannedNot):
        return _lack(node.child, now, then, wanted=not wanted)
    parts = [_lack(child, now, then, wanted=wanted) for child in node.children]
    if isinstance(node, PlannedAnd) != wanted:
        return min(filter(None, parts), key=lambda part: part.pieces, default=None)
    known = [part for part in parts if part is not None]
    return _together(known) if len(known) == len(parts) else None


def _together(parts: list[_Lack]) -> _Lack:
    missing = [part for part in parts if part.pieces]
    amounts = [part.amount_minor for part in missing if part.amount_minor is not None]
    amount_minor = max(amounts) if len(amounts) == len(missing) else None
    return _Lack(max(part.pieces for part in missing), amount_minor)


def _until_threshold(block: PlannedBlock, now: Run, then: Run, *, wanted: bool) -> _Lack | None:
    found, later = block.arguments(now), block.arguments(then)
    if isinstance(found, Unknown) or isinstance(later, Unknown):
        return None
    threshold = _threshold(block.definition.id, found, wanted=wanted)
    if threshold is None or not (is_number(found["amount"]) and is_number(later["amount"])):
        return None
    least, passed = threshold
    missing = exact(least) - exact(found["amount"])
    each = exact(later["amount"]) - exact(found["amount"])
    if each <= 0 or missing < 0:
        return None
    pieces = floor(missing / each) + 1 if passed else ceil(missing / each)
    unit = next((source.definition.unit for name, _, source in block.resources if name == "amount"), None)
    amount_minor = floor(missing) + 1 if passed else ceil(missing)
    return _Lack(pieces, amount_minor if unit == "minor" else None)


def _threshold(block: str, values: Mapping[str, Any], *, wanted: bool) -> tuple[Any, bool] | None:
    """The amount from which on the condition is as wanted, and whether it has to be passed."""
    if wanted:
        if block == "pbb.condition.amount_at_least":
            return values["amount_at"], False
        if block == "pbb.condition.amount_more_than":
            return values["amount_at"], True
        return (values["low"], False) if block == "pbb.condition.amount_between" else None
    if block == "pbb.condition.amount_below":
        return values["amount_at"], False
    return (values["high"], True) if block == "pbb.condition.amount_between" else None
