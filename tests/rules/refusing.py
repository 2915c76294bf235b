"""Refused by every function that reads rules: how hostile input is to be met."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tactics.rules import RuleError, calculate, check, explain, needs, parse, price
from tests.rules.rules_at_random import Json

POINTS: Json = {"block": "pbb.action.give_points", "params": {"points": 1}}


def attribute(name: Any, of: str = "user") -> Json:
    return {"block": f"pbb.resource.{of}_attribute", "params": {"name": name}}


def exists(value: Any) -> Json:
    return {"block": "pbb.condition.exists", "params": {"value": value}}


def equals(value: Any, to: Any) -> Json:
    return {"block": "pbb.condition.equals", "params": {"value": value, "to": to}}


READERS: tuple[Callable[[Any], object], ...] = (
    parse,
    needs,
    lambda obj: price({"lines": []}, [obj]),
    lambda obj: price({"lines": []}, [{"code": "a", "rule": obj}]),
)


def refused(read: Callable[[], object], *codes: str) -> None:
    with pytest.raises(RuleError) as caught:
        read()
    assert caught.value.problems
    assert {one.code for one in caught.value.problems} <= set(codes or {one.code for one in caught.value.problems})


def refused_everywhere(obj: Any, *codes: str) -> None:
    """As data, whichever function reads it."""
    answer = check(obj)
    assert not answer["ok"]
    assert {one["code"] for one in answer["problems"]} <= set(codes)
    for read in READERS:
        refused(partial(read, obj), *codes)
    assert calculate(obj, {}).status == explain(obj, {}).evaluation.status == "invalid"
