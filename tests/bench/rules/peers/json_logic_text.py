"""The rules as JsonLogic, for both libraries that read it."""

from __future__ import annotations

from typing import Any

from tests.bench.rules import rules
from tests.bench.rules.facts import BLOCKED
from tests.bench.rules.rules import ItemRule, MixedRule, SkuRule


def values() -> dict[str, Any]:
    """Write R1 to R3 over host values."""
    level = {"in": [_var("level"), list(rules.R3_LEVELS)]}
    allowed = {"and": [{"!": [_var("blocked")]}, {">=": [_var("count"), rules.R2_AT]}]}
    return {
        "r1": {"if": [{">=": [_var("count"), rules.R1_AT]}, rules.R1_PRICE, None]},
        "r2": {"if": [allowed, rules.R2_PRICE, None]},
        "r3": {"if": [level, _ladder(_var("amount")), None]},
    }


def whole() -> dict[str, Any]:
    """Write R1 to R3 over whole facts: filters and sums of the order's lines."""
    no_batch = {"and": [{"===": [_var("item_id"), rules.R1_ITEM]}, {"===": [_var("batch"), None]}]}
    pieces = _sum(no_batch, _var("current.quantity"))
    of_sku = _sum({"===": [_var("sku"), rules.R2_SKU]}, _var("current.quantity"))
    worth = {"*": [_var("current.price_minor"), _var("current.quantity")]}
    amount = _sum({"===": [_var("sales_channel"), rules.R3_SALES_CHANNEL]}, worth)
    allowed = {"!": [{"in": [_var("user.id"), list(BLOCKED)]}]}
    level = {"in": [_var("user.level"), list(rules.R3_LEVELS)]}
    # A reduction over a list of one computes the amount once for all steps.
    ladder = {"reduce": [[amount], _ladder(_var("current")), None]}
    return {
        "r1": {"if": [{">=": [pieces, rules.R1_AT]}, rules.R1_PRICE, None]},
        "r2": {"if": [{"and": [allowed, {">=": [of_sku, rules.R2_AT]}]}, rules.R2_PRICE, None]},
        "r3": {"if": [level, ladder, None]},
    }


def condition(rule: MixedRule) -> dict[str, Any]:
    """Write one of many rules over nested host values."""
    channel = {"===": [_var("channel"), rule.channel]}
    if isinstance(rule, ItemRule):
        return {"and": [channel, _at_least(f"items.{rule.item_id}", rule.at)]}
    if isinstance(rule, SkuRule):
        return {"and": [channel, _at_least(f"skus.{rule.sku}", rule.at), {"!": [_var(f"segments.{rule.segment}")]}]}
    level = {"in": [_var("level"), list(rule.levels)]}
    return {"and": [channel, level, _at_least(f"amounts.{rule.sales_channel}", rule.at)]}


def _var(name: str) -> dict[str, Any]:
    return {"var": name}


def _at_least(name: str, at: int) -> dict[str, Any]:
    return {">=": [{"var": [name, 0]}, at]}


def _sum(condition: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    filtered = {"filter": [_var("order.lines"), condition]}
    return {"reduce": [filtered, {"+": [_var("accumulator"), value]}, 0]}


def _ladder(amount: dict[str, Any]) -> dict[str, Any]:
    steps = [part for at, off in reversed(rules.R3_STEPS) for part in ({">=": [amount, at]}, off)]
    return {"if": [*steps, None]}
