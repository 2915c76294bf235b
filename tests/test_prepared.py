"""Prepared data: what the instance row vouches for, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from tactics.runtime import Runtime
from tactics.store import prepared
from tactics.store.instances import InstanceRow
from tactics.store.prepared import Prepared
from tests.driving import NOON

INSTANCE = InstanceRow(epoch=7, prepared_epoch=5, prepared_source="shop", prepared_event_id="e1", prepared_at=NOON)
GOOD = {"epoch": 5, "source": "shop", "event": "e1", "data": {"items": [{"item_id": "7"}]}}

_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_saved_data_is_read_back(runtime: Runtime) -> None:
    """What was saved under the instance's epoch and event is found again, with an expiry that is never too short."""
    for expiry_s, low, high in ((-5, 1, 60), (3600, 3599, 3600)):
        saved = Prepared(5, "shop", "e1", {"items": [{"item_id": "é", "price_minor": None}]})
        prepared.save(runtime.redis, "a", "1", saved, expiry_s)
        key = prepared.prepared_key("a", "1")
        assert prepared.decode(cast("bytes", runtime.redis.get(key)), INSTANCE) == saved
        assert low <= runtime.redis.ttl(key) <= high


def test_data_of_another_epoch_or_event_is_missing() -> None:
    """Each of epoch, source and event must be the instance's; an instance that was never prepared has none."""
    assert prepared.decode(json.dumps(GOOD).encode(), INSTANCE) is not None
    for name, other in (("epoch", 4), ("source", "another"), ("event", "e2")):
        assert prepared.decode(json.dumps({**GOOD, name: other}).encode(), INSTANCE) is None
    never = replace(INSTANCE, prepared_epoch=None, prepared_source=None, prepared_event_id=None)
    assert prepared.decode(json.dumps(GOOD).encode(), never) is None
    assert prepared.decode(None, INSTANCE) is None


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_rubbish_is_missing(rubbish: bytes) -> None:
    """Bytes of any kind, and JSON of any other shape, read as missing and never raise."""
    assert prepared.decode(rubbish, INSTANCE) is None


@given(st.sampled_from(sorted(GOOD)), _JSON)
def test_one_wrong_member_is_enough(name: str, value: Any) -> None:
    """Data with one member replaced is missing, unless it is of the right form and vouched for."""
    found = prepared.decode(json.dumps({**GOOD, name: value}).encode(), INSTANCE)
    fits = value == GOOD[name] if name != "data" else isinstance(value, dict)
    assert (found is not None) is fits


def test_json_nested_without_end_is_missing() -> None:
    """Nesting deeper than can be read is missing too."""
    assert prepared.decode(b"[" * 200_000, INSTANCE) is None
