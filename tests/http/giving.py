"""Activities that run now, and what users get from them."""

from __future__ import annotations

from typing import Any

from tactics import rules
from tactics.store.audit import audit
from tests.driving import Drive
from tests.making import document

SCHEDULE = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


def running(code: str = "tea", **changes: Any) -> dict[str, Any]:
    """Give an activity that runs now, and gives the coupon c18 on the channel of its own code."""
    return document(code=code, schedule=SCHEDULE, channels={"prepare": [], "grant": [code]}, **changes)


def giving(*actions: rules.Block) -> dict[str, Any]:
    """Give a rule that always applies these actions."""
    return rules.to_json(rules.so(*actions))


def give(live: Drive, user_id: str, code: str = "tea") -> dict[str, Any]:
    """Let a user visit; give the first asset that they are shown."""
    answer = live.visit(user_id, code)
    (part,) = answer.results
    return dict(part["assets"][0])


def audited(live: Drive) -> list[str]:
    """Give what does not add up."""
    with live.runtime.engine.connect() as conn:
        return [finding.text for finding in audit(conn)]


def problem(answer: Any) -> tuple[int, str]:
    """Give status and code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, str(answer.json()["code"])
