"""Documents that define behaviour rules outside any activity."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from tactics import rules
from tactics.domain.activity import BehaviourRule, Code, Document, validation_problems
from tactics.errors import BadInput


class BehaviourRules(Document):
    """Behaviour rules by their keys."""

    behaviour_rules: dict[Code, BehaviourRule] = Field(min_length=1)


def is_rule_document(document: object) -> bool:
    """Tell whether a document defines behaviour rules and nothing else."""
    return isinstance(document, dict) and set(document) == {"behaviour_rules"}


def parse_behaviour_rules(document: object) -> dict[str, BehaviourRule]:
    """Read a document with only `behaviour_rules:` and check it whole.

    Raises:
        BadInput: with every problem found in `problems`, each with the `path` (a JSON Pointer) and a `message`.
    """
    problems: list[dict[str, str]]
    try:
        found = BehaviourRules.model_validate(document).behaviour_rules
    except ValidationError as error:
        problems = validation_problems(error)
    else:
        problems = [
            {"path": f"/behaviour_rules/{key}/rule{problem['path']}", "message": problem["message"]}
            for key, part in found.items()
            for problem in _problems_of(part)
            if problem["severity"] == "error"
        ]
        if not problems:
            return found
    lines = "; ".join(f"{problem['path'] or '/'}: {problem['message']}" for problem in problems)
    raise BadInput(f"behaviour rules: {lines}", problems=problems)


def _problems_of(rule: BehaviourRule) -> list[dict[str, str]]:
    found: Any = rules.check(rule.rule)["problems"]
    return list(found)
