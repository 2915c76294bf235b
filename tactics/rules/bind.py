"""Give a rule's open parameters their values: a tool or play becomes an activity's rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tactics.rules.codec import parse
from tactics.rules.problem import Problem, RuleError, pointer
from tactics.rules.registry import Registry
from tactics.rules.tree import Node, Rule, json_of


def bind(rule: Rule, values: Mapping[str, Any], registry: Registry | None = None) -> Rule:
    """The rule with the aliases named in `values` replaced; others stay open.

    A value is a constant, a resource block, or that block's JSON. Raises RuleError for a name that the rule does not
    have open, and for values that do not fit where they stand.
    """
    binding = _Binding({name: value.to_json() if isinstance(value, Node) else value for name, value in values.items()})
    bound = binding.replace(json_of(rule))
    strangers = [name for name in values if name not in binding.used]
    if strangers:
        raise RuleError(
            Problem(pointer("", name), "unknown_alias", f"no open parameter {name!r}") for name in strangers
        )
    return parse(bound, registry)


def aliases(rule: Rule) -> frozenset[str]:
    """The names of the rule's open parameters."""
    binding = _Binding({})
    binding.replace(json_of(rule))
    return frozenset(binding.seen)


@dataclass
class _Binding:
    values: Mapping[str, Any]
    seen: set[str] = field(default_factory=set)

    @property
    def used(self) -> set[str]:
        return self.seen & self.values.keys()

    def replace(self, obj: Any) -> Any:
        if isinstance(obj, list):
            return [self.replace(one) for one in obj]
        if not isinstance(obj, dict):
            return obj
        if obj.keys() == {"alias"}:
            name: str = obj["alias"]
            self.seen.add(name)
            return self.values.get(name, obj)
        return {key: self.replace(value) for key, value in obj.items()}
