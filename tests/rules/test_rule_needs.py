"""What a rule reads; open parameters and how they are bound; check."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.rules import Alias, BehaviourNeed, Needs, RuleError, aliases, bind, check, needs, parse, so, tiers

TOOL = so(
    rules.amount_at_least(rules.item_quantity(Alias("item")), Alias("least"))
    & rules.exists(rules.user_attribute("age")),
    rules.send_coupon(Alias("benefit")),
    rules.item_amount_off(Alias("item"), 100),
)


def test_needs_are_what_the_rule_reads_and_no_more() -> None:
    """Behaviours with their filters, once each; attributes by name; order, event, time and items only where read."""
    bought = rules.behaviour_count("purchase", 3600, item_set="s")
    rule = tiers(
        so(rules.amount_at_least(bought, 2) & ~rules.exists(rules.user_attribute("blocked")), rules.send_coupon("a")),
        so(
            rules.amount_at_least(bought, 5) | rules.amount_below(rules.seconds_since("view"), 9),
            rules.send_coupon("b"),
        ),
    )
    assert (
        needs(rule)
        == needs(rules.to_json(rule))
        == Needs(
            behaviours=(BehaviourNeed("purchase", 3600, item_set="s"), BehaviourNeed("view", None)),
            event=False,
            order=False,
            items=False,
            now=True,
            placement=False,
            user_attributes=frozenset({"blocked"}),
        )
    )
    nothing = needs(so(rules.give_points(1)))
    assert nothing == Needs((), False, False, False, False, False, frozenset())


@pytest.mark.parametrize(
    ("rule", "read"),
    [
        (rules.exists(rules.order_amount()), {"order"}),
        (rules.exists(rules.item_quantity("7")), {"order"}),
        (rules.exists(rules.item_quantity()), {"order", "items"}),
        (so(rules.item_promotion_price(price_minor=1)), {"items"}),
        (so(rules.item_promotion_price(sku="s", price_minor=1)), set()),
        (so(rules.give_points(rules.event_attribute("n"))), {"event"}),
        (rules.exists(rules.hour_of_day()), {"now"}),
    ],
)
def test_each_part_of_the_facts_is_needed_only_where_it_is_read(rule: Any, read: set[str]) -> None:
    """A caller that loads what `needs` names loads all that the evaluation looks at."""
    found = needs(rule)
    assert {part for part in ("event", "order", "items", "now", "placement") if getattr(found, part)} == read


def test_what_is_only_known_at_run_time_is_needed_in_full() -> None:
    """A parameter that is a resource or an alias asks for all that it might name."""
    dynamic = rules.behaviour_count(Alias("action"), Alias("window"), item_id=rules.event_attribute("item"))
    found = needs(rules.exists(dynamic) & rules.exists(rules.user_attribute(rules.event_attribute("which"))))
    assert found.behaviours == (BehaviourNeed(None, None),)
    assert found.user_attributes is None
    assert found.event


def test_binding_fills_open_parameters_everywhere() -> None:
    """A name is replaced wherever it stands, by a constant, a resource block or that block's JSON."""
    assert aliases(TOOL) == {"item", "least", "benefit"}
    bound = bind(TOOL, {"item": "7", "least": rules.event_attribute("least"), "benefit": "c"})
    assert aliases(bound) == frozenset()
    facts = {"order": {"lines": [{"item_id": "7", "quantity": 2}]}, "user": {"age": 1}, "event": {"least": 2}}
    answer = rules.calculate(bound, facts)
    assert [effect["params"] for effect in answer.effects] == [{"benefit": "c"}, {"item_id": "7", "amount_minor": 100}]
    assert bind(TOOL, {"least": rules.order_quantity().to_json()}) == bind(TOOL, {"least": rules.order_quantity()})


def test_binding_may_stop_half_way_and_changes_nothing_in_place() -> None:
    """A play fills some of a tool's parameters, the activity the rest; the tool stays as it was."""
    half = bind(TOOL, {"item": "7"})
    assert aliases(half) == {"least", "benefit"}
    assert bind(half, {"least": 1, "benefit": "c"}) == bind(TOOL, {"item": "7", "least": 1, "benefit": "c"})
    assert aliases(TOOL) == {"item", "least", "benefit"}


@pytest.mark.parametrize(
    ("values", "path", "code"),
    [
        ({"least": "two"}, "/so/when/and/0/params/amount_at", "type"),
        ({"least": 0}, "/so/when/and/0/params/amount_at", "type"),
        ({"benefit": rules.send_coupon("c")}, "/so/then/0/params/benefit", "kind"),
        ({"typo": 1}, "/typo", "unknown_alias"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, Any], path: str, code: str) -> None:
    """A value is checked where it lands; a name that is not open is a typing mistake."""
    with pytest.raises(RuleError) as caught:
        bind(TOOL, values)
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [(path, code)]


def test_check_reports_open_aliases_unless_they_are_allowed() -> None:
    """A tool may have open parameters, an activity may not."""
    answer = check(rules.to_json(TOOL))
    assert not answer["ok"]
    assert {problem["code"] for problem in answer["problems"]} == {"unbound_alias"}
    assert {problem["path"] for problem in answer["problems"]} == {
        "/so/when/and/0/params/amount_at",
        "/so/when/and/0/params/amount/params/item_id",
        "/so/then/0/params/benefit",
        "/so/then/1/params/item_id",
    }
    assert check(TOOL, open_aliases=True) == {"ok": True, "problems": []}
    assert parse(TOOL.to_json()) == TOOL


def test_a_problem_has_the_four_fields_of_the_contract() -> None:
    """`check` answers data: path, severity, code and message for each problem."""
    assert check({"not": 1}) == {
        "ok": False,
        "problems": [
            {
                "path": "/not",
                "severity": "error",
                "code": "form",
                "message": "a block, not, and, or, so or tiers belongs here, not 1",
            }
        ],
    }
