"""Contexts: plain data that survives a hop, and what rules and placements see of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics import rules
from tactics.domain.context import ItemContext, TacticsInstanceContext
from tactics.domain.event import Event, parse_event
from tactics.errors import BadInput
from tactics.runtime import Runtime
from tactics.segment import encoded
from tactics.store import events
from tests.driving import NOON, message
from tests.making import activity

EVENT = Event("shop", "1", "placement", "7", "home", {"attributes": {"page": "cart"}}, NOON)

_TEXT = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=8)
_PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e12, 1e12) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_OBJECT = st.dictionaries(_TEXT, _PLAIN, max_size=3)
_CONTEXTS = st.builds(
    ItemContext,
    activity=st.just(activity()),
    event=st.just(EVENT),
    link=st.sampled_from(["prepare", "grant"]),
    now=st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis adds the zone
    language=_TEXT,
    placement=st.none() | _TEXT,
    order=st.none() | _OBJECT,
    best_only=st.booleans(),
    candidates=st.lists(_TEXT, max_size=3),
    user=st.none() | _OBJECT,
    effects=st.lists(_OBJECT, max_size=2),
    assets=st.lists(_OBJECT, max_size=2),
    outcome=st.none() | _TEXT,
    stopped=st.booleans(),
    result=st.none() | _OBJECT,
    items=st.lists(_OBJECT, max_size=2),
)


@given(_CONTEXTS)
def test_context_survives_a_hop(ctx: ItemContext) -> None:
    """Written as JSON and read again a context is what it was, to the last member."""
    carried = json.loads(json.dumps(encoded(ctx)))
    assert ItemContext.from_json(carried, activity=ctx.activity, event=ctx.event) == ctx


def test_context_of_a_newer_version_is_read() -> None:
    """Members that this version does not know are left out, and those missing have their defaults."""
    ctx = TacticsInstanceContext(activity(), EVENT, "grant", NOON)
    carried = {**ctx.to_json(), "from_the_future": 1}
    del carried["notes"]
    assert TacticsInstanceContext.from_json(carried, activity=ctx.activity, event=EVENT) == ctx


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), {"a": [NOON]}])
def test_what_is_not_plain_is_named_by_its_field(value: Any) -> None:
    """A context with something else than plain data is refused, and the field is named."""
    ctx = ItemContext(activity(), EVENT, "grant", NOON, items=[{"item_id": value}])
    with pytest.raises(TypeError, match="context field 'items' is not plain data"):
        encoded(ctx)


def test_facts_leave_out_what_is_not_known() -> None:
    """Rules see what the context has, under the names of the rules' facts; what it has not reads as unknown there."""
    bare = TacticsInstanceContext(activity(timezone="Asia/Shanghai"), EVENT, "grant", NOON)
    assert bare.facts() == {"event": {"page": "cart"}, "now": NOON, "timezone": "Asia/Shanghai"}
    rich = ItemContext(activity(), EVENT, "grant", NOON, order={}, user={"vip": True}, placement="top", scene="cart")
    assert {name: rich.facts()[name] for name in ("order", "user", "placement", "scene", "items")} == {
        "order": {},
        "user": {"vip": True},
        "placement": "top",
        "scene": "cart",
        "items": [],
    }


def test_prepared_data_is_what_the_context_type_says() -> None:
    """Preparation leaves the prepared fields and no others; a placement takes back those and no others."""
    ctx = ItemContext(activity(), EVENT, "prepare", NOON, items=[{"item_id": "7"}], priced_version=2, user={"a": 1})
    assert ctx.prepared_data() == {"items": [{"item_id": "7"}], "priced_version": 2}
    other = ItemContext(activity(), EVENT, "grant", NOON)
    other.refill({**ctx.prepared_data(), "language": "zh", "user": {}})
    assert (other.items, other.priced_version) == ([{"item_id": "7"}], 2)
    assert (other.prepared, other.language, other.user) == (True, "en", None)
    assert TacticsInstanceContext(activity(), EVENT, "prepare", NOON).prepared_data() == {}


@pytest.mark.parametrize(
    ("condition", "changes"),
    [
        (rules.amount_at_least(rules.item_quantity("7"), 3), False),
        (rules.equals(rules.user_attribute("vip"), True), False),
        (rules.amount_at_least(rules.behaviour_count("view", 60), 1), True),
        (rules.equals(rules.event_attribute("page"), "cart"), True),
        (rules.amount_at_least(rules.hour_of_day(), 9), True),
    ],
)
def test_prepared_prices_hold_while_nothing_that_they_depend_on_changed(condition: Any, changes: bool) -> None:
    """Prices found at a placement hold unless rule version, order, visit, clock or actions may differ; new ones always."""
    made = activity(rule=rules.to_json(rules.so(condition, rules.item_promotion_price("7", price_minor=1))))
    found = ItemContext(made.model_copy(update={"version": 3}), EVENT, "grant", NOON, priced_version=3)
    assert found.prices_hold is not changes
    assert not replace(found, order={"lines": []}).prices_hold
    assert not replace(found, priced_version=2).prices_hold
    assert replace(found, order={"lines": []}, priced_here=True).prices_hold


def test_stop_says_why() -> None:
    """Stopping sets outcome and words at once."""
    ctx = TacticsInstanceContext(activity(), EVENT, "grant", NOON)
    ctx.stop("limit", "no more")
    assert (ctx.stopped, ctx.outcome, ctx.text) == (True, "limit", "no more")


_ID = _TEXT.filter(bool)
_ACTION = st.fixed_dictionaries(
    {"user_id": _ID, "action": _ID},
    optional={
        "item_id": _ID,
        "quantity": st.integers(0, 2**53),
        "amount_minor": st.integers(0, 2**53),
        "attributes": _OBJECT,
    },
)
_BEHAVIOUR = st.fixed_dictionaries({"user_id": _ID, "rule_key": _ID}, optional={"attributes": _OBJECT})
_EVENTS = st.one_of(
    st.tuples(st.just("action"), _ACTION),
    st.tuples(st.just("behaviour"), _BEHAVIOUR),
)


def test_event_is_stored_as_it_was_read(runtime: Runtime) -> None:
    """An event that is accepted is read back from the database as it was parsed, its hash included."""

    @given(_EVENTS, st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC)), _ID, _ID)  # noqa: DTZ001  # as above
    def stored(given_event: tuple[str, dict[str, Any]], at: datetime, source: str, event_id: str) -> None:
        kind, data = given_event
        event = parse_event(message(kind, data, at=at, id=event_id, source=source), now=NOON)
        with runtime.engine.connect() as conn:
            assert events.accept(conn, [event, event], 60) == ["accepted", "duplicate"]
            found = events.find(conn, *event.key)
            assert found == event
            assert found.body_hash == event.body_hash
            conn.rollback()

    stored()


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.binary(max_size=3), st.lists)
    | _OBJECT
)
def test_rubbish_is_refused_not_crashed_on(rubbish: Any) -> None:
    """Whatever is handed in as an event or as its data is refused as bad input."""
    for message_ in (rubbish, message("action", {}) | {"data": rubbish}, message("action", {}) | {"time": rubbish}):
        with pytest.raises(BadInput):
            parse_event(message_, now=NOON)
