"""The rules that compete over a price, as `price` is given them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tactics.rules.compiler import CompiledRule
from tactics.rules.engine import compile_rule
from tactics.rules.problem import Problem, RuleError, pointer
from tactics.rules.registry import Registry
from tactics.rules.tree import Node
from tactics.rules.value import is_number, show

_KEYS = ("code", "rule", "priority", "exclusive_group")


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule with its place in the list, ready to run."""

    index: int
    compiled: CompiledRule
    code: str | None = None
    priority: int = 0
    exclusive_group: str | None = None

    @property
    def name(self) -> str:
        """The rule in words."""
        return f"rule {self.index}" if self.code is None else f"rule {show(self.code)}"


def read_entries(rules: object, registry: Registry | None) -> tuple[Entry, ...]:
    """The rules, each bare or as `{"code"?, "rule", "priority"?, "exclusive_group"?}`.

    Raises RuleError with every problem of every rule, its path starting with `/rules`.
    """
    if not isinstance(rules, (list, tuple)):
        raise RuleError.of("/rules", "type", f"a list of rules belongs here, not {_shown(rules)}")
    problems: list[Problem] = []
    entries = [_entry(given, index, registry, problems) for index, given in enumerate(rules)]
    if problems:
        raise RuleError(problems)
    return tuple(entry for entry in entries if entry is not None)


def _entry(given: object, index: int, registry: Registry | None, problems: list[Problem]) -> Entry | None:
    path = pointer("/rules", index)
    if not isinstance(given, Mapping) or "rule" not in given:
        compiled = _compiled(given, path, registry, problems)
        return None if compiled is None else Entry(index, compiled)
    for key in given:
        if key not in _KEYS:
            message = f"{show(key)} does not belong here; known: {', '.join(_KEYS)}"
            problems.append(Problem(pointer(path, key), "form", message))
    for name in ("code", "exclusive_group"):
        if name in given and not (isinstance(given[name], str) and given[name]):
            message = f"text that is not empty belongs here, not {show(given[name])}"
            problems.append(Problem(pointer(path, name), "type", message))
    priority = given.get("priority", 0)
    if not isinstance(priority, int) or not is_number(priority):
        message = f"a whole number belongs here, not {show(priority)}"
        problems.append(Problem(pointer(path, "priority"), "type", message))
    compiled = _compiled(given["rule"], pointer(path, "rule"), registry, problems)
    return (
        None if compiled is None else Entry(index, compiled, given.get("code"), priority, given.get("exclusive_group"))
    )


def _compiled(rule: object, path: str, registry: Registry | None, problems: list[Problem]) -> CompiledRule | None:
    try:
        return compile_rule(rule, registry)  # type: ignore[arg-type]  # what is no rule is refused by it
    except RuleError as error:
        problems += [Problem(path + one.path, one.code, one.message, one.severity) for one in error.problems]
        return None


def _shown(value: object) -> str:
    return "a single one" if isinstance(value, (Node, Mapping)) else show(value)
