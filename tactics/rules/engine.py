"""Evaluate a rule: facts in; status, effects and reasons out. No side effects, and never an exception from facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tactics.rules.blocks import default_registry
from tactics.rules.check import problems_of
from tactics.rules.codec import parse, was_checked
from tactics.rules.compiler import CompiledRule
from tactics.rules.evaluation import Evaluation, Status
from tactics.rules.problem import RuleError
from tactics.rules.reason import Reason
from tactics.rules.registry import Registry
from tactics.rules.tree import Node, Rule, written

# Where a rule keeps what was compiled from it.
_KEPT = "_compiled"

__all__ = ["Evaluation", "Status", "calculate", "compile_rule", "invalid", "prepare"]


def calculate(
    rule: Rule | Mapping[str, Any] | None,
    facts: object,
    registry: Registry | None = None,
    *,
    item_id: str | None = None,
) -> Evaluation:
    """Evaluate a rule over facts.

    `rule` is a rule or its JSON data (parsed anew each time: parse it once where it is used often); `facts` may have
    any shape; `item_id` is the current item where a rule is evaluated per item. Raises nothing: what is wrong with the
    rule is the answer `invalid`, what is wrong with the facts is `unknown`.
    """
    if rule is None:
        return Evaluation("null_rule", reasons=(Reason("", None, "null_rule", "there is no rule"),))
    try:
        compiled = compile_rule(rule, registry)
    except RuleError as error:
        return invalid(error)
    return compiled.calculate(facts, item_id)


def prepare(rule: Rule) -> None:
    """Make a rule ready to run now, instead of when it is first evaluated; raises RuleError when it is not well-formed."""
    compile_rule(rule)


def compile_rule(rule: Rule | Mapping[str, Any], registry: Registry | None = None) -> CompiledRule:
    """The rule, or its JSON data, compiled: once for rules that say the same, as long as one of them lives.

    Raises RuleError when the rule is not well-formed, with the path of everything that is wrong, limits among it.
    """
    compiled = well_formed(rule, registry)
    compiled.decide  # noqa: B018  # compiles it now, not when it is first asked
    return compiled


def well_formed(rule: Rule | Mapping[str, Any], registry: Registry | None = None) -> CompiledRule:
    """As `compile_rule`, but compiled only when it is first asked: a set of rules never asks most of its own."""
    registry = default_registry if registry is None else registry
    node = rule if isinstance(rule, Node) else parse(rule, registry)
    kept = node.__dict__.get(_KEPT)
    if kept is not None and kept.blocks is registry.blocks:
        return cast("CompiledRule", kept)
    text, data = written(node)
    ready = cast("CompiledRule | None", registry.blocks.compiled.get(text))
    if ready is None:
        problems = (
            [] if was_checked(node, registry) else problems_of(data, open_aliases=False, registry=registry, text=text)
        )
        if problems:
            raise RuleError(problems)
        ready = registry.blocks.compiled[text] = CompiledRule(node, registry.blocks)
    node.__dict__[_KEPT] = ready
    return ready


def invalid(error: RuleError) -> Evaluation:
    """The answer for a rule that is not well-formed."""
    reasons = (Reason(problem.path, None, problem.code, problem.message) for problem in error.problems)
    return Evaluation("invalid", reasons=tuple(reasons))
