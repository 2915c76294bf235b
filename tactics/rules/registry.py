"""Finds blocks by id; plugins add theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any
from weakref import WeakValueDictionary

from tactics.rules.block import BlockDefinition, Builder, Implementation, signature_problems
from tactics.rules.catalogue import catalogue_entry
from tactics.rules.problem import Problem, RuleError
from tactics.rules.words import ENGLISH, BlockWords, completed, english, misworded


class Blocks:
    """A registry's blocks as they are at one time, and what was compiled from them: one rule is always of one time."""

    def __init__(self, definitions: Mapping[str, BlockDefinition]) -> None:
        self._definitions = dict(definitions)
        # Compiled rules by their canonical text, for as long as somebody holds them; and the shapes that they have.
        self.compiled: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self.shapes: dict[Any, Any] = {}

    def get(self, block_id: str) -> BlockDefinition | None:
        """The block of this id, or None."""
        return self._definitions.get(block_id)


class Registry:
    """Blocks by id."""

    def __init__(self, blocks: Iterable[Builder | BlockDefinition] = ()) -> None:
        self._definitions: dict[str, BlockDefinition] = {}
        self._words: dict[str, dict[str, BlockWords]] = {}
        self._changed()
        for block in blocks:
            self.add(block)

    def __iter__(self) -> Iterator[BlockDefinition]:
        return iter(tuple(self._definitions.values()))

    def add(self, block: Builder | BlockDefinition) -> None:
        """Add a block; raises RuleError when its id is taken, or words that were given for it do not fit."""
        definition = block.definition if isinstance(block, Builder) else block
        if definition.id in self._definitions:
            raise RuleError.of("", "duplicate_block", f"block {definition.id!r} is already registered")
        for language, known in self._words.items():
            if definition.id in known:
                _check_words(language, known[definition.id], definition)
        self._definitions[definition.id] = definition
        self._changed()

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
        self._changed()

    def _changed(self) -> None:
        """Begin anew: what was compiled with other blocks is no longer found."""
        self.blocks = Blocks(self._definitions)

    def translate(self, language: str, words: Mapping[str, BlockWords]) -> None:
        """Say what blocks are called in a language, such as `zh`; words given again replace those before.

        A plugin calls this in its module, when its blocks are not registered yet: what is wrong with the words of such
        a block is found when it is added. Raises RuleError for words that do not fit a block, and for English, which
        blocks are declared with.
        """
        if language == ENGLISH:
            raise RuleError.of("", "declaration", "English is what blocks are declared with")
        for block_id, known in words.items():
            definition = self.get(block_id)
            if definition is not None:
                _check_words(language, known, definition)
        self._words.setdefault(language, {}).update(words)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that blocks have words in: English first."""
        return (ENGLISH, *sorted(self._words))

    def words(self, block_id: str, language: str = ENGLISH) -> BlockWords:
        """What a registered block is called in a language; English where that is not known. Raises KeyError for no block."""
        definition = self._definitions[block_id]
        known = self._words.get(language, {}).get(block_id)
        return english(definition) if known is None else completed(known, definition)

    def get(self, block_id: str) -> BlockDefinition | None:
        """The block of this id, or None."""
        return self._definitions.get(block_id)

    def hint(self, block_id: str) -> str:
        """Say what may help who names a block that is not here: the nearest name, or what declares it."""
        near = get_close_matches(block_id, self._definitions, 1, 0.8)
        return f": did you mean {near[0]}?" if near else ": is the plugin that declares it loaded here?"

    def catalogue(self, language: str = ENGLISH) -> list[dict[str, object]]:
        """Every block with kind, name, description, words and the JSON Schema of its parameters, sorted by id."""
        ordered = sorted(self, key=lambda definition: definition.id)
        return [catalogue_entry(definition, self.words(definition.id, language)) for definition in ordered]


def _check_words(language: str, words: BlockWords, definition: BlockDefinition) -> None:
    wrong = list(misworded(words, definition))
    if wrong:
        name = f"block {definition.id!r} in {language!r}"
        raise RuleError(Problem("", "declaration", f"{name}: {text}") for text in wrong)
