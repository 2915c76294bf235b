"""cel-python (CEL in Python): programs transpiled to Python once, over host values.

Its faster runner cannot call functions that live in the host's modules, so what the host computes has to be a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any

import celpy

from tests.bench.rules import host
from tests.bench.rules.contestant import Contestant, JsonJudge, Judge, Matching, after_loads
from tests.bench.rules.facts import Facts
from tests.bench.rules.peers import cel_text
from tests.bench.rules.rules import MixedRule


def single() -> Mapping[str, Judge]:
    """Transpile R1 to R3."""

    def judge(text: str, values: Callable[[Facts], Facts]) -> Judge:
        evaluate = _program(text)
        return lambda facts: evaluate(_activation(values(facts)))

    return {name: judge(text, host.VALUES[name]) for name, text in cel_text.VALUES.items()}


def from_json() -> Mapping[str, JsonJudge]:
    """Put `json.loads` before them."""
    return after_loads(single())


def many(mixed: Sequence[MixedRule]) -> Matching:
    """Transpile all rules as one list: a third faster than a program a rule."""
    keys = [rule.key for rule in mixed]
    evaluate = _program(cel_text.conditions(mixed))
    return lambda facts: list(compress(keys, evaluate(_activation(host.nested(facts)))))


def _program(text: str) -> Callable[[dict[str, Any]], Any]:
    environment = celpy.Environment(runner_class=celpy.CompiledRunner)
    evaluate: Callable[[dict[str, Any]], Any] = environment.program(environment.compile(text)).evaluate
    return evaluate


def _activation(values: Facts) -> dict[str, Any]:
    return {name: celpy.json_to_cel(value) for name, value in values.items()}


PEER = Contestant("cel-python", single, from_json, many)
