"""The function of a rule, statement by statement: an exit of its own for each condition that can decide against it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any, Literal, TypeAlias

from tactics.rules import syntax
from tactics.rules.emit import FACTS, ITEM, RUN, Conjunct, Emitter, Known, call, counts, name, negated
from tactics.rules.evaluation import Decision
from tactics.rules.problem import pointer
from tactics.rules.quick import Quick, Section
from tactics.rules.registry import Blocks
from tactics.rules.shape import Outline, Shape
from tactics.rules.tree import And, Block, Condition, Or, Rule, So, Tiers, blocks_of
from tactics.rules.typed import TYPED
from tactics.rules.written import WRITERS

Form: TypeAlias = Literal["decide", "matches", "typed"]
# What a rule itself adds to the globals of its shape.
EXACTLY, MAKE_RUN = "exactly", "make_run"


class ShapeWriter:
    """Writes the function of rules that differ only in their constants, from one of them.

    It answers a `Decision`; as `matches`, true or false; as `typed`, a `Decision` over lines that were decoded for it.
    """

    def __init__(self, rule: Rule, blocks: Blocks, outline: Outline, form: Form) -> None:
        self.emitter = Emitter(blocks, outline, WRITERS, TYPED if form == "typed" else {})
        self._rule = rule
        self._blocks = blocks
        self._number = outline.number
        self._words = form != "matches"

    def shape(self) -> Shape:
        """The function, compiled."""
        rule, emitter = self._rule, self.emitter
        body = self._ladder(rule) if isinstance(rule, (So, Tiers)) else self._bare(rule)
        run = call(name(MAKE_RUN), name(FACTS), name(ITEM)) if emitter.exact else syntax.Constant(None)
        start = [_assign(RUN, run)]
        start += [_assign(local, syntax.Constant(None)) for local in sorted(emitter.maybe)]
        unclear = syntax.ExceptHandler(emitter.bound(Exception, "error"), None, [self._ask_exactly()])
        arguments = ast.arguments([], [syntax.Argument(FACTS), syntax.Argument(ITEM)], None, [], [], None, [])
        function = syntax.FunctionDef("decide", arguments, [*start, syntax.Try(body, [unclear], [], [])], [])
        made: dict[str, Any] = {}
        exec(compile(ast.Module([function], []), "<rule>", "exec"), made)  # noqa: S102  # a tree of our own making
        code: CodeType = made["decide"].__code__
        return Shape(code, emitter.names, tuple(emitter.drawn), tuple(emitter.exact))

    def _bare(self, rule: Condition) -> list[ast.stmt]:
        statements, _ = self._asked(self._sorted(conjuncts(rule, "")), frozenset())
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
        numbers = {self._number(condition) for condition, _ in shared}
        statements, known = self._asked(shared, frozenset())
        order = list(range(len(steps)))
        if mode == "highest":
            order.reverse()
        if mode == "all":
            statements.append(_assign("won", syntax.List([], ast.Load())))
        for index in order:
            own = [one for one in asked[index] if self._number(one[0]) not in numbers]
            last = index == order[-1] and mode != "all"
            if last or not own:
                more, known = self._asked(own, known)
                statements += [*more, *self._give(index, steps[index][0], asked[index], mode)]
                if mode != "all":
                    return statements
                continue
            first, known = self.emitter.beforehand(own[0][0], known)
            test, known_then, known_else = self.emitter.joined(own, known, every=True)
            statements += first
            statements.append(syntax.If(test, self._give(index, steps[index][0], asked[index], mode), []))
            known = known_else if mode != "all" else known_then & known_else
        # Each step failed at some condition of its own: what is named is all that the last one asks.
        nothing = pointer(steps[order[-1]][1], "so", "when") if asked[order[-1]] else ""
        won = call(self.emitter.bound(_won_all if self._words else bool, "won_all"), name("won"))
        return [*statements, syntax.If(name("won"), [syntax.Return(won)], []), syntax.Return(self._exit(nothing))]

    def _asked(self, conjuncts: Sequence[Conjunct], known: Known) -> tuple[list[ast.stmt], Known]:
        """Each condition with an exit of its own."""
        statements: list[ast.stmt] = []
        for condition, path in conjuncts:
            first, known = self.emitter.beforehand(condition, known)
            test, known, _ = self.emitter.condition(condition, path, known)
            statements += first
            statements.append(syntax.If(negated(test), [syntax.Return(self._exit(path))], []))
        return statements, known

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
            if not may_count(condition, self._blocks):
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
        asked = call(name(EXACTLY), name(FACTS), name(ITEM), name(RUN))
        return syntax.Return(asked if self._words else syntax.Attribute(asked, "matched", ast.Load()))

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
        definition = self._blocks.get(block.block)
        if definition is None or not definition.total:
            return None
        if definition.kind == "condition" or isinstance(definition.quick, Section):
            return 0
        return 1 if isinstance(definition.quick, Quick) else 2

    def _shared(self, asked: Sequence[Sequence[Conjunct]]) -> list[Conjunct]:
        """The conditions that every step of a ladder asks: where one of them fails, no step holds."""
        if len(asked) < 2:  # noqa: PLR2004  # one step shares nothing
            return []
        common = set[int].intersection(*({self._number(condition) for condition, _ in one} for one in asked))
        found = {number: one for one in asked[0] if (number := self._number(one[0])) in common}
        return [one for one in found.values() if self._cost(one[0]) is not None]


def may_count(node: Condition, blocks: Blocks) -> bool:
    """Whether the condition may hold a number of times."""
    if isinstance(node, Block):
        return counts(node, blocks)
    return isinstance(node, (And, Or)) and any(may_count(child, blocks) for child in node.conditions)


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
