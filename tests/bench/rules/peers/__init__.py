"""Other rule engines, each in its fastest form that a user would write; a file each. None is needed to run the engine."""

from __future__ import annotations

from importlib import import_module

from tests.bench.rules.contestant import Contestant

MODULES = {
    "zen-engine": "zen_engine",
    "common-expression-language": "common_expression_language",
    "cel-python": "cel_python",
    "rule-engine": "rule_engine_peer",
    "business-rules": "business_rules_peer",
    "json-logic-qubit": "json_logic_qubit",
    "datalogic-py": "datalogic",
}
"""The module of each, by its name on PyPI."""


def load(name: str) -> Contestant:
    """Give the peer; raises ImportError where its package is not installed."""
    found = import_module(f"{__name__}.{MODULES[name]}").PEER
    assert isinstance(found, Contestant)
    return found
