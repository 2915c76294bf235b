"""A rule as one Python function: constants as constants, resources as locals, an exit of its own for each condition.

The function decides what is plain. Wherever a fact is missing, or not as simple as the compiled code takes it, it raises
and the exact evaluation (`tactics.rules.plan`) decides: so there is one truth about unknowns, and none of it in the way
of facts that are all there. Source: DESIGN, "Rules as JSON".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain
from types import FunctionType
from typing import Any, TypeAlias

from tactics.rules.evaluation import Decision, Evaluation, decide, evaluate
from tactics.rules.facts import Facts
from tactics.rules.from_json import over_json
from tactics.rules.plan import SELECTORS, Plan, PlannedBlock, PlannedCondition, PlannedNot, Run, plan
from tactics.rules.quick import Unclear
from tactics.rules.reason import asked_for
from tactics.rules.registry import Blocks
from tactics.rules.shape import Outline, Shape
from tactics.rules.tree import Block, Rule
from tactics.rules.typed import ask_elsewhere
from tactics.rules.value import plain
from tactics.rules.writer import EXACTLY, MAKE_RUN, Form, ShapeWriter, steps_of

Decide: TypeAlias = Callable[..., Decision]
# Shapes kept at most; beyond, they are written anew.
_MOST_SHAPES = 2_000
# A larger rule hardly has a second one like it.
_LARGEST_SHAPE = 500


class CompiledRule:
    """A rule over the blocks of one time, ready to be asked as often as there are facts.

    `decide(facts, item_id=None)` gives a `Decision`, at the speed of hand-written Python; `item_id` is the current item
    where a rule is evaluated per item. `calculate` gives the whole answer, with effects and reasons.
    """

    def __init__(self, rule: Rule, blocks: Blocks) -> None:
        self.rule = rule
        self.blocks = blocks

    @cached_property
    def decide(self) -> Decide:
        """The compiled function: `decide(facts, item_id=None)`."""
        return self._build("decide")

    @cached_property
    def matches(self) -> Callable[..., bool]:
        """As `decide`, with nothing but whether the rule holds: `matches(facts, item_id=None)`."""
        return self._build("matches")

    @cached_property
    def decide_json(self) -> Callable[..., Decision]:
        """As `decide`, over facts that are JSON text: `decide_json(text, item_id=None)`.

        With msgspec installed, only what the rule reads is decoded. Raises RuleError for what is not JSON.
        """
        return over_json(self.decide, lambda: self._build("typed"), Outline(self.rule).blocks, self.blocks)

    @cached_property
    def plan(self) -> Plan:
        """The rule for the exact evaluation."""
        return plan(self.rule, self.blocks)

    def calculate(self, facts: object, item_id: str | None = None) -> Evaluation:
        """The whole answer. Raises nothing, whatever the facts."""
        decision = self.decide(facts, item_id)
        if decision.evaluation is not None:
            return decision.evaluation
        if decision.matched:
            given = chain.from_iterable(self._given(step, times, item_id) for step, times in decision.steps)
            return Evaluation("matched", tuple(given))
        return evaluate(self.plan, self.run(facts, item_id))

    def asked_at(self, path: str) -> str:
        """What the condition at the path of a decision asks for, in words; empty where there is no condition."""
        found = next((node for node in _conditions(self.plan) if node.path == path), None)
        return "" if found is None else asked_for(found, self.run({}))

    def exactly(self, facts: object, item_id: str | None, run: Run | None) -> Decision:
        """What the exact evaluation decides, going on with a run where there is one."""
        return decide(self.plan, self.run(facts, item_id) if run is None else run)

    def run(self, facts: object, item_id: str | None = None) -> Run:
        """A fresh run of the exact evaluation."""
        return Run(Facts(facts, item_id), self.plan.slots)

    @cached_property
    def _effects(self) -> tuple[tuple[tuple[str, dict[str, object], bool], ...], ...]:
        """The actions of each step: block, parameters, and whether they mean the current item."""
        return tuple(tuple(map(self._effect, step.then)) for step, _ in steps_of(self.rule))

    def _effect(self, action: Block) -> tuple[str, dict[str, object], bool]:
        definition = self.blocks.get(action.block)
        if definition is None:
            return action.block, dict(action.params), False
        # As declared: equal rules answer alike, to the letter.
        constants: dict[str, object] = {
            name: action.params[name] for name in definition.parameters if name in action.params
        }
        return action.block, constants, definition.per_item and not constants.keys() & SELECTORS

    def _given(self, step: int, times: int, item_id: str | None) -> Iterator[dict[str, Any]]:
        for block, constants, per_item in self._effects[step]:
            params = {key: plain(value) for key, value in constants.items()}
            if per_item and item_id is not None:
                params["item_id"] = item_id
            yield {"block": block, "params": params, "times": times}

    def _build(self, form: Form) -> Callable[..., Any]:
        outline = Outline(self.rule)
        shape = self._shape(outline, form)
        names = shape.globals_of(outline.blocks)
        names[EXACTLY] = ask_elsewhere if form == "typed" else self.exactly
        if shape.exact:
            names[MAKE_RUN] = self.run
            planned = {node.path: node for node in _conditions(self.plan)}
            names.update((name, _sure(planned[path])) for name, path in shape.exact)
        return FunctionType(shape.code, names, "decide", (None,))

    def _shape(self, outline: Outline, form: Form) -> Shape:
        """The shape of the rule, written if no rule of this shape was compiled lately."""
        key = (form, outline.key)
        shape: Shape | None = self.blocks.shapes.get(key)
        if shape is None:
            shape = ShapeWriter(self.rule, self.blocks, outline, form).shape()
            if len(self.blocks.shapes) >= _MOST_SHAPES:
                self.blocks.shapes.clear()
            if len(outline.key) <= _LARGEST_SHAPE:
                self.blocks.shapes[key] = shape
        return shape


def _sure(block: PlannedCondition) -> Callable[[Run], int]:
    """The condition's verdict by the exact evaluation; raises where it is unknown."""

    def verdict(run: Run) -> int:
        found = block.verdict(run)
        if found is None:
            raise Unclear
        return found

    return verdict


def _conditions(ready: Plan) -> Iterator[PlannedCondition]:
    tops = [ready.bare, *(step.when for step in ready.steps)]
    return chain.from_iterable(_under(top) for top in tops if top is not None)


def _under(node: PlannedCondition) -> Iterator[PlannedCondition]:
    yield node
    if isinstance(node, PlannedNot):
        yield from _under(node.child)
    elif not isinstance(node, PlannedBlock):
        for child in node.children:
            yield from _under(child)
