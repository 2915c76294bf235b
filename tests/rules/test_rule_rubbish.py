"""Facts of any shape are answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tactics import rules
from tactics.rules import Builder, Rule, calculate, default_registry, so


def every_block() -> list[Rule]:
    """One rule over each standard resource and condition."""
    attribute = rules.event_attribute
    values: Mapping[str, Any] = {"name": "a", "action": "a", "window_s": 60, "item_set": "a", "category": "a"}
    sources = [
        Builder(definition)(**{name: values.get(name, "a") for name in definition.parameters})
        for definition in default_registry
        if definition.kind == "resource"
    ]
    judged: list[Rule] = [rules.exists(source) for source in sources]
    for definition in default_registry:
        if definition.kind == "condition":
            names = [name for name in definition.parameters if name not in {"enable_multiple", "max_multiple"}]
            judged.append(Builder(definition)(**{name: attribute(name[0]) for name in names}))
    numbers = {definition.id for definition in default_registry if definition.gives == "number"}
    points = [so(rules.give_points(source)) for source in sources if source.block in numbers]
    return [*judged, *points, *[so(rules.send_coupon(attribute("a"))), so(rules.order_percent_off(attribute("a")))]]


EVERY_BLOCK = every_block()
RUBBISH = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["a", "2024-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", 10**400, 1e308, -1, object()])
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
    | st.binary(max_size=2)
    | st.sets(st.integers(), max_size=2),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["lines", "item_id", "sku", "category", "quantity", "price_minor", "batch", "a", "at", "action"]
            )
            | st.integers(),
            part,
            max_size=5,
        )
    ),
    max_leaves=15,
)
RECORD = st.fixed_dictionaries(
    {"action": RUBBISH | st.just("a"), "at": RUBBISH | st.datetimes(timezones=st.timezones())},
    optional={"item_sets": RUBBISH, "category": RUBBISH, "item_id": RUBBISH | st.just("a"), "quantity": RUBBISH},
)
ANY_FACTS = RUBBISH | st.fixed_dictionaries(
    {},
    optional={
        "user": RUBBISH | st.dictionaries(st.just("a"), RUBBISH),
        "event": RUBBISH | st.dictionaries(st.sampled_from("avlhtmf"), RUBBISH),
        "order": RUBBISH | st.fixed_dictionaries({"lines": RUBBISH | st.lists(RECORD | RUBBISH, max_size=3)}),
        "behaviours": RUBBISH | st.lists(RECORD | RUBBISH, max_size=3),
        "scene": RUBBISH,
        "now": RUBBISH | st.datetimes(timezones=st.timezones()) | st.just("2024-01-01T00:00:00Z"),
        "timezone": RUBBISH | st.sampled_from(["UTC", "Asia/Tokyo", "", "..", "/etc", "a\0b", "Europe", "\ud800"]),
    },
)


@settings(max_examples=200)
@given(ANY_FACTS)
def test_facts_of_any_shape_are_answered(facts: object) -> None:
    """No facts make an evaluation raise or a standard block fail; every answer is one of three and is JSON."""
    for rule in EVERY_BLOCK:
        answer = calculate(rule, facts)
        assert answer.status in {"matched", "not_matched", "unknown"}
        assert "failed" not in [reason.code for reason in answer.reasons]
        assert all(_is_json(part) for part in answer.to_json().values())


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(part) for key, part in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return not isinstance(value, datetime) and (value is None or isinstance(value, (str, bool, int, float)))
