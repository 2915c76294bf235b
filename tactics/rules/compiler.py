"""A rule as one Python function: constants as constants, resources as locals, an exit of its own for each condition.

The function decides what is plain. Wherever a fact is missing, or not as simple as the compiled code takes it, it raises
and the exact evaluation (`tactics.rules.plan`) decides: so there is one truth about unknowns, and none of it in the way
of facts that are all there. Source: DESIGN, "Rules as JSON".
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias, cast

from tactics.rules import syntax
from tactics.rules.emit import FACTS, ITEM, RUN, Emitter, Known, call, counts, name, negated
from tactics.rules.evaluation import Decision, Evaluation, decide, evaluate
from tactics.rules.facts import Facts
from tactics.rules.plan import SELECTORS, Plan, PlannedBlock, PlannedCondition, PlannedNot, Run, plan
from tactics.rules.problem import pointer
from tactics.rules.quick import Quick, Section, Unclear
from tactics.rules.registry import Registry
from tactics.rules.tree import And, Block, Condition, Not, Or, Rule, So, Tiers
from tactics.rules.value import plain

Decide: TypeAlias = Callable[..., Decision]
# A condition, and where it stands.
Conjunct: TypeAlias = tuple[Condition, str]


class CompiledRule:
    """A rule, made for one registry, ready to be asked as often as there are facts.

    `decide(facts, item_id=None)` gives a `Decision`, at the speed of hand-written Python; `item_id` is the current item
    where a rule is evaluated per item. `calculate` gives the whole answer, with effects and reasons.
    """

    decide: Decide

    def __init__(self, rule: Rule, registry: Registry) -> None:
        self.rule = rule
        self.registry = registry
        # Of the blocks as they were then: a registry that changes begins a new collection.
        self.made_in = registry.compiled
        self.decide = cast("Decide", self._build(words=True))

    @cached_property
    def matches(self) -> Callable[..., bool]:
        """As `decide`, with nothing but whether the rule holds: `matches(facts, item_id=None)`."""
        return cast("Callable[..., bool]", self._build(words=False))

    @cached_property
    def plan(self) -> Plan:
        """The rule for the exact evaluation."""
        return plan(self.rule, self.registry)

    def calculate(self, facts: object, item_id: str | None = None) -> Evaluation:
        """The whole answer. Raises nothing, whatever the facts."""
        decision = self.decide(facts, item_id)
        if decision.evaluation is not None:
            return decision.evaluation
        if decision.matched:
            given = chain.from_iterable(self._given(step, times, item_id) for step, times in decision.steps)
            return Evaluation("matched", tuple(given))
        return evaluate(self.plan, self.run(facts, item_id))

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
        definition = self.registry.get(action.block)
        per_item = definition is not None and definition.per_item and not action.params.keys() & SELECTORS
        return action.block, dict(action.params), per_item

    def _given(self, step: int, times: int, item_id: str | None) -> Iterator[dict[str, Any]]:
        for block, constants, per_item in self._effects[step]:
            params = {key: plain(value) for key, value in constants.items()}
            if per_item and item_id is not None:
                params["item_id"] = item_id
            yield {"block": block, "params": params, "times": times}

    def _build(self, *, words: bool) -> Callable[..., Any]:
        writer = _Writer(self, words=words)
        names = writer.emitter.names
        function = writer.function()
        module = ast.Module([function], [])
        exec(compile(module, "<rule>", "exec"), names)  # noqa: S102  # a tree of our own making, without builtins
        made: Callable[..., Any] = names["decide"]
        made.__defaults__ = (None,)
        return made


class _Writer:
    """Writes the function of one rule."""

    def __init__(self, compiled: CompiledRule, *, words: bool) -> None:
        self.emitter = Emitter(compiled.registry, self._exact)
        self._compiled = compiled
        self._words = words
        self._planned: dict[str, PlannedBlock] | None = None

    def function(self) -> ast.FunctionDef:
        rule = self._compiled.rule
        body = self._ladder(rule) if isinstance(rule, (So, Tiers)) else self._bare(rule)
        emitter = self.emitter
        run: ast.expr = syntax.Constant(None)
        if emitter.needs_run:
            run = call(emitter.bound(self._compiled.run, "make_run"), name(FACTS), name(ITEM))
        start = [_assign(RUN, run)]
        start += [_assign(local, syntax.Constant(None)) for local in sorted(emitter.maybe)]
        unclear = syntax.ExceptHandler(emitter.bound(Exception, "error"), None, [self._ask_exactly()])
        arguments = ast.arguments([], [syntax.Argument(FACTS), syntax.Argument(ITEM)], None, [], [], None, [])
        return syntax.FunctionDef("decide", arguments, [*start, syntax.Try(body, [unclear], [], [])], [])

    def _bare(self, rule: Condition) -> list[ast.stmt]:
        statements, _, __ = self._asked(self._sorted(conjuncts(rule, "")), frozenset())
        return [*statements, syntax.Return(self._won(()))]

    def _ladder(self, rule: So | Tiers) -> list[ast.stmt]:
        """Each step in its turn: what all of them ask first, then what is their own."""
        steps = list(steps_of(rule))
        mode = rule.mode if isinstance(rule, Tiers) else "first"
        asked = [
            [] if step.when is None else self._sorted(conjuncts(step.when, pointer(path, "so", "when")))
            for step, path in steps
        ]
        shared = self._shared(asked)
        keys = {condition.key for condition, _ in shared}
        statements, known, _ = self._asked(shared, frozenset())
        order = list(range(len(steps)))
        if mode == "highest":
            order.reverse()
        if mode == "all":
            statements.append(_assign("won", syntax.List([], ast.Load())))
        for index in order:
            own = [one for one in asked[index] if one[0].key not in keys]
            last = index == order[-1] and mode != "all"
            if last or not own:
                more, known, _ = self._asked(own, known)
                statements += [*more, *self._give(index, steps[index][0], asked[index], mode)]
                if mode != "all":
                    return statements
                continue
            test, known_then, known_else = self._joined(own, known)
            statements.append(syntax.If(test, self._give(index, steps[index][0], asked[index], mode), []))
            known = known_else if mode != "all" else known_then & known_else
        nothing = asked[order[-1]][-1][1] if asked[order[-1]] else ""
        won = call(self.emitter.bound(_won_all if self._words else bool, "won_all"), name("won"))
        return [*statements, syntax.If(name("won"), [syntax.Return(won)], []), syntax.Return(self._exit(nothing))]

    def _asked(self, conjuncts: Sequence[Conjunct], known: Known) -> tuple[list[ast.stmt], Known, None]:
        """Each condition with an exit of its own."""
        statements: list[ast.stmt] = []
        for condition, path in conjuncts:
            test, known, _ = self.emitter.condition(condition, path, known)
            statements.append(syntax.If(negated(test), [syntax.Return(self._exit(path))], []))
        return statements, known, None

    def _joined(self, conjuncts: Sequence[Conjunct], known: Known) -> tuple[ast.expr, Known, Known]:
        parts: list[ast.expr] = []
        out: Known | None = None
        for condition, path in conjuncts:
            part, known, if_false = self.emitter.condition(condition, path, known)
            parts.append(part)
            out = if_false if out is None else out & if_false
        joined = parts[0] if len(parts) == 1 else syntax.BoolOp(ast.And(), parts)
        return joined, known, known if out is None else out

    def _give(self, index: int, step: So, asked: Sequence[Conjunct], mode: str) -> list[ast.stmt]:
        """What a step answers that holds."""
        if any(isinstance(value, Block) for action in step.then for value in action.params.values()):
            return [self._ask_exactly()]
        times = self._times([condition for condition, _ in asked])
        if times is None:
            return [self._ask_exactly()]
        if mode == "all":
            append = syntax.Attribute(name("won"), "append", ast.Load())
            return [syntax.Expr(call(append, syntax.Tuple([syntax.Constant(index), times], ast.Load())))]
        if isinstance(times, ast.Constant) or not self._words:
            return [syntax.Return(self._won(((index, 1),)))]
        return [syntax.Return(call(self.emitter.bound(_won_times, "won_times"), syntax.Constant(index), times))]

    def _times(self, conditions: Sequence[Condition]) -> ast.expr | None:
        """How many times a step holds whose conditions hold; None where only the exact evaluation can tell."""
        counted: list[ast.expr] = []
        for condition in conditions:
            if not may_count(condition, self._compiled.registry):
                continue
            times = self.emitter.times(condition) if isinstance(condition, Block) else None
            if times is None:
                return None
            counted.append(times)
        if not counted:
            return syntax.Constant(1)
        return counted[0] if len(counted) == 1 else call(self.emitter.bound(min, "least"), *counted)

    def _won(self, steps: tuple[tuple[int, int], ...]) -> ast.expr:
        return self.emitter.bound(Decision("matched", steps), "won") if self._words else syntax.Constant(True)

    def _exit(self, path: str) -> ast.expr:
        return self.emitter.bound(Decision("not_matched", (), path), "exit") if self._words else syntax.Constant(False)

    def _ask_exactly(self) -> ast.stmt:
        exactly = self.emitter.function(self._compiled.exactly, "exactly")
        asked = call(exactly, name(FACTS), name(ITEM), name(RUN))
        return syntax.Return(asked if self._words else syntax.Attribute(asked, "matched", ast.Load()))

    def _exact(self, path: str) -> Callable[[Run], int]:
        """The verdict of the block at a path, by the exact evaluation."""
        if self._planned is None:
            self._planned = {block.path: block for block in _planned(self._compiled.plan)}
        verdict_of = self._planned[path].verdict

        def verdict(run: Run) -> int:
            found = verdict_of(run)
            if found is None:
                raise Unclear
            return found

        return verdict

    def _sorted(self, conjuncts: list[Conjunct]) -> list[Conjunct]:
        """The conditions that cost least first; those that are not pure and total stay where they are."""
        found: list[Conjunct] = []
        movable: list[tuple[int, Conjunct]] = []
        for one in conjuncts:
            cost = self._cost(one[0])
            if cost is not None:
                movable.append((cost, one))
                continue
            found += [*_by_cost(movable), one]
            movable = []
        return found + _by_cost(movable)

    def _cost(self, node: Condition) -> int | None:
        """What asking costs, roughly, from 0; None where it may not be asked sooner or later than it stands."""
        costs = [self._cost_of_block(block) for block in blocks_of(node)]
        return None if None in costs else max(cost for cost in costs if cost is not None)

    def _cost_of_block(self, block: Block) -> int | None:
        definition = self._compiled.registry.get(block.block)
        if definition is None or not definition.total:
            return None
        if definition.kind == "condition" or isinstance(definition.quick, Section):
            return 0
        return 1 if isinstance(definition.quick, Quick) else 2

    def _shared(self, asked: Sequence[Sequence[Conjunct]]) -> list[Conjunct]:
        """The conditions that every step of a ladder asks: where one of them fails, no step holds."""
        if len(asked) < 2:  # noqa: PLR2004  # one step shares nothing
            return []
        common = set[str].intersection(*({condition.key for condition, _ in one} for one in asked))
        found = {one[0].key: one for one in asked[0] if one[0].key in common and self._cost(one[0]) is not None}
        return list(found.values())


def blocks_of(node: Condition | Block) -> Iterator[Block]:
    """Every block of a condition, resources included."""
    if isinstance(node, Block):
        yield node
        for value in node.params.values():
            if isinstance(value, Block):
                yield from blocks_of(value)
    elif isinstance(node, Not):
        yield from blocks_of(node.condition)
    else:
        for child in node.conditions:
            yield from blocks_of(child)


def _planned(ready: Plan) -> Iterator[PlannedBlock]:
    tops = [ready.bare, *(step.when for step in ready.steps)]
    return chain.from_iterable(_planned_under(top) for top in tops if top is not None)


def _planned_under(node: PlannedCondition) -> Iterator[PlannedBlock]:
    if isinstance(node, PlannedBlock):
        yield node
    elif isinstance(node, PlannedNot):
        yield from _planned_under(node.child)
    else:
        for child in node.children:
            yield from _planned_under(child)


def may_count(node: Condition, registry: Registry) -> bool:
    """Whether the condition may hold a number of times."""
    if isinstance(node, Block):
        return counts(node, registry)
    return isinstance(node, (And, Or)) and any(may_count(child, registry) for child in node.conditions)


def steps_of(rule: Rule) -> Iterator[tuple[So, str]]:
    """The steps of a rule, each with its path (a JSON Pointer); a `so` alone is its own."""
    if isinstance(rule, So):
        yield rule, ""
    elif isinstance(rule, Tiers):
        for index, step in enumerate(rule.steps):
            yield step, pointer("/tiers/steps", index)


def conjuncts(node: Condition, path: str) -> list[Conjunct]:
    """The conditions that all have to hold for this one to, each with its path."""
    if not isinstance(node, And):
        return [(node, path)]
    return [one for index, child in enumerate(node.conditions) for one in conjuncts(child, pointer(path, "and", index))]


def _by_cost(movable: list[tuple[int, Conjunct]]) -> list[Conjunct]:
    return [one for _, one in sorted(movable, key=lambda pair: pair[0])]


def _won_times(step: int, times: int) -> Decision:
    return Decision("matched", ((step, times),))


def _won_all(steps: list[tuple[int, int]]) -> Decision:
    return Decision("matched", tuple(steps))


def _assign(local: str, value: ast.expr) -> ast.stmt:
    return syntax.Assign([syntax.Name(local, ast.Store())], value)
