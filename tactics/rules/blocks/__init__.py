"""The standard blocks, and the registry that holds them until plugins add more."""

from __future__ import annotations

from tactics.rules.blocks import action, condition, resource
from tactics.rules.registry import Registry
from tactics.rules.words import zh

STANDARD_BLOCKS = (*resource.BLOCKS, *condition.BLOCKS, *action.BLOCKS)

# Used wherever no registry is named. Plugins add to it at start; tests and other callers make their own.
default_registry = Registry(STANDARD_BLOCKS)
default_registry.translate("zh", zh.WORDS)
