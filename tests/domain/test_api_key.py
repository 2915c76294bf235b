"""API keys: their form, what may be asked for, and what their text tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.domain.api_key import (
    SCOPES,
    ApiKey,
    NewApiKey,
    hashed,
    new_id,
    new_secret,
    new_signing_secret,
    parse_lifetime,
    parts_of,
    whole_key,
)
from tactics.errors import BadInput

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def test_a_key_is_read_as_it_was_made() -> None:
    """Any id and secret that are made come back from the whole key; all are different, and secrets have 256 bits."""
    made = [(new_id(), new_secret()) for _ in range(200)]
    assert all(parts_of(whole_key(*one)) == one for one in made)
    assert len({part for one in made for part in one}) == 400
    assert all(len(secret) * 6 >= 256 for _, secret in made)
    assert len({new_signing_secret() for _ in range(200)}) == 200


@given(st.text(max_size=80))
def test_other_texts_are_no_keys(text: str) -> None:
    """What was not made here is no key, nor is a key with anything before, after or changed to another alphabet."""
    assert parts_of(text) is None
    key = whole_key("a" * 12, "b" * 43)
    assert (parts_of(key + text) is None) == (text != "")
    assert (parts_of(text + key) is None) == (text != "")
    assert parts_of(key.replace("b", "\uff42", 1)) is None


def test_a_key_opens_with_its_secret_until_it_expires() -> None:
    """Its own secret opens, the hash does not, and from the moment it expires nothing does."""
    key = ApiKey("a", "n", hashed("s"), frozenset(), None, None, ("tss_x",), NOW)
    before = NOW - timedelta(microseconds=1)
    assert key.opens("s", before)
    assert not key.opens("s", NOW)
    assert not key.opens("t", before)
    assert not key.opens(hashed("s"), before)
    assert hashed("s") not in repr(key)
    assert "tss_x" not in repr(key)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": "a\x00b"}, "/name"),
        ({"name": "\ud800"}, "/name"),
        ({"name": " a"}, "/name"),
        ({"scopes": ()}, ", ".join(SCOPES)),
        ({"scopes": ("events:write", "events:read")}, "'events:read'"),
        ({"scopes": ("*",)}, ", ".join(SCOPES)),
        ({"rate_per_s": 0.0}, "/rate"),
        ({"rate_per_s": -1.0}, "/rate"),
        ({"rate_per_s": float("nan")}, "/rate"),
        ({"rate_per_s": float("inf")}, "/rate"),
        ({"rate_per_s": 1.0, "burst": 0}, "/burst"),
        ({"rate_per_s": 1.0, "burst": 1_000_001}, "/burst"),
        ({"burst": 5}, "/burst"),
        ({"lifetime": timedelta()}, "/expires_in"),
        ({"lifetime": timedelta(days=3_651)}, "/expires_in"),
    ],
)
def test_what_cannot_be_a_key_is_refused(wrong: dict[str, Any], words: str) -> None:
    """Each thing that is wrong is said, with its place and what there is to choose from."""
    with pytest.raises(BadInput) as refused:
        NewApiKey(**{"name": "shop", "scopes": SCOPES, **wrong})
    (problem,) = refused.value.fields["problems"]
    assert words in f"{problem['path']} {problem['message']}"


def test_lifetimes() -> None:
    """Seconds, minutes, hours and days are understood, nothing else."""
    found = [parse_lifetime(one) for one in ("45s", "30m", "12h", "90d")]
    assert found == [timedelta(seconds=45), timedelta(minutes=30), timedelta(hours=12), timedelta(days=90)]
    for wrong in ("", "d", "0d", "-1d", "1.5h", "90", "90 d", "1w", "1d1h", "9999999d", "\u0661d"):
        with pytest.raises(BadInput, match="90d, 12h or 30m"):
            parse_lifetime(wrong)
