"""Orders, rules and answers in few words, for the examples of prices."""

from __future__ import annotations

from typing import Any

from tactics import rules
from tactics.rules import PriceAnswer, Rule, so


def line(price_minor: int, quantity: int = 1, **fields: Any) -> dict[str, Any]:
    return {"price_minor": price_minor, "quantity": quantity, **fields}


def order(*lines: dict[str, Any]) -> dict[str, Any]:
    return {"currency": "EUR", "lines": list(lines)}


def totals(answer: PriceAnswer) -> list[int]:
    return [one["total_minor"] for one in answer["lines"]]


def units(answer: PriceAnswer) -> list[int]:
    return [one["unit_price_minor"] for one in answer["lines"]]


def applied(answer: PriceAnswer) -> list[tuple[str | None, int]]:
    return [(one["code"], one["saved_minor"]) for one in answer["applied"]]


def statuses(answer: PriceAnswer) -> list[str]:
    return [one["status"] for one in answer["rules"]]


def coded(**named: Rule) -> list[dict[str, Any]]:
    return [{"code": code, "rule": rule} for code, rule in named.items()]


def amount_off(minor: int) -> Rule:
    return so(rules.order_amount_off(minor))


def percent_off(percent: float, **more: Any) -> Rule:
    return so(rules.order_percent_off(percent, **more))
