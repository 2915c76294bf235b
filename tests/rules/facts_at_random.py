"""Facts at random, over the same few ids as the rules of `rules_at_random`, now and then broken in one place.

`facts()` and `orders()` are what to use. With `only_json`, nothing but what JSON text can say; otherwise also tuples,
datetimes, NaN, infinities and numbers beyond every float.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

Json = dict[str, Any]
Drawn = TypeVar("Drawn")

ITEMS = ("1", "2", "7")
SKUS = ("s1", "s2")
CATEGORIES = ("tea", "food")
SALES_CHANNELS = ("app", "web")
ITEM_SETS = ("summer", "new")
DONE = ("buy", "view")
SCENES = ("cart", "detail")
# Attributes of users and events by what they usually are; `gone` is never there.
NUMBERS, TEXTS, FLAGS = ("level", "age"), ("segment", "code"), ("vip",)
LISTS, TIMES, IDS = ("tags",), ("joined",), ("item",)
NOW = "2024-03-03T12:00:00+00:00"
MOMENTS = (
    NOW,
    "2024-03-03T20:00:00+08:00",
    "2024-03-03T23:59:59.5Z",
    "2024-03-04T00:30:00-03:30",
    "2024-02-29T08:15:00+00:00",
    "2023-12-31T23:00:00Z",
)
AGES_S = (-60, 0, 0.5, 1, 59, 60, 3600, 86_399, 86_400, 100_000)

WRONG_JSON: tuple[Any, ...] = (
    None,
    True,
    False,
    "",
    "7",
    "2024-03-03",
    "2024-03-03T12:00:00",
    7,
    0,
    -1,
    0.5,
    2.0,
    1e308,
    10**300,
    [],
    ["tea"],
    ["tea", 5],
    [None],
    [[]],
    {},
    {"lines": []},
    {"a": 1},
)
WRONG_PYTHON: tuple[Any, ...] = (
    float("nan"),
    float("inf"),
    float("-inf"),
    10**400,
    -(10**400),
    ("tea",),
    (),
    b"7",
    {"tea"},
    datetime(2024, 3, 3, 12),  # noqa: DTZ001 -- without a zone on purpose
    datetime(2024, 3, 3, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
)


def mostly(common: st.SearchStrategy[Any], rare: st.SearchStrategy[Any], one_in: int = 8) -> st.SearchStrategy[Any]:
    """Values of `common`, and one in so many of `rare`."""
    return st.integers(1, one_in).flatmap(lambda turn: rare if turn == one_in else common)


def some(*pool: Sequence[Drawn]) -> st.SearchStrategy[Drawn]:
    """A member of one of the pools."""
    return st.sampled_from([one for part in pool for one in part])


@cache
def wrong(*, only_json: bool) -> st.SearchStrategy[Any]:
    """A value of a type that few would expect."""
    return some(WRONG_JSON) if only_json else some(WRONG_JSON, WRONG_PYTHON)


_CATEGORY = some(CATEGORIES) | st.lists(some(CATEGORIES), max_size=2)
_LINE = st.fixed_dictionaries(
    {"price_minor": some((0, 1, 50, 99, 100, 200, 333)) | st.integers(0, 400)},
    optional={
        "item_id": some(ITEMS),
        "sku": some(SKUS),
        "category": _CATEGORY,
        "quantity": some((1, 2, 3, 5, 10, 12, 0)) | some((0.1, 0.5, 2.5, 3.0, 1e-7)),
        "batch": st.none() | some(("b1", "")),
        "sales_channel": some(SALES_CHANNELS),
        "attributes": st.just({"colour": "red"}),
    },
)
_DONE = st.fixed_dictionaries(
    {
        "action": some(DONE),
        "at": some(AGES_S).map(lambda age: (datetime.fromisoformat(NOW) - timedelta(seconds=age)).isoformat()),
    },
    optional={
        "item_id": some(ITEMS),
        "category": _CATEGORY,
        "item_sets": st.lists(some(ITEM_SETS), max_size=2),
        "quantity": some((1, 2, 3, 0.5)),
        "amount_minor": st.integers(0, 400),
    },
)
_ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        **{name: some((0, 1, 2, 3, 10, 0.1, 0.3, -1, 100.0)) for name in NUMBERS},
        **{name: some(("gold", "blocked", "", *CATEGORIES)) for name in TEXTS},
        **{name: st.booleans() for name in FLAGS},
        **{name: st.lists(some(("a", "gold", 1, True, 1.0)), max_size=3) for name in LISTS},
        **{name: some(MOMENTS) for name in TIMES},
        **{name: some(ITEMS) for name in IDS},
    },
)


def broken(sound: st.SearchStrategy[Json], *, only_json: bool, one_in: int = 8) -> st.SearchStrategy[Any]:
    """As `sound`, but now and then with a field gone or of a wrong type, or not an object at all."""
    return mostly(sound, _harmed(sound, wrong(only_json=only_json)), one_in)


@st.composite
def _harmed(draw: st.DrawFn, sound: st.SearchStrategy[Json], other: st.SearchStrategy[Any]) -> Any:
    record, turn = draw(sound), draw(st.integers(0, 9))
    if turn == 9 or not record:
        return draw(other)
    field = sorted(record)[draw(st.integers(0, len(record) - 1))]
    rest = {key: value for key, value in record.items() if key != field}
    return rest if turn < 3 else {**record, field: draw(other)}


@cache
def orders(*, only_json: bool = False, sound: bool = False) -> st.SearchStrategy[Any]:
    """Orders of up to five lines; with `sound`, without a single mistake in them."""
    line = _LINE if sound else broken(_LINE, only_json=only_json, one_in=12)
    whole = st.fixed_dictionaries(
        {"lines": st.lists(line, max_size=5), "currency": some(("EUR", "USD"))},
    )
    if sound:
        return whole
    as_tuple = whole.map(lambda order: {**order, "lines": tuple(order["lines"])})
    return broken(whole if only_json else mostly(whole, as_tuple), only_json=only_json, one_in=15)


@cache
def facts(*, only_json: bool = False) -> st.SearchStrategy[Any]:
    """Facts with all of their parts, one of which may be missing, null or of a wrong type; rarely no object at all."""
    moments: st.SearchStrategy[Any] = some((NOW, NOW, *MOMENTS))
    if not only_json:
        moments = moments | st.just(datetime.fromisoformat(NOW))
    attributes = broken(_ATTRIBUTES, only_json=only_json)
    return broken(
        st.fixed_dictionaries(
            {
                "user": attributes,
                "event": attributes,
                "order": orders(only_json=only_json),
                "behaviours": st.lists(broken(_DONE, only_json=only_json, one_in=12), max_size=5),
                "now": moments,
            },
            optional={
                "timezone": some(("UTC", "Asia/Shanghai", "America/St_Johns", "Mars/Base")),
                "scene": some((*SCENES, "nowhere")),
                "items": st.just([]),
                "placement": some(("banner",)),
            },
        ),
        only_json=only_json,
        one_in=4,
    ).filter(lambda drawn: not only_json or _is_json(drawn))


def item_ids() -> st.SearchStrategy[str | None]:
    """The current item, or none."""
    return st.none() | some(ITEMS)


def _is_json(drawn: object) -> bool:
    try:
        json.dumps(drawn, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
