"""Blocks as a catalogue can list them, with JSON Schema (draft 2020-12)."""

from __future__ import annotations

from tactics.rules.block import BlockDefinition
from tactics.rules.parameter import Parameter
from tactics.rules.words import BlockWords, ParameterWords, english

# What may stand in a parameter's place besides a constant.
_ALIAS = {
    "type": "object",
    "properties": {"alias": {"type": "string", "minLength": 1}},
    "required": ["alias"],
    "additionalProperties": False,
}
_RESOURCE = {
    "type": "object",
    "properties": {"block": {"type": "string"}, "params": {"type": "object"}},
    "required": ["block"],
    "additionalProperties": False,
}


def catalogue_entry(definition: BlockDefinition, words: BlockWords | None = None) -> dict[str, object]:
    """One block for people and pages: what it is, what it takes, what it gives.

    `words` are its words in another language than the English it is declared with.
    """
    words = words or english(definition)
    return {
        "id": definition.id,
        "kind": definition.kind,
        "name": words.name,
        "description": words.description,
        "words": words.words,
        "params": params_schema(definition, words),
        **({"gives": definition.gives} if definition.gives else {}),
        **({"unit": definition.unit} if definition.unit else {}),
        **({"scenes": sorted(definition.scenes)} if definition.scenes else {}),
    }


def params_schema(definition: BlockDefinition, words: BlockWords | None = None) -> dict[str, object]:
    """The JSON Schema of a block's `params`, complete in itself; `words` as for `catalogue_entry`."""
    called = (words or english(definition)).parameters
    return {
        "type": "object",
        "properties": {name: _schema(parameter, called[name]) for name, parameter in definition.parameters.items()},
        "required": [name for name, parameter in definition.parameters.items() if not parameter.optional],
        "additionalProperties": False,
        "$defs": {"resource": _RESOURCE, "alias": _ALIAS},
    }


def _schema(parameter: Parameter, words: ParameterWords) -> dict[str, object]:
    return {
        "title": words.title,
        "description": words.description,
        "anyOf": [dict(parameter.schema), {"$ref": "#/$defs/resource"}, {"$ref": "#/$defs/alias"}],
        **({"x-unit": parameter.unit} if parameter.unit else {}),
        **({"x-takes": sorted(parameter.takes)} if parameter.takes else {}),
    }
