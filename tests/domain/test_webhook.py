"""What webhooks are sent, and how long it is tried."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.domain.webhook import EVERY, TOPICS, NewEndpoint, Patience, message_body, message_id
from tactics.errors import BadInput

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)
)


@given(data=st.dictionaries(st.text(), _PLAIN, max_size=4), hours=st.integers(-12, 12))
def test_the_bytes_hang_on_what_is_told_alone(data: dict[str, object], hours: int) -> None:
    """The same notice is the same bytes, in whatever order and time zone its parts come; they say all of it, in UTF-8."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    body = message_body("tactics.granted", at, data)
    elsewhere = at.astimezone(timezone(timedelta(hours=hours)))
    assert body == message_body("tactics.granted", elsewhere, dict(reversed(data.items())))
    told = json.loads(body)
    assert told == {"type": "tactics.granted", "timestamp": "2026-01-02T03:04:05.678000Z", "data": data}


@given(failures=st.integers(1, 10_000), asked_s=st.floats(-1.0, 1e9))
def test_a_wait_is_drawn_below_a_bound_that_doubles(failures: int, asked_s: float) -> None:
    """A wait is never longer than its bound or what was asked for, nor shorter than that, and never longer than the longest."""
    patience = Patience(base_s=5.0, max_s=14_400.0)
    wait_s = patience.wait_s(failures, asked_s)
    bound = min(5.0 * 2 ** min(failures - 1, 50), 14_400.0)
    asked = min(max(asked_s, 0.0), 14_400.0)
    assert asked <= wait_s <= max(bound, asked)


def test_waits_grow_and_differ() -> None:
    """Those that failed together come again apart; later waits are mostly longer."""
    patience = Patience(base_s=5.0, max_s=14_400.0)
    first, later = ([patience.wait_s(failures) for _ in range(200)] for failures in (1, 9))
    assert len(set(first)) == 200
    assert max(first) <= 5.0 < sum(later) / 200


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"url": ""}, "/url"),
        ({"url": "x" * 2_001}, "/url"),
        ({"topics": ()}, "/topics"),
        ({"topics": ("tactics.test",)}, "/topics"),
        ({"description": ""}, "/description"),
        ({"description": "a\nb"}, "/description"),
    ],
)
def test_what_cannot_be_a_webhook_is_refused(given: dict[str, object], path: str) -> None:
    """Each mistake is said with its place; any topics that there are may be wanted."""
    assert NewEndpoint("https://a.example", (EVERY, *TOPICS)).topics[1:] == TOPICS
    with pytest.raises(BadInput) as refused:
        NewEndpoint(**{"url": "https://a.example", **given})  # type: ignore[arg-type]  # wrong on purpose
    assert refused.value.fields["problems"][0]["path"] == path


def test_ids_have_no_full_stop() -> None:
    """Full stops separate what is signed."""
    assert message_id(17) == "msg_17"
