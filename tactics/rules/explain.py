"""An evaluation with every node's verdict, for people who ask why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tactics.rules.engine import calculate, compile_rule
from tactics.rules.evaluation import Evaluation, climb, evaluate
from tactics.rules.plan import (
    Plan,
    PlannedAnd,
    PlannedBlock,
    PlannedCondition,
    PlannedNot,
    PlannedSo,
    Run,
    Verdict,
    words,
)
from tactics.rules.problem import RuleError
from tactics.rules.reason import reason_for_block
from tactics.rules.registry import Registry
from tactics.rules.tree import Rule
from tactics.rules.value import Unknown, plain

_MARKS = {True: "✓", False: "✗", None: "?"}
_GIVEN = {True: "→", False: "·", None: "?"}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a resource block came to: a value, or why there is none."""

    path: str
    block: str
    value: object

    def to_json(self) -> dict[str, Any]:
        """`{"path", "block", "value"}`, or `unknown` with its reason instead of a value."""
        found = {"unknown": self.value.text} if isinstance(self.value, Unknown) else {"value": plain(self.value)}
        return {"path": self.path, "block": self.block, **found}


@dataclass(frozen=True, slots=True)
class Explained:
    """One node of the rule: what it is, whether it holds (None: unknown), how many times, why, and its parts.

    An action "holds" when the answer gives it. `times` is None for what holds once, or not at all. `resources` are what
    the node's own resources came to.
    """

    path: str
    node: str
    verdict: bool | None
    text: str
    children: tuple[Explained, ...] = ()
    details: dict[str, object] = field(default_factory=dict)
    action: bool = False
    times: int | None = None
    resources: tuple[Fetched, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """This node and its parts as JSON data."""
        own = {"path": self.path, "node": self.node, "verdict": self.verdict, "text": self.text, **self.details}
        if self.times is not None:
            own["times"] = self.times
        if self.resources:
            own["resources"] = [one.to_json() for one in self.resources]
        return {**own, "children": [child.to_json() for child in self.children]}


@dataclass(frozen=True, slots=True)
class Explanation:
    """An evaluation and the tree behind it; there is no tree where there is no well-formed rule."""

    evaluation: Evaluation
    tree: Explained | None

    def to_json(self) -> dict[str, Any]:
        """The evaluation with its `tree`."""
        return {**self.evaluation.to_json(), "tree": self.tree.to_json() if self.tree else None}

    def lines(self) -> Iterator[str]:
        """The answer as text: one line for each node, marked ✓, ✗ or ?."""
        yield self.evaluation.status
        if self.tree is None:
            for reason in self.evaluation.reasons:
                yield f"  {reason.path or 'rule'}: {reason.text}"
            return
        yield from _lines(self.tree, "")


def explain(
    rule: Rule | Mapping[str, Any] | None,
    facts: object,
    registry: Registry | None = None,
    *,
    item_id: str | None = None,
) -> Explanation:
    """Evaluate a rule as `calculate` does, and tell the verdict of every node, also of those that decide nothing."""
    try:
        ready = compile_rule(rule, registry)  # type: ignore[arg-type]  # None is refused by it, and calculate says why
    except RuleError:
        return Explanation(calculate(rule, facts, registry, item_id=item_id), None)
    run = ready.run(facts, item_id)
    return Explanation(evaluate(ready.plan, run), _explain_plan(ready.plan, run))


def _explain_plan(ready: Plan, run: Run) -> Explained:
    if ready.bare is not None:
        return _condition(ready.bare, run)
    won = [step for step, _ in climb(ready, run)[0]]
    steps = tuple(_step(step, run, given=any(step is one for one in won)) for step in ready.steps)
    if not ready.ladder:
        return steps[0]
    known = (
        True if any(step.verdict for step in steps) else None if any(step.verdict is None for step in steps) else False
    )
    return Explained("/tiers", "tiers", known, f"tiers, {ready.mode}", steps)


def _step(step: PlannedSo, run: Run, *, given: bool) -> Explained:
    when = () if step.when is None else (_condition(step.when, run),)
    verdict = step.verdict(run)
    times = _times(verdict) if given else None
    then = tuple(_action(action, run, given=given, times=times) for action in step.then)
    text = "so" if when else "so, always"
    return Explained(step.path, "so", _held(verdict), text, (*when, *then), times=_times(verdict))


def _action(action: PlannedBlock, run: Run, *, given: bool, times: int | None) -> Explained:
    values = action.arguments(run)
    if isinstance(values, Unknown):
        text = f"{words(action, run)}: {values.text}"
        return Explained(action.path, action.definition.id, None, text, action=True, resources=_fetched(action, run))
    text = words(action, run) + (f", {times} times" if times is not None and times > 1 else "")
    return Explained(
        action.path, action.definition.id, given, text, action=True, times=times, resources=_fetched(action, run)
    )


def _condition(node: PlannedCondition, run: Run) -> Explained:
    verdict = node.verdict(run)
    held, times = _held(verdict), _times(verdict)
    if isinstance(node, PlannedBlock):
        reason = reason_for_block(node, run)
        return Explained(
            node.path,
            node.definition.id,
            held,
            reason.text,
            details=reason.details,
            times=times,
            resources=_fetched(node, run),
        )
    if isinstance(node, PlannedNot):
        return Explained(node.path, "not", held, "not", (_condition(node.child, run),))
    name = "and" if isinstance(node, PlannedAnd) else "or"
    children = tuple(_condition(child, run) for child in node.children)
    return Explained(node.path, name, held, name, children, times=times)


def _fetched(block: PlannedBlock, run: Run) -> tuple[Fetched, ...]:
    """The block's resources, and theirs, inner ones last."""
    found: list[Fetched] = []
    for _, _, source in block.resources:
        found += [Fetched(source.path, source.definition.id, source.value(run)), *_fetched(source, run)]
    return tuple(found)


def _times(verdict: Verdict) -> int | None:
    return None if verdict is None or isinstance(verdict, bool) else verdict


def _held(verdict: Verdict) -> bool | None:
    return None if verdict is None else verdict is not False


def _lines(node: Explained, indent: str) -> Iterator[str]:
    yield f"{indent}{(_GIVEN if node.action else _MARKS)[node.verdict]} {node.text}"
    for child in node.children:
        yield from _lines(child, indent + "  ")
