"""What a contestant is: the same rules in its own best form, made once and called often."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.rules.facts import Facts
from tests.bench.rules.rules import MixedRule

Judge = Callable[[Facts], Any]
"""What a rule gives for these facts (800, 200, or the ladder's amount), or None when it does not match."""
JsonJudge = Callable[[bytes], Any]
Matching = Callable[[Facts], Sequence[str]]
"""The keys of the rules that match these facts."""


@dataclass(frozen=True)
class Contestant:
    """One way to judge rules. Its functions make everything that can be made before the facts are there."""

    name: str
    single: Callable[[], Mapping[str, Judge]]
    """Gives r1, r2 and r3."""
    from_json: Callable[[], Mapping[str, JsonJudge]]
    """Gives them for facts that are still JSON text."""
    many: Callable[[Sequence[MixedRule]], Matching]


def after_loads(judges: Mapping[str, Judge]) -> Mapping[str, JsonJudge]:
    """Give the judges for JSON text: `json.loads`, then they."""
    loads = json.loads

    def one(judge: Judge) -> JsonJudge:
        return lambda text: judge(loads(text))

    return {name: one(judge) for name, judge in judges.items()}
