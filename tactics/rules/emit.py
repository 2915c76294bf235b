"""Conditions as Python expressions (`ast`), for the compiler.

A constant of the rule becomes an `ast.Constant` or a global, never text. A resource becomes a local, computed where it
is first needed: `known` are the locals that surely have their value at that point. What has no expression of its own
here (a plugin's block, a block with scenes, a time) is asked of the exact evaluation, block by block.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tactics.rules import certain, syntax
from tactics.rules.block import BlockDefinition
from tactics.rules.blocks import condition as standard
from tactics.rules.inline import set_in, template_of
from tactics.rules.problem import RuleError, pointer
from tactics.rules.quick import COUNTING, LARGEST, Quick, Section
from tactics.rules.registry import Blocks
from tactics.rules.shape import Drawn, Outline
from tactics.rules.standard import is_standard
from tactics.rules.tree import Alias, And, Block, Condition, Not

Known: TypeAlias = frozenset[str]
# A condition, and where it stands.
Conjunct: TypeAlias = tuple[Condition, str]
# An expression, and the locals that are known once it was true, and once it was false.
Emitted: TypeAlias = tuple[ast.expr, Known, Known]
# What writes a condition block over its subject: the expression, and the locals that are known then. None: it cannot.
Written: TypeAlias = tuple[ast.expr, Known] | None
Writer: TypeAlias = Callable[["Emitter", Block, Any, Known], Written]

AT_LEAST = standard.amount_at_least.definition.implementation

FACTS, ITEM, RUN = "facts", "item_id", "run"
_LOAD, _STORE = ast.Load(), ast.Store()
_OPPOSITE: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.GtE: ast.Lt,
    ast.Lt: ast.GtE,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


def name(identifier: str) -> ast.Name:
    """A variable that is read."""
    return syntax.Name(identifier, _LOAD)


def constant(value: Any) -> ast.Constant:
    """A constant: text, a number or a boolean."""
    return syntax.Constant(value)


def call(function: ast.expr, *arguments: ast.expr) -> ast.Call:
    """A call with positional arguments."""
    return syntax.Call(function, list(arguments), [])


def negated(expression: ast.expr) -> ast.expr:
    """The expression turned around; sound for single comparisons of values that compare."""
    if isinstance(expression, ast.Compare) and len(expression.ops) == 1:
        return syntax.Compare(expression.left, [_OPPOSITE[type(expression.ops[0])]()], expression.comparators)
    if isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.Not):
        return expression.operand
    return syntax.UnaryOp(ast.Not(), expression)


def counts(node: Block, blocks: Blocks) -> bool:
    """Whether the condition block may answer a number of times."""
    definition = blocks.get(node.block)
    if definition is None or not definition.counts:
        return False
    may_not = definition.implementation is AT_LEAST and is_standard(definition)
    return not may_not or node.params.get("enable_multiple", False) is not False


class Emitter:
    """Writes the expressions of one shape of rules, and gathers the globals and locals that they use.

    `writers` write condition blocks, by what computes them; `instead` are functions to use in quick ones' place.
    """

    def __init__(
        self,
        blocks: Blocks,
        outline: Outline,
        writers: Mapping[Any, Writer],
        instead: Mapping[Callable[..., Any], Callable[..., Any]],
    ) -> None:
        self.blocks = blocks
        self._instead = instead
        self._writers = writers
        self.names: dict[str, Any] = {"__builtins__": {}, "str": str, "int": int}
        self.drawn: list[Drawn] = []
        self.exact: list[tuple[str, str]] = []
        self.maybe: set[str] = set()
        self._outline = outline
        self._locals: dict[int, str] = {}
        self._computed: set[str] = set()
        self._functions: dict[Any, ast.expr] = {}

    def bound(self, value: Any, stem: str) -> ast.expr:
        """A global that has this value in every rule of the shape."""
        identifier = f"{stem}{len(self.names)}"
        self.names[identifier] = value
        return name(identifier)

    def function(self, value: Any, stem: str) -> ast.expr:
        """A global that has this function: one, however often it is used."""
        if value not in self._functions:
            self._functions[value] = self.bound(value, stem)
        return self._functions[value]

    def draw(self, node: Block, *parameters: str, make: Callable[..., Any] | None = None) -> ast.expr:
        """A global that has what a rule gives in these parameters of a block, or what is made of it."""
        identifier = f"given{len(self.drawn)}"
        self.drawn.append((identifier, self._outline.index[id(node)], parameters, make))
        return name(identifier)

    def condition(self, node: Condition, path: str, known: Known) -> Emitted:
        """The condition as an expression that is true exactly where it holds; it raises where that is not clear."""
        if isinstance(node, Block):
            return self._block(node, path, known)
        if isinstance(node, Not):
            expression, if_true, if_false = self.condition(node.condition, pointer(path, "not"), known)
            return negated(expression), if_false, if_true
        every = isinstance(node, And)
        children = [(one, pointer(path, "and" if every else "or", at)) for at, one in enumerate(node.conditions)]
        return self.joined(children, known, every=every)

    def joined(self, conjuncts: Sequence[Conjunct], known: Known, *, every: bool) -> Emitted:
        """Conditions of which every one has to hold, or any of them."""
        parts: list[ast.expr] = []
        # In an `and`, each part is asked once those before it were true; in an `or`, once they were false.
        here, ended = known, None
        for child, path in conjuncts:
            part, if_true, if_false = self.condition(child, path, here)
            parts.append(part)
            here, out = (if_true, if_false) if every else (if_false, if_true)
            ended = out if ended is None else ended & out
        joined = parts[0] if len(parts) == 1 else syntax.BoolOp(ast.And() if every else ast.Or(), parts)
        ended = known if ended is None else ended
        return (joined, here, ended) if every else (joined, ended, here)

    def times(self, node: Block) -> ast.expr | None:
        """How many times the condition, which holds, does so; None where only the exact evaluation can tell.

        Its resource is known by then.
        """
        definition = self.blocks.get(node.block)
        if definition is None or definition.implementation is not AT_LEAST or not is_standard(definition):
            return None
        subject, most = node.params["amount"], node.params.get("max_multiple")
        if not isinstance(subject, Block) or not self._is_sum(subject) or node.params["enable_multiple"] is not True:
            return None
        if type(node.params["amount_at"]) is not int or not (most is None or type(most) is int):
            return None
        amount = name(self._locals[self._outline.number(subject)])
        times = syntax.BinOp(amount, ast.FloorDiv(), self.draw(node, "amount_at"))
        return times if most is None else call(self.function(min, "least"), times, self.draw(node, "max_multiple"))

    def _is_sum(self, value: object) -> bool:
        definition = self._quick(value)
        # Of another's quick form nobody knows what it gives.
        return definition is not None and isinstance(definition.quick, Quick) and definition.quick.compute in COUNTING

    def _quick(self, value: object) -> BlockDefinition | None:
        """The definition of a resource that has a quick form here."""
        if not isinstance(value, Block) or any(isinstance(one, (Block, Alias)) for one in value.params.values()):
            return None
        definition = self.blocks.get(value.block)
        return definition if definition and definition.quick is not None and not definition.scenes else None

    def _block(self, node: Block, path: str, known: Known) -> Emitted:
        definition = self.blocks.get(node.block)
        if definition is None:
            raise RuleError.of(path, "unknown_block", f"there is no block {node.block!r}")
        if self._is_written(node):
            subject = node.params[definition.subject or ""]
            written = self._writers[definition.implementation](self, node, subject, known)
            if written is not None:
                return written[0], written[1], written[1]
        verdict = f"exact{len(self.exact)}"
        self.exact.append((verdict, path))
        return call(name(verdict), name(RUN)), known, known

    def _is_written(self, node: Block) -> bool:
        """Whether the condition may have an expression of its own: over a quick resource, with constants beside it."""
        definition = self.blocks.get(node.block)
        if definition is None or not is_standard(definition):
            return False
        others = [value for key, value in node.params.items() if key != definition.subject]
        is_quick = self._quick(node.params.get(definition.subject or "")) is not None
        return is_quick and not any(isinstance(one, (Block, Alias)) for one in others)

    def value(self, node: Any, known: Known) -> tuple[ast.expr, str, Known]:
        """The resource where it is first used, the local that has it from then on, and what is known by then."""
        local = self._local(node)
        if local in known:
            return name(local), local, known
        first: ast.expr = syntax.NamedExpr(syntax.Name(local, _STORE), self._fetch(node))
        if local in self._computed:
            # It may have its value from another way to this point.
            self.maybe.add(local)
            has_value = syntax.Compare(name(local), [ast.IsNot()], [constant(None)])
            first = syntax.IfExp(has_value, name(local), first)
        self._computed.add(local)
        return first, local, known | {local}

    def beforehand(self, node: Condition, known: Known) -> tuple[list[ast.stmt], Known]:
        """Statements that compute what the condition asks first, in place, and what is known then; none where it is."""
        while not isinstance(node, Block):
            node = node.condition if isinstance(node, Not) else node.conditions[0]
        definition = self.blocks.get(node.block)
        subject = node.params.get((definition.subject if definition else None) or "")
        if not isinstance(subject, Block) or not self._is_written(node) or not self._is_sum(subject):
            return [], known
        local = self._local(subject)
        fetched = self._fetch(subject)
        if local in known or local in self._computed or not isinstance(fetched, ast.Call):
            return [], known
        template = template_of(self.names[fetched.func.id]) if isinstance(fetched.func, ast.Name) else None
        if template is None:
            return [], known
        self.names.update(template.used)
        self._computed.add(local)
        return set_in(template, fetched.args, local), known | {local}

    def _quickly(self, function: Callable[..., Any]) -> ast.expr:
        return self.function(self._instead.get(function, function), "quick")

    def _local(self, resource: Block) -> str:
        return self._locals.setdefault(self._outline.number(resource), f"found{len(self._locals)}")

    def _fetch(self, node: Block) -> ast.expr:
        definition = self.blocks.get(node.block)
        quick = definition.quick if definition else None
        if isinstance(quick, Section):
            # `get` adds nothing to a dictionary that makes what it lacks.
            section = call(syntax.Attribute(name(FACTS), "get", _LOAD), constant(quick.name))
            return call(syntax.Attribute(section, "get", _LOAD), self.draw(node, "name"))
        if definition is None or quick is None:
            raise RuleError.of("", "unknown_block", f"there is no block {node.block!r}")
        given = [constant(one) for one in quick.given]
        whole = None if quick.whole is None else call(self._quickly(quick.whole), name(FACTS))
        compute = self._quickly(quick.compute)
        if whole is None or node.params:
            values = [self.draw(node, key) if key in node.params else constant(None) for key in definition.parameters]
            return call(compute, name(FACTS), *given, *values)
        if not definition.per_item:
            return whole
        is_whole = syntax.Compare(name(ITEM), [ast.Is()], [constant(None)])
        return syntax.IfExp(is_whole, whole, call(compute, name(FACTS), *given, name(ITEM)))

    def amount(self, node: Any, known: Known) -> tuple[ast.expr, Known]:
        """The resource as a number; a sum is one by itself, anything else is made sure of."""
        first, local, then = self.value(node, known)
        if self._is_sum(node):
            return first, then
        whole = syntax.Compare(syntax.Attribute(first, "__class__", _LOAD), [ast.Is()], [name("int")])
        low, high = constant(-LARGEST), constant(LARGEST)
        small = syntax.Compare(low, [ast.Lt(), ast.Lt()], [name(local), high])
        sure = call(self.function(certain.number, "number"), name(local))
        return syntax.IfExp(syntax.BoolOp(ast.And(), [whole, small]), name(local), sure), then

    def of_class(self, node: Any, known: Known, kind: str) -> tuple[ast.expr, str, Known]:
        """A test of whether the resource's value is of exactly this class; and the local that has the value."""
        first, local, then = self.value(node, known)
        return syntax.Compare(syntax.Attribute(first, "__class__", _LOAD), [ast.Is()], [name(kind)]), local, then
