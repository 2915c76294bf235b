"""json-logic-qubit (JsonLogic in Python): trees that are interpreted, for it has no compiled form; over host values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import json_logic

from tests.bench.rules import host
from tests.bench.rules.contestant import Contestant, JsonJudge, Judge, Matching, after_loads
from tests.bench.rules.facts import Facts
from tests.bench.rules.peers import json_logic_text
from tests.bench.rules.rules import MixedRule


def single() -> Mapping[str, Judge]:
    """Write R1 to R3."""
    evaluate = json_logic.jsonLogic

    def judge(tree: Any, values: Callable[[Facts], Facts]) -> Judge:
        return lambda facts: evaluate(tree, values(facts))

    return {name: judge(tree, host.VALUES[name]) for name, tree in json_logic_text.values().items()}


def from_json() -> Mapping[str, JsonJudge]:
    """Put `json.loads` before them."""
    return after_loads(single())


def many(mixed: Sequence[MixedRule]) -> Matching:
    """Write a tree a rule."""
    evaluate = json_logic.jsonLogic
    trees = [(rule.key, json_logic_text.condition(rule)) for rule in mixed]

    def matching(facts: Facts) -> list[str]:
        values = host.nested(facts)
        return [key for key, tree in trees if evaluate(tree, values)]

    return matching


PEER = Contestant("json-logic-qubit", single, from_json, many)
