"""Orders, rules and modes of any shape: an answer, or a `RuleError` that says where."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tactics import rules
from tactics.rules import Alias, RuleError, calculate, check, price, so
from tests.rules.test_rule_rubbish import RUBBISH

RULE = so(rules.item_percent_off(percent=10))
ORDER: dict[str, Any] = {"lines": [{"price_minor": 100}]}


def problems(order: object, listed: object, mode: object = "stack", facts: object = None) -> list[tuple[str, str]]:
    with pytest.raises(RuleError) as caught:
        price(cast("Any", order), cast("Any", listed), cast("Any", mode), cast("Any", facts))
    return [(problem.path, problem.code) for problem in caught.value.problems]


@pytest.mark.parametrize("order", [None, [], "order", 5, True])
def test_an_order_is_an_object(order: object) -> None:
    """Nothing else can be priced."""
    assert problems(order, [RULE]) == [("/order", "type")]


@pytest.mark.parametrize("lines", [None, {}, "lines", 5])
def test_an_order_has_a_list_of_lines(lines: object) -> None:
    """Without lines there is nothing to say about what it costs."""
    assert problems({"lines": lines}, [RULE]) == [("/order/lines", "type")]
    assert problems({}, [RULE]) == [("/order/lines", "type")]


NO_TEXT: tuple[object, ...] = (5, True, ["7"], {})
MISTYPED: dict[str, tuple[object, ...]] = {
    "price_minor": (None, -1, 10.5, 100.0, "100", True, float("nan"), 10**400, Decimal(5)),
    "quantity": (-1, 0.5, 2.0, "2", True, float("inf")),
    "category": (5, True, {}, ["tea", 5], [None]),
    **dict.fromkeys(("item_id", "sku", "batch", "sales_channel"), NO_TEXT),
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in MISTYPED for value in MISTYPED[field]])
def test_each_field_of_a_line_is_strictly_typed(field: str, value: object) -> None:
    """Money and pieces are whole numbers, ids are text; nothing is coerced."""
    order = {"lines": [{"price_minor": 100}, {"price_minor": 100, field: value}]}
    assert problems(order, [RULE]) == [(f"/order/lines/1/{field}", "type")]


def test_everything_that_is_wrong_with_an_order_is_told() -> None:
    """Not only the first problem."""
    order = {"currency": 5, "lines": ["x", {"quantity": -1, "sku": 1}]}
    assert [path for path, _ in problems(order, [])] == [
        "/order/currency",
        "/order/lines/0",
        "/order/lines/1/sku",
        "/order/lines/1/quantity",
        "/order/lines/1/price_minor",
    ]


def test_null_is_as_if_left_out() -> None:
    """A quantity of null is one piece, other fields of null are not there."""
    line = {"price_minor": 100, **dict.fromkeys(("quantity", "item_id", "sku", "category", "batch", "sales_channel"))}
    assert price({"currency": None, "lines": [line]}, [RULE])["total_minor"] == 90


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (None, ("/rules/1", "null_rule")),
        ({"rule": None}, ("/rules/1/rule", "null_rule")),
        (5, ("/rules/1", "form")),
        ({"code": "x"}, ("/rules/1", "form")),
        ({"rule": RULE, "price": 1}, ("/rules/1/price", "form")),
        ({"rule": RULE, "code": ""}, ("/rules/1/code", "type")),
        ({"rule": RULE, "code": 5}, ("/rules/1/code", "type")),
        ({"rule": RULE, "exclusive_group": None}, ("/rules/1/exclusive_group", "type")),
        ({"rule": RULE, "priority": "1"}, ("/rules/1/priority", "type")),
        ({"rule": RULE, "priority": 1.0}, ("/rules/1/priority", "type")),
        ({"rule": RULE, "priority": True}, ("/rules/1/priority", "type")),
        ({"rule": {"so": {"then": []}}}, ("/rules/1/rule/so/then", "form")),
        ({"so": {"then": [{"block": "acme.action.x"}]}}, ("/rules/1/so/then/0", "unknown_block")),
        (
            {"rule": so(rules.order_amount_off(Alias("off")))},
            ("/rules/1/rule/so/then/0/params/amount_minor", "unbound_alias"),
        ),
        ({"rule": rules.to_json(so(rules.order_percent_off(10))) | {"x": 1}}, ("/rules/1/rule/x", "form")),
    ],
)
def test_a_rule_that_is_none_is_told_with_its_path(entry: object, found: tuple[str, str]) -> None:
    """The path leads to the rule in the list, and into it."""
    assert problems(ORDER, [RULE, entry]) == [found]


def test_rules_are_a_list_and_modes_are_two() -> None:
    """A single rule is no list; other words than stack and best are no mode."""
    for listed in (None, RULE, rules.to_json(RULE), "rules"):
        assert problems(ORDER, listed) == [("/rules", "type")]
    modes: tuple[object, ...] = ("", "all", None, ["stack"], {})
    for mode in modes:
        assert problems(ORDER, [RULE], mode) == [("/mode", "form")]
    assert problems(ORDER, [RULE], "stack", ["facts"]) == [("/facts", "type")]


def test_rules_given_as_json_or_built_price_alike() -> None:
    """Bare or wrapped, a tree or its JSON data, in a list or a tuple."""
    wanted = price(ORDER, [RULE])
    for one in (rules.to_json(RULE), {"rule": RULE}, {"rule": rules.to_json(RULE)}):
        assert price(ORDER, [one]) == price(ORDER, (one,)) == wanted


def test_a_rule_built_too_deep_is_refused_as_any_other() -> None:
    """Nesting that Python itself cannot follow is a problem of the rule, in every function that takes one."""
    deep = rules.exists(1) & rules.exists(1)
    for _ in range(5000):
        deep = ~deep  # type: ignore[assignment]  # any condition will do
    assert problems(ORDER, [deep]) == [("/rules/0", "limit")]
    assert calculate(deep, {}).reasons[0].code == "limit"
    assert check(deep)["problems"][0]["code"] == "limit"


EVERY_ACTION = [
    so(rules.item_promotion_price("a", 5, no_batch=True)),
    so(rules.item_amount_off(sku="a", amount_minor=5)),
    so(rules.amount_at_least(rules.category_quantity("a"), 1), rules.item_percent_off(category="a", percent=33.33)),
    so(rules.order_amount_off(7)),
    so(rules.order_percent_off(12.5, base="original")),
]
LINE = st.fixed_dictionaries(
    {"price_minor": RUBBISH | st.integers(0, 1000)},
    optional={name: RUBBISH | st.just("a") for name in ("quantity", "item_id", "sku", "category", "batch")},
)


@settings(max_examples=300)
@given(
    RUBBISH | st.fixed_dictionaries({"lines": RUBBISH | st.lists(LINE | RUBBISH, max_size=3)}),
    RUBBISH | st.lists(RUBBISH | st.sampled_from(EVERY_ACTION), max_size=3) | st.just(EVERY_ACTION),
    st.sampled_from(["stack", "best"]) | RUBBISH,
    RUBBISH,
)
def test_input_of_any_shape_is_priced_or_refused(order: object, listed: object, mode: object, facts: object) -> None:
    """Nothing but `RuleError` is ever raised, and it says where."""
    try:
        answer = price(cast("Any", order), cast("Any", listed), cast("Any", mode), cast("Any", facts))
    except RuleError as error:
        places = [problem.path.split("/")[1] for problem in error.problems]
    else:
        places = ["order"]
        assert 0 <= answer["total_minor"] <= answer["original_total_minor"]
    assert places
    assert set(places) <= {"order", "rules", "mode", "facts"}
