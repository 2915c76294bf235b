"""Well-formed rules at random, and (from `facts_at_random`) facts that make them true, false or unknown.

All are hypothesis strategies of canonical JSON data: `to_json(parse(rule)) == rule`.

- `rules()`: a `so`, a ladder of each mode, or a bare condition, over every standard block. No open aliases.
- `conditions(leaves=12)`: conditions alone, nested up to so many leaves deep and wide.
- `single_conditions()`: one condition block.
- `open_rules()`: `(open, values, closed)`: a rule with aliases, what to bind them to, and the rule that this gives.
- `facts()`, `orders()`, `item_ids()`: what to evaluate them on; `only_json=True` for what JSON text can say.

The constants of rules and facts come from the same small pools, resources included, so that blocks are often shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.rules.facts_at_random import (
    CATEGORIES,
    DONE,
    FLAGS,
    IDS,
    ITEM_SETS,
    ITEMS,
    LISTS,
    MOMENTS,
    NUMBERS,
    SALES_CHANNELS,
    SKUS,
    TEXTS,
    TIMES,
    Json,
    facts,
    item_ids,
    mostly,
    orders,
    some,
)

__all__ = [
    "Json",
    "actions",
    "conditions",
    "facts",
    "item_ids",
    "open_rules",
    "orders",
    "resources",
    "rules",
    "single_conditions",
]

Strategies = Mapping[str, st.SearchStrategy[Any]]


def made(
    kind: str, name: str, required: Strategies | None = None, optional: Strategies | None = None
) -> st.SearchStrategy[Json]:
    """Blocks of one id, with each optional parameter there or left out."""
    params = st.fixed_dictionaries(dict(required or {}), optional=dict(optional or {}))
    return params.map(lambda given: {"block": f"pbb.{kind}.{name}", "params": given})


def attribute(*names: str) -> st.SearchStrategy[Json]:
    """Attributes of the user or the event."""
    name = {"name": some(names)}
    return made("resource", "user_attribute", name) | made("resource", "event_attribute", name)


def _either(constants: st.SearchStrategy[Any], *names: str, one_in: int = 8) -> st.SearchStrategy[Any]:
    """Mostly a constant, now and then an attribute of the right type, rarely one of any type."""
    every = (*NUMBERS, *TEXTS, *FLAGS, *LISTS, *TIMES, *IDS, "gone")
    return mostly(constants, mostly(attribute(*names), attribute(*every), 4), one_in)


ITEM = {"item_id": _either(some(ITEMS), *IDS)}
SKU = {"sku": _either(some(SKUS), *TEXTS)}
CATEGORY = {"category": _either(some(CATEGORIES), *TEXTS)}
CHANNEL = {"sales_channel": _either(some(SALES_CHANNELS), *TEXTS)}
BEHAVIOUR = {"action": _either(some(DONE), *TEXTS), "window_s": _either(some((1, 60, 3600, 86_400)), *NUMBERS)}
NARROWED = {**ITEM, **CATEGORY, "item_set": some(ITEM_SETS)}

# What a number counts: the resources that give it, and thresholds that facts are often near.
COUNTED: dict[str, tuple[st.SearchStrategy[Json], tuple[float, ...]]] = {
    "minor": (
        made("resource", "order_amount", {}, CHANNEL)
        | made("resource", "item_amount", {}, ITEM)
        | made("resource", "sku_amount", SKU)
        | made("resource", "category_amount", CATEGORY),
        (1, 50, 100, 100.5, 200, 300, 333, 1000),
    ),
    "count": (
        made("resource", "order_quantity", {}, CHANNEL)
        | made("resource", "item_quantity", {}, ITEM)
        | made("resource", "no_batch_item_quantity", {}, ITEM)
        | made("resource", "sku_quantity", SKU)
        | made("resource", "category_quantity", CATEGORY)
        | made("resource", "behaviour_count", BEHAVIOUR, NARROWED)
        | made("resource", "behaviour_quantity", BEHAVIOUR, NARROWED),
        (0.1, 0.3, 0.5, 1, 2, 2.0, 2.5, 3, 5, 10),
    ),
    "s": (made("resource", "seconds_since", {"action": BEHAVIOUR["action"]}), (0.5, 1, 60, 3600, 86_400)),
    "hour": (made("resource", "hour_of_day"), (1, 8, 12, 20, 23)),
    "weekday": (made("resource", "day_of_week"), (1, 3, 5, 6, 7)),
    "anything": (attribute(*NUMBERS), (0.1, 0.3, 1, 2, 3, 10, 10**20, 1e300)),
}
NUMERIC = st.one_of([found for found, _ in COUNTED.values()])
TIMELY = made("resource", "now") | attribute(*TIMES)
TEXTUAL = attribute(*TEXTS, *IDS)
SCALARS = some(("gold", "blocked", "tea", "1", 1, 1.0, 2, 10, 0.3, 0, True, False, *MOMENTS[:3]))


@cache
def resources() -> st.SearchStrategy[Json]:
    """Every standard resource."""
    return NUMERIC | TIMELY | TEXTUAL | attribute(*FLAGS, *LISTS, "gone")


def _judged(unit: str) -> st.SearchStrategy[Json]:
    """Comparisons of amounts of one unit, with a constant or a resource on either side."""
    found, thresholds = COUNTED[unit]
    amount = mostly(found, attribute(*NUMBERS, *TEXTS, "gone") | some(thresholds), 12)
    at = mostly(some(thresholds), found | attribute(*NUMBERS), 6)
    sides = {"amount": amount, "amount_at": at}
    multiple = {**sides, "enable_multiple": st.just(True)}
    cap = {"max_multiple": _either(st.integers(1, 4), *NUMBERS, one_in=12)}
    return st.one_of(
        made("condition", "amount_at_least", sides, {"enable_multiple": _either(st.just(False), *FLAGS, one_in=4)}),
        made("condition", "amount_at_least", multiple, cap),
        made("condition", "amount_more_than", sides),
        made("condition", "amount_below", sides),
        made("condition", "amount_between", {"amount": amount, "low": at, "high": at}),
        made("condition", "equals", {"value": amount, "to": at}),
        _within(amount, at),
    )


def _within(value: st.SearchStrategy[Any], end: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.one_of(
        made("condition", "within", {"value": value, "from": end}, {"to": end}),
        made("condition", "within", {"value": value, "to": end}),
    )


_LEAVES: st.SearchStrategy[Json] = st.one_of(
    *map(_judged, COUNTED),
    made("condition", "equals", {"value": TEXTUAL | attribute(*FLAGS), "to": _either(SCALARS, *TEXTS, *FLAGS)}),
    made("condition", "equals", {"value": TIMELY, "to": some(MOMENTS) | TIMELY}),
    made("condition", "equals", {"value": SCALARS | resources(), "to": SCALARS}),
    made(
        "condition",
        "in_set",
        {
            "value": mostly(TEXTUAL | NUMERIC, SCALARS | resources()),
            "values": _either(st.lists(SCALARS, min_size=1, max_size=4), *LISTS),
        },
    ),
    made(
        "condition",
        "has_member",
        {"value": mostly(attribute(*LISTS), st.lists(SCALARS, max_size=3)), "member": _either(SCALARS, *TEXTS)},
    ),
    made(
        "condition",
        "contains",
        {"value": _either(some(("golden", "", "tea")), *TEXTS, one_in=2), "text": _either(some(("gold", "e")), *TEXTS)},
    ),
    _within(TIMELY, mostly(some(MOMENTS), TIMELY, 5)),
    made("condition", "exists", {"value": mostly(resources(), SCALARS | st.lists(SCALARS, max_size=2))}),
)


def single_conditions() -> st.SearchStrategy[Json]:
    """One condition block, over every kind of value."""
    return _LEAVES


@cache
def conditions(leaves: int = 12) -> st.SearchStrategy[Json]:
    """Conditions of every kind, nested with `not`, `and` and `or`."""
    return st.recursive(
        _LEAVES,
        lambda part: st.one_of(
            part.map(lambda one: {"not": one}),
            st.lists(part, min_size=1, max_size=4).map(lambda parts: {"and": parts}),
            st.lists(part, min_size=1, max_size=4).map(lambda parts: {"or": parts}),
            # The same part twice, as it stands and turned around.
            part.map(lambda one: {"or": [one, {"and": [one, {"not": one}]}]}),
        ),
        max_leaves=leaves,
    )


def _amount_of(unit: str, constants: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return mostly(constants, COUNTED[unit][0] | attribute(*NUMBERS), 6)


MINOR = _amount_of("minor", st.integers(0, 400))
PERCENT = _either(some((0.01, 5, 10, 33.33, 50.0, 100)), *NUMBERS)
BENEFIT = {"benefit": _either(some(("c18", "points")), *TEXTS)}
BASE = {"base": some(("running", "original"))}
_ACTIONS: st.SearchStrategy[Json] = st.one_of(
    made("action", "send_coupon", BENEFIT),
    made("action", "give_points", {"points": mostly(st.integers(0, 50), NUMERIC, 6)}, BENEFIT),
    made(
        "action",
        "item_promotion_price",
        {"price_minor": MINOR},
        {**ITEM, **SKU, "out_biz_id": some(("1", "x")), "no_batch": _either(st.booleans(), *FLAGS)},
    ),
    made(
        "action", "item_amount_off", {"amount_minor": MINOR}, {**ITEM, **SKU, **CATEGORY, "per": some(("unit", "line"))}
    ),
    made("action", "item_percent_off", {"percent": PERCENT}, {**ITEM, **SKU, **CATEGORY, **BASE}),
    made("action", "order_amount_off", {"amount_minor": MINOR}),
    made("action", "order_percent_off", {"percent": PERCENT}, BASE),
    made("action", "rebate", {"amount_minor": MINOR}, BENEFIT),
    made("action", "rebate", {"percent": PERCENT}, BENEFIT),
    made("action", "gift", {**ITEM, "quantity": _amount_of("count", st.integers(1, 3))}),
)


def actions() -> st.SearchStrategy[Json]:
    """Every standard action, with constants and, now and then, resources as parameters."""
    return _ACTIONS


@cache
def steps(leaves: int = 6) -> st.SearchStrategy[Json]:
    """A `so`, rarely without a condition."""
    then = {"then": st.lists(_ACTIONS, min_size=1, max_size=3)}
    with_condition = st.fixed_dictionaries({"when": conditions(leaves), **then})
    return mostly(with_condition, st.fixed_dictionaries(then), 10).map(lambda body: {"so": body})


@cache
def ladders() -> st.SearchStrategy[Json]:
    """Tiers of each mode, of mixed steps or of steps that ask one resource for more and more."""
    modes = some(("highest", "first", "all"))
    mixed = st.lists(steps(3), min_size=1, max_size=5)
    return st.builds(lambda mode, listed: {"tiers": {"mode": mode, "steps": listed}}, modes, mixed | _rising())


def _rising() -> st.SearchStrategy[list[Json]]:
    def step(amount: Json, at: float, then: list[Json], multiple: bool) -> Json:
        params = {"amount": amount, "amount_at": at, **({"enable_multiple": True} if multiple else {})}
        return {"so": {"when": {"block": "pbb.condition.amount_at_least", "params": params}, "then": then}}

    one = st.tuples(some((1, 2, 5, 100, 200)), st.lists(_ACTIONS, min_size=1, max_size=2), st.booleans())
    return st.builds(
        lambda amount, parts: [step(amount, *part) for part in parts],
        COUNTED["minor"][0] | COUNTED["count"][0],
        st.lists(one, min_size=2, max_size=4),
    )


@cache
def rules(leaves: int = 12) -> st.SearchStrategy[Json]:
    """Rules of every form."""
    return steps(leaves) | ladders() | conditions(leaves)


@st.composite
def open_rules(draw: st.DrawFn) -> tuple[Json, Json, Json]:
    """A rule with aliases, their values, and the rule with those values in their places."""
    values: Json = {}

    def opened(node: Any, *, in_params: bool = False) -> Any:
        if isinstance(node, list):
            return [opened(one) for one in node]
        if not isinstance(node, dict):
            return node
        return {
            key: alias(value) if in_params and draw(st.integers(0, 3)) == 0 else inside(key, value)
            for key, value in node.items()
        }

    def inside(key: str, value: Any) -> Any:
        return opened(value, in_params=key == "params")

    def alias(value: Any) -> Json:
        same = [name for name, bound in values.items() if type(bound) is type(value) and bound == value]
        name = same[0] if same else f"open_{len(values)}"
        values[name] = value
        return {"alias": name}

    closed = draw(rules(6))
    return opened(closed), values, closed
