"""Blocks as a catalogue can list them, with JSON Schema (draft 2020-12)."""

from __future__ import annotations

from tactics.rules.block import BlockDefinition
from tactics.rules.parameter import Parameter

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


def catalogue_entry(definition: BlockDefinition) -> dict[str, object]:
    """One block for people and pages: what it is, what it takes, what it gives."""
    return {
        "id": definition.id,
        "kind": definition.kind,
        "description": definition.description,
        "params": params_schema(definition),
        **({"gives": definition.gives} if definition.gives else {}),
        **({"unit": definition.unit} if definition.unit else {}),
        **({"scenes": sorted(definition.scenes)} if definition.scenes else {}),
    }


def params_schema(definition: BlockDefinition) -> dict[str, object]:
    """The JSON Schema of a block's `params`, complete in itself."""
    return {
        "type": "object",
        "properties": {name: _schema(parameter) for name, parameter in definition.parameters.items()},
        "required": [name for name, parameter in definition.parameters.items() if not parameter.optional],
        "additionalProperties": False,
        "$defs": {"resource": _RESOURCE, "alias": _ALIAS},
    }


def _schema(parameter: Parameter) -> dict[str, object]:
    return {
        "description": parameter.description,
        "anyOf": [dict(parameter.schema), {"$ref": "#/$defs/resource"}, {"$ref": "#/$defs/alias"}],
        **({"x-unit": parameter.unit} if parameter.unit else {}),
        **({"x-takes": sorted(parameter.takes)} if parameter.takes else {}),
    }
