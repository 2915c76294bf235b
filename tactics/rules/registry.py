"""Finds blocks by id; plugins add theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any
from weakref import WeakKeyDictionary

from tactics.rules.block import BlockDefinition, Builder, Implementation, signature_problems
from tactics.rules.catalogue import catalogue_entry
from tactics.rules.problem import Problem, RuleError
from tactics.rules.tree import Node


class Registry:
    """Blocks by id."""

    def __init__(self, blocks: Iterable[Builder | BlockDefinition] = ()) -> None:
        self._definitions: dict[str, BlockDefinition] = {}
        # What the engine worked out from these blocks, by rule.
        self.plans: WeakKeyDictionary[Node, Any] = WeakKeyDictionary()
        for block in blocks:
            self.add(block)

    def __iter__(self) -> Iterator[BlockDefinition]:
        return iter(tuple(self._definitions.values()))

    def add(self, block: Builder | BlockDefinition) -> None:
        """Add a block; raises RuleError when its id is taken."""
        definition = block.definition if isinstance(block, Builder) else block
        if definition.id in self._definitions:
            raise RuleError.of("", "duplicate_block", f"block {definition.id!r} is already registered")
        self._definitions[definition.id] = definition
        self.plans.clear()

    def add_scene(self, block_id: str, scene: str, implementation: Implementation) -> None:
        """Let a block compute differently in one scene.

        Raises RuleError for an unknown block, a scene that has its variant already, or a function that does not fit.
        """
        definition = self.get(block_id)
        if definition is None:
            raise RuleError.of("", "unknown_block", f"there is no block {block_id!r}")
        if scene in definition.scenes:
            raise RuleError.of("", "duplicate_scene", f"block {block_id!r} already has a variant for scene {scene!r}")
        wrong = signature_problems(definition, implementation)
        if wrong:
            raise RuleError(Problem("", "declaration", f"block {block_id!r}: {text}") for text in wrong)
        self._definitions[block_id] = replace(definition, scenes={**definition.scenes, scene: implementation})
        self.plans.clear()

    def get(self, block_id: str) -> BlockDefinition | None:
        """The block of this id, or None."""
        return self._definitions.get(block_id)

    def hint(self, block_id: str) -> str:
        """Say what may help who names a block that is not here: the nearest name, or what declares it."""
        near = get_close_matches(block_id, self._definitions, 1, 0.8)
        return f": did you mean {near[0]}?" if near else ": is the plugin that declares it loaded here?"

    def catalogue(self) -> list[dict[str, object]]:
        """Every block with kind, description and the JSON Schema of its parameters, sorted by id."""
        return [catalogue_entry(definition) for definition in sorted(self, key=lambda definition: definition.id)]
