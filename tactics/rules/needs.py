"""What a rule reads, so that a caller loads that and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tactics.rules.block import BlockDefinition, Reads
from tactics.rules.blocks import default_registry
from tactics.rules.codec import parse
from tactics.rules.plan import SELECTORS
from tactics.rules.registry import Registry
from tactics.rules.tree import Alias, Block, Node, blocks_of, json_of


@dataclass(frozen=True, slots=True)
class BehaviourNeed:
    """Behaviours that a rule reads; None where it asks for nothing in particular, or it is only known at run time."""

    action: str | None
    window_s: int | None
    item_id: str | None = None
    category: str | None = None
    item_set: str | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """The parts of the facts that a rule reads.

    `items`: the rule means the current item somewhere, so it is evaluated per item. `user_attributes` is None where
    the names are only known at run time: then all are needed.
    """

    behaviours: tuple[BehaviourNeed, ...]
    event: bool
    order: bool
    items: bool
    now: bool
    placement: bool
    user_attributes: frozenset[str] | None


def needs(rule: object, registry: Registry | None = None) -> Needs:
    """What evaluating this rule, or its JSON data, reads; open aliases count as "only known at run time".

    Raises RuleError for JSON that is not a rule.
    """
    registry = default_registry if registry is None else registry
    node = rule if isinstance(rule, Node) else parse(rule, registry)
    json_of(node)  # refuses what is too deep to walk
    blocks = [(block, definition) for block in blocks_of(node) if (definition := registry.get(block.block))]
    reads: set[Reads] = {part for _, definition in blocks for part in definition.reads}
    names = [_known(block, "name") for block, definition in blocks if "user" in definition.reads]
    behaviours = [_behaviour(block) for block, definition in blocks if "behaviours" in definition.reads]
    return Needs(
        behaviours=tuple(dict.fromkeys(behaviours)),
        event="event" in reads,
        order="order" in reads,
        items="items" in reads or any(_means_current_item(block, definition) for block, definition in blocks),
        now="now" in reads,
        placement="placement" in reads,
        user_attributes=None if None in names else frozenset(name for name in names if name is not None),
    )


def _known(block: Block, name: str) -> Any:
    """The parameter's constant; None where it is left out, or only known at run time."""
    value = block.params.get(name)
    return None if isinstance(value, (Block, Alias)) else value


def _behaviour(block: Block) -> BehaviourNeed:
    names = ("action", "window_s", "item_id", "category", "item_set")
    return BehaviourNeed(**{name: _known(block, name) for name in names})


def _means_current_item(block: Block, definition: BlockDefinition) -> bool:
    return definition.per_item and not block.params.keys() & SELECTORS
