"""What rules ask of facts, each question once however many rules ask it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from tactics.rules.blocks import condition as standard
from tactics.rules.compiler import CompiledRule
from tactics.rules.family import Family, Totals, family_of, totals
from tactics.rules.quick import Section
from tactics.rules.registry import Blocks
from tactics.rules.standard import is_standard
from tactics.rules.tree import Alias, Block, Condition, blocks_of
from tactics.rules.value import Number, is_number

_AT_LEAST = standard.amount_at_least.definition.implementation
_MORE_THAN = standard.amount_more_than.definition.implementation
_BETWEEN = standard.amount_between.definition.implementation
_EQUALS = standard.equals.definition.implementation
_IN_SET = standard.in_set.definition.implementation


class Questions:
    """The facts of one evaluation, and what was found out about them so far."""

    __slots__ = ("answers", "counted", "facts", "item_id")

    def __init__(self, facts: Any, item_id: str | None) -> None:
        self.facts = facts
        self.item_id = item_id
        self.answers: dict[int, bool] = {}
        self.counted: dict[Family, Totals] = {}

    def totals(self, family: Family) -> Totals:
        """The family's totals, counted at the first question about it."""
        found = self.counted.get(family)
        if found is None:
            found = self.counted[family] = totals(family, self.facts)
        return found


class Asked:
    """A condition that rules ask, by its number among all of them."""

    def __init__(self, number: int, condition: Condition, blocks: Blocks) -> None:
        self.number = number
        self.condition = condition
        self._blocks = blocks

    @cached_property
    def _matches(self) -> Any:
        return CompiledRule(self.condition, self._blocks).matches

    @cached_property
    def is_total(self) -> bool:
        """Whether it may be asked sooner or later than it stands."""
        definitions = (self._blocks.get(block.block) for block in blocks_of(self.condition))
        return all(definition is not None and definition.total for definition in definitions)

    def holds(self, questions: Questions) -> bool:
        """Whether the condition holds: neither false nor unknown."""
        answer = questions.answers.get(self.number)
        if answer is None:
            answer = questions.answers[self.number] = self._matches(questions.facts, questions.item_id)
        return answer


class LeastAsked(Asked):
    """A condition that holds only if something in the order reaches an amount, which an order without it does not.

    `exact`: it holds wherever the amount is reached.
    """

    def __init__(
        self,
        number: int,
        condition: Condition,
        blocks: Blocks,
        *,
        family: Family,
        key: str | None,
        least: Number,
        exact: bool,
    ) -> None:
        super().__init__(number, condition, blocks)
        self.family = family
        self.key = key
        self.least = least
        self.exact = exact

    def holds(self, questions: Questions) -> bool:
        """Whether the condition holds."""
        found = questions.counted.get(self.family) or questions.totals(self.family)
        total = found.get(self.key, 0)
        if total is None:
            return super().holds(questions)
        return total >= self.least and (self.exact or super().holds(questions))


class TextAsked(Asked):
    """A condition that holds wherever a value in a section of the facts is one of some texts, and nowhere else."""

    def __init__(
        self, number: int, condition: Condition, blocks: Blocks, *, section: str, name: str, texts: Sequence[str]
    ) -> None:
        super().__init__(number, condition, blocks)
        self.section = section
        self.name = name
        self.texts = tuple(dict.fromkeys(texts))


def ask(number: int, condition: Condition, blocks: Blocks) -> Asked:
    """The condition as a question, of the kind that says most about it."""
    definition = blocks.get(condition.block) if isinstance(condition, Block) else None
    if not isinstance(condition, Block) or definition is None or not is_standard(definition):
        return Asked(number, condition, blocks)
    subject = condition.params.get(definition.subject or "")
    others = {key: value for key, value in condition.params.items() if key != definition.subject}
    if not isinstance(subject, Block) or any(isinstance(value, (Block, Alias)) for value in others.values()):
        return Asked(number, condition, blocks)
    found = _least(definition.implementation, others)
    of = family_of(subject, blocks)
    if found is not None and of is not None:
        return LeastAsked(number, condition, blocks, family=of[0], key=of[1], least=found[0], exact=found[1])
    texts = _texts(definition.implementation, others)
    name = subject.params.get("name")
    resource = blocks.get(subject.block)
    if texts and isinstance(name, str) and resource and not resource.scenes and isinstance(resource.quick, Section):
        return TextAsked(number, condition, blocks, section=resource.quick.name, name=name, texts=texts)
    return Asked(number, condition, blocks)


def _least(implementation: Any, others: dict[str, Any]) -> tuple[Number, bool] | None:
    """The amount that is needed, and whether it is enough; it is more than an order has that lacks the thing."""
    if implementation is _AT_LEAST and is_number(others["amount_at"]):
        return others["amount_at"], True
    if implementation is _MORE_THAN and is_number(others["amount_at"]) and others["amount_at"] >= 0:
        return others["amount_at"], False
    if implementation is _BETWEEN and is_number(others["low"]) and others["low"] > 0:
        return others["low"], False
    return None


def _texts(implementation: Any, others: dict[str, Any]) -> tuple[str, ...]:
    values: Any = (
        (others["to"],) if implementation is _EQUALS else others["values"] if implementation is _IN_SET else ()
    )
    return tuple(values) if all(isinstance(value, str) for value in values) else ()
