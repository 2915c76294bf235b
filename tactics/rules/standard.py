"""Which block is a standard one, whatever registry it is found in."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

from tactics.rules.block import BlockDefinition
from tactics.rules.blocks import STANDARD_BLOCKS

_STANDARD: Mapping[Any, BlockDefinition] = {
    block.definition.implementation: block.definition for block in STANDARD_BLOCKS if block.definition.implementation
}


def is_standard(definition: BlockDefinition) -> bool:
    """Whether the block computes as a standard one does, over the same parameters, in every scene."""
    implementation = definition.implementation
    if definition.scenes or not isinstance(implementation, FunctionType):
        return False
    known = _STANDARD.get(implementation)
    return known is not None and (
        known.parameters is definition.parameters or known.parameters == definition.parameters
    )
