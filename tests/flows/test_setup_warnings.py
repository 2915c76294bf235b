"""What the checks of rules say when an activity is imported."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.errors import BadInput
from tactics.flows import setup
from tactics.runtime import Runtime
from tests.making import bought, document

SPEND = rules.order_amount()


def _rule(when: rules.Condition) -> dict[str, Any]:
    return rules.to_json(rules.so(when, rules.send_coupon("c18")))


def test_a_rule_that_looks_wrong_is_imported_with_notes(runtime: Runtime) -> None:
    """Warnings stop nothing; each is a note with its path, those of behaviour rules as well."""
    idle = rules.amount_more_than(rules.behaviour_count("view", 60), -1).to_json()
    changed = document(
        rule=_rule(rules.amount_more_than(SPEND, -1)), behaviour_rules={"seen": {**bought(3), "rule": idle}}
    )
    (one, _) = setup.import_activities(runtime, [changed])
    assert one.change == "new"
    idles = "is always more than -1, where it is known: change or remove this condition"
    assert one.notes == (
        f"/rule/so/when: the order amount {idles}",
        f'/behaviour_rules/seen/rule: how often the user did "view" {idles}',
    )


def test_a_rule_that_can_never_match_is_not_imported(runtime: Runtime) -> None:
    """A contradiction is refused with its path, like any other mistake."""
    never = rules.amount_at_least(SPEND, 10) & rules.amount_below(SPEND, 10)
    with pytest.raises(BadInput) as raised:
        setup.import_activities(runtime, [document(rule=_rule(never))])
    (problem,) = raised.value.fields["problems"]
    assert problem["path"] == "/rule/so/when"
    assert "/so/when/and/0 and /so/when/and/1 never hold together" in problem["message"]
