"""Times and whole numbers as JSON may send them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tactics.domain.event import parse_event
from tactics.domain.moment import Moment
from tactics.errors import BadInput
from tests.driving import NOON, acted

READ = TypeAdapter[datetime](Moment).validate_python
TEN = datetime(2026, 11, 27, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-11-27T10:00:00Z", "2026-11-27t10:00:00.000z", "2026-11-27 12:00:00+02:00", "2026-11-27T10:00:00-00:00"],
)
def test_a_time_is_read_as_rfc_3339_has_it(text: str) -> None:
    """Any way of writing it is the same time."""
    assert READ(text) == TEN


@pytest.mark.parametrize(
    "given",
    [
        1_795_773_600,
        0.5,
        "1795773600",
        "0.5",
        None,
        TEN,
        "2026-11-27",
        "2026-11-27T10:00:00",
        "2026-11-27T10:00Z",
        "2026-11-27T10:00:00+0200",
        "2026-13-27T10:00:00Z",
        "٢026-11-27T10:00:00Z",
        " 2026-11-27T10:00:00Z",
    ],
)
def test_what_may_be_some_time_is_none(given: Any) -> None:
    """A number has no unit, a day no hour, and an hour without an offset is another one elsewhere."""
    with pytest.raises(ValidationError):
        READ(given)


def test_an_event_has_a_time_and_whole_numbers_as_json_has_them() -> None:
    """2.0 is 2, and the same event; 2.5 pieces are none, and a time is text."""
    assert parse_event(acted("ann", quantity=2.0, id="e"), now=NOON) == parse_event(
        acted("ann", quantity=2, id="e"), now=NOON
    )
    for wrong in (2.5, "2", True, float("inf")):
        with pytest.raises(BadInput):
            parse_event(acted("ann", quantity=wrong), now=NOON)
    for member in ({"time": 5}, {"time": "5"}, {"datacontenttype": 5}):
        with pytest.raises(BadInput):
            parse_event({**acted("ann"), **member}, now=NOON)
