"""Whatever JSON reaches the rules service, and however much of it: it is answered, or refused with a problem, in bounded time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import given, settings
from hypothesis import strategies as st

from tactics.api import examples, limits
from tests.api.wire import EXISTS, post, problem

BIG = limits.MAX_BODY_BYTES
# What the largest body may take, on a machine that does other things as well.
PATIENCE_S = 30.0

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_SENT = [
    (route, request)
    for route, exchanges in (("evaluate", examples.EVALUATE), ("check", examples.CHECK), ("price", examples.PRICE))
    for request, _ in exchanges.values()
]


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A request that is nearly right: an example with a few of its parts replaced, left out, or joined by others."""
    route, request = draw(st.sampled_from(_SENT))
    found = json.loads(json.dumps(request))
    for _ in range(draw(st.integers(0, 3))):
        at = found
        while isinstance(at, (dict, list)) and at and draw(st.booleans()):
            inside = [one for one in (at.values() if isinstance(at, dict) else at) if isinstance(one, (dict, list))]
            if not inside:
                break
            at = draw(st.sampled_from(inside))
        if isinstance(at, dict):
            name = draw(st.sampled_from(sorted(at)) | st.text(max_size=6)) if at else draw(st.text(max_size=6))
            if draw(st.booleans()):
                at[name] = draw(json_values)
            else:
                at.pop(name, None)
        elif at:
            at[draw(st.integers(0, len(at) - 1))] = draw(json_values)
    return route, found


def well_answered(answer: Response) -> None:
    if answer.status_code == 200:
        answer.json()
    else:
        assert answer.status_code in {400, 422}, answer.text
        problem(answer, answer.status_code, answer.json()["code"])


@given(route=st.sampled_from(["evaluate", "check", "price"]), value=json_values)
@settings(deadline=None)
def test_any_json_is_answered_or_refused(service: TestClient, route: str, value: Any) -> None:
    """Whatever JSON arrives: 200, or a problem of the caller's; never a failure of ours."""
    well_answered(post(service, route, json.dumps(value)))


@given(request=requests())
@settings(deadline=None, max_examples=300)
def test_any_near_request_is_answered_or_refused(service: TestClient, request: tuple[str, Any]) -> None:
    """Requests that are nearly right reach further in: 200, or a problem of the caller's; never a failure of ours."""
    route, sent = request
    well_answered(post(service, route, json.dumps(sent)))


@given(content=st.binary(max_size=64))
@settings(deadline=None)
def test_any_bytes_are_answered_or_refused(service: TestClient, content: bytes) -> None:
    """Whatever bytes arrive as JSON: 200, or a problem of the caller's."""
    well_answered(post(service, "check", content))


def filled(before: str, unit: str, after: str, size: int = BIG) -> str:
    """A body as large as is allowed, of one part over and over."""
    count = (size - len(before) - len(after)) // (len(unit) + 1)
    return before + ",".join([unit] * count) + after


OF_ITEM = (
    '{"block": "pbb.condition.amount_at_least", "params": {"amount_at": 1, '
    '"amount": {"block": "pbb.resource.item_quantity", "params": {"item_id": "x"}}}}'
)
PERCENT = '{"so": {"then": [{"block": "pbb.action.item_percent_off", "params": {"percent": 1.07}}]}}'
KEYS = ",".join(f'"{number}": 0' for number in range(100_000))
LINE = '{"price_minor": 999, "quantity": 7}'
HOSTILE = {
    "lists": ("evaluate", filled(f'{{"rule": {EXISTS}, "facts": {{"a": [', "[]", "]}}"), 200),
    "objects": ("evaluate", filled(f'{{"rule": {EXISTS}, "facts": {{"a": [', '{"":0}', "]}}"), 200),
    "text": ("evaluate", f'{{"rule": {EXISTS}, "facts": {{"now": "{"9" * (BIG - 200)}"}}}}', 200),
    "keys": ("evaluate", f"{{{KEYS}}}", 422),
    "keys of rules": ("evaluate", filled('{"facts": {}, "rules": [', f"{{{KEYS[:1500]}}}", "]}"), 422),
    "rules that are none": ("evaluate", filled('{"facts": {}, "rules": [', "1", "]}"), 422),
    "nodes": ("evaluate", filled('{"facts": {"order": {}}, "rule": {"or": [', EXISTS, "]}}"), 200),
    "unknown parameters": ("check", f'{{"rule": {{"block": "pbb.condition.exists", "params": {{{KEYS}}}}}}}', 200),
    "unknown blocks": (
        "check",
        filled('{"rule": {"or": [', '{"block": "pbb.condition.amount_at_leased"}', "]}}", 400_000),
        200,
    ),
    "blocks and lines": (
        "evaluate",
        filled('{"rule": {"or": [', OF_ITEM, "]}, ", BIG // 4)
        + filled('"facts": {"order": {"lines": [', "{}", "]}}}", BIG // 2),
        422,
    ),
    "most blocks and lines": (
        "evaluate",
        filled('{"rule": {"or": [', OF_ITEM, "]}, ", 300_000)
        + filled('"facts": {"order": {"lines": [', "{}", "]}}}", 3_000),
        200,
    ),
    "a text told over and over": (
        "evaluate",
        filled('{"rule": {"or": [', OF_ITEM.replace("x", "y" * 9), "]}, ", 500_000)
        + f'"facts": {{"scene": "{"s" * (BIG // 2)}"}}}}',
        422,
    ),
    "most prices": (
        "price",
        filled('{"rules": [', PERCENT, "], ", 30_000) + filled('"order": {"lines": [', LINE, "]}}", 20_000),
        200,
    ),
    "too many prices": (
        "price",
        filled('{"rules": [', PERCENT, "], ", 80_000) + filled('"order": {"lines": [', LINE, "]}}", BIG // 2),
        422,
    ),
    "lines that are none": ("price", filled('{"rules": [], "order": {"lines": [', "{}", "]}}", 55_000), 422),
    "long numbers": (
        "price",
        filled('{"rules": [', PERCENT, "], ", 30_000)
        + filled('"order": {"lines": [', f'{{"price_minor": 1{"0" * 300}}}', "]}}", 200_000),
        422,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_take_bounded_time(service: TestClient, name: str) -> None:
    """The worst bodies within the limit are answered, or refused, in seconds, with megabytes at most."""
    route, sent, status = HOSTILE[name]
    assert len(sent) <= BIG
    started = time.monotonic()
    answer = post(service, route, sent)
    assert time.monotonic() - started < PATIENCE_S
    assert answer.status_code == status, answer.text[:500]
    assert len(answer.content) < 32_000_000


def test_problems_are_listed_up_to_a_number(service: TestClient) -> None:
    """Of a hundred thousand problems a hundred are listed, and the others counted."""
    route, sent, _ = HOSTILE["lines that are none"]
    found = problem(post(service, route, sent), 422, "rule_error")
    assert len(found["problems"]) == limits.MAX_PROBLEMS
    assert found["more_problems"] == sent.count("{}") - limits.MAX_PROBLEMS
