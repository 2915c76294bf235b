"""The standard conditions as Python expressions over their subject, a resource whose value may be of any type."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from tactics.rules import certain, syntax
from tactics.rules.blocks import condition as standard
from tactics.rules.emit import AT_LEAST, FACTS, Emitter, Known, Writer, Written, call, name
from tactics.rules.quick import Section
from tactics.rules.tree import Block


def _compared(operator: type[ast.cmpop]) -> Writer:
    def write(emitter: Emitter, node: Block, subject: Any, known: Known) -> Written:
        amount, then = emitter.amount(subject, known)
        return syntax.Compare(amount, [operator()], [emitter.draw(node, "amount_at")]), then

    return write


def _between(emitter: Emitter, node: Block, subject: Any, known: Known) -> Written:
    amount, then = emitter.amount(subject, known)
    low, high = emitter.draw(node, "low"), emitter.draw(node, "high")
    return syntax.Compare(low, [ast.LtE(), ast.LtE()], [amount, high]), then


def _equals(emitter: Emitter, node: Block, subject: Any, known: Known) -> Written:
    to, is_same = emitter.draw(node, "to"), emitter.function(certain.is_same, "is_same")
    if not isinstance(node.params["to"], str):
        first, _, then = emitter.value(subject, known)
        return call(is_same, first, to), then
    is_text, local, then = emitter.of_class(subject, known, "str")
    same = syntax.Compare(name(local), [ast.Eq()], [to])
    return syntax.IfExp(is_text, same, call(is_same, name(local), to)), then


def _in_set(emitter: Emitter, node: Block, subject: Any, known: Known) -> Written:
    values: Any = node.params["values"]
    listed, is_one_of = emitter.draw(node, "values"), emitter.function(certain.is_one_of, "is_one_of")
    if not all(isinstance(value, str) for value in values):
        first, _, then = emitter.value(subject, known)
        return call(is_one_of, first, listed), then
    is_text, local, then = emitter.of_class(subject, known, "str")
    member = syntax.Compare(name(local), [ast.In()], [emitter.draw(node, "values", make=frozenset)])
    return syntax.IfExp(is_text, member, call(is_one_of, name(local), listed)), then


def _has_member(emitter: Emitter, node: Block, subject: Any, known: Known) -> Written:
    first, _, then = emitter.value(subject, known)
    return call(emitter.function(certain.has, "has"), first, emitter.draw(node, "member")), then


def _contains(emitter: Emitter, node: Block, subject: Any, known: Known) -> Written:
    first, _, then = emitter.value(subject, known)
    return call(emitter.function(certain.has_text, "has_text"), first, emitter.draw(node, "text")), then


def _within(emitter: Emitter, node: Block, subject: Any, known: Known) -> Written:
    first, _, then = emitter.value(subject, known)
    return call(emitter.draw(node, "from", "to", make=certain.is_within), first), then


def _exists(emitter: Emitter, _: Block, subject: Any, known: Known) -> Written:
    definition = emitter.blocks.get(subject.block)
    if definition is None or not isinstance(definition.quick, Section) or "name" not in subject.params:
        return None
    section = syntax.Constant(definition.quick.name)
    there = emitter.function(certain.is_there, "is_there")
    return call(there, name(FACTS), section, emitter.draw(subject, "name")), known


WRITERS: Mapping[Any, Writer] = {
    AT_LEAST: _compared(ast.GtE),
    standard.amount_more_than.definition.implementation: _compared(ast.Gt),
    standard.amount_below.definition.implementation: _compared(ast.Lt),
    standard.amount_between.definition.implementation: _between,
    standard.equals.definition.implementation: _equals,
    standard.in_set.definition.implementation: _in_set,
    standard.has_member.definition.implementation: _has_member,
    standard.contains.definition.implementation: _contains,
    standard.within.definition.implementation: _within,
    standard.exists.definition.implementation: _exists,
}
