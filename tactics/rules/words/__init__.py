"""What blocks and their parameters are called in a language, for the catalogue."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tactics.rules.block import BlockDefinition

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class ParameterWords:
    """One parameter: its title, as a form shows it, and what it means."""

    title: str
    description: str


@dataclass(frozen=True, slots=True)
class BlockWords:
    """One block: its name, what it does, its `words` with the same `{parameters}` in them as the block's own, and its parameters.

    A parameter that is left out keeps its English.
    """

    name: str
    description: str
    words: str
    parameters: Mapping[str, ParameterWords] = field(default_factory=dict)


def english(definition: BlockDefinition) -> BlockWords:
    """The words that a block is declared with; names come from its id and the parameters' names."""
    parameters = {
        name: ParameterWords(name.replace("_", " "), parameter.description)
        for name, parameter in definition.parameters.items()
    }
    name = definition.id.rpartition(".")[2].replace("_", " ")
    return BlockWords(name, definition.description, definition.words, parameters)


def completed(words: BlockWords, definition: BlockDefinition) -> BlockWords:
    """The words with English for the parameters that they leave out."""
    return BlockWords(
        words.name, words.description, words.words, {**english(definition).parameters, **words.parameters}
    )


def misworded(words: BlockWords, definition: BlockDefinition) -> Iterator[str]:
    """What is wrong with a block's words in another language."""
    wanted, found = set(definition.named_in_words), set(_placeholders(words.words))
    if found != wanted:
        shown = [", ".join(sorted(f"{{{name}}}" for name in names)) or "none" for names in (wanted, found)]
        yield f"its words name the parameters {shown[0]}, not {shown[1]}"
    for name in words.parameters:
        if name not in definition.parameters:
            yield f"{name!r} is not one of its parameters"
    if not all(text.strip() for text in (words.name, words.description, words.words)):
        yield "name, description and words are needed"


def _placeholders(words: str) -> Iterator[str]:
    return (name for _, name, _, _ in string.Formatter().parse(words) if name is not None)
