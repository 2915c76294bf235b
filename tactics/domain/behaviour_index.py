"""Which behaviour rules can an action turn: found by what the rules read, however many rules there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tactics import rules

Key = tuple[str | None, str, str | None]
"""Action (None is any), what tells the item apart, and its value; one of `_SELECTORS`, or '' with None for any item."""

# The first that a need names finds it; the others are looked at then.
_SELECTORS = ("item_id", "item_set", "category")


@dataclass(frozen=True)
class ActiveRule:
    """A behaviour rule, ready to be evaluated."""

    rule_key: str
    version: int
    rule: rules.Rule
    needs: rules.Needs
    cooldown_s: int

    def may_turn(self, fact: Mapping[str, Any]) -> bool:
        """Tell whether an action can make the rule true: it is one that the rule reads."""
        return self.needs.event or any(_reads(need, fact) for need in self.needs.behaviours)

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Tell whether the rule holds over facts. What is no rule to this process never does."""
        try:
            return rules.compile_rule(self.rule).matches(facts)
        except rules.RuleError:
            return False


@dataclass(frozen=True)
class RuleIndex:
    """All enabled behaviour rules, as of a revision."""

    revision: int
    rules: Sequence[ActiveRule]
    _by_key: Mapping[Key, Sequence[ActiveRule]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the rules by what they read."""
        found: dict[Key, list[ActiveRule]] = defaultdict(list)
        for one in self.rules:
            for key in dict.fromkeys(_keys_of(one)):
                found[key].append(one)
        object.__setattr__(self, "_by_key", dict(found))

    def turned_by(self, fact: Mapping[str, Any]) -> list[ActiveRule]:
        """Give the rules that an action may turn, each once, by their keys.

        Args:
            fact: the action as rules see it: action, item_id?, item_sets?, category?
        """
        found = {
            one.rule_key: one for key in _keys_for(fact) for one in self._by_key.get(key, ()) if one.may_turn(fact)
        }
        return [found[rule_key] for rule_key in sorted(found)]


def _reads(need: rules.BehaviourNeed, fact: Mapping[str, Any]) -> bool:
    return (
        (need.action is None or need.action == fact["action"])
        and (need.item_id is None or need.item_id == fact.get("item_id"))
        and (need.category is None or need.category == fact.get("category"))
        and (need.item_set is None or need.item_set in fact.get("item_sets", ()))
    )


def _keys_of(one: ActiveRule) -> Iterator[Key]:
    if one.needs.event:
        yield None, "", None
        return
    for need in one.needs.behaviours:
        named = ((name, getattr(need, name)) for name in _SELECTORS)
        name, value = next(((name, value) for name, value in named if value is not None), ("", None))
        yield need.action, name, value


def _keys_for(fact: Mapping[str, Any]) -> Iterator[Key]:
    for action in (fact["action"], None):
        yield action, "", None
        for name, value in _items_of(fact):
            yield action, name, value


def _items_of(fact: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name in ("item_id", "category"):
        if name in fact:
            yield name, fact[name]
    for name in fact.get("item_sets", ()):
        yield "item_set", name
