"""The signature over time and body: what was signed is good, anything else is not."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tactics.api.signature import TOLERANCE_S, sign, verify

AT = 1_700_000_000
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
BODIES = st.binary(max_size=400)
TIMES = st.integers(0, 10**11)


@given(secret=SECRETS, body=BODIES, at=TIMES, late=st.integers(-TOLERANCE_S, TOLERANCE_S))
def test_what_was_signed_is_good_within_the_tolerance(secret: str, body: bytes, at: int, late: int) -> None:
    """Any body, signed at any time, passes for so long before and after as clocks may differ, and no longer."""
    header = sign(secret, body, at)
    assert verify(header, [secret], body, at + late) is None
    assert verify(header, ["other", secret], body, at + late) is None
    for too_far in (TOLERANCE_S + 1, -TOLERANCE_S - 1):
        assert "300 s" in str(verify(header, [secret], body, at + too_far))


@given(secret=SECRETS, body=BODIES, place=st.integers(0, 399), change=st.integers(1, 255))
def test_any_changed_byte_fails(secret: str, body: bytes, place: int, change: int) -> None:
    """A body with one byte changed, added or taken away is not what was signed."""
    header = sign(secret, body, AT)
    changed = [body + bytes([change]), bytes([change]) + body]
    if body:
        at = place % len(body)
        changed += [body[:at] + bytes([body[at] ^ change]) + body[at + 1 :], body[:at] + body[at + 1 :]]
    for other in changed:
        assert other == body or verify(header, [secret], other, AT) is not None


@given(secret=SECRETS, other=SECRETS, body=BODIES, moved=st.integers(-TOLERANCE_S, TOLERANCE_S))
def test_another_secret_or_time_fails(secret: str, other: str, body: bytes, moved: int) -> None:
    """What another secret signed fails; and so does a time, within the tolerance, that is not the one signed for."""
    # RFC 2104 fills short keys up with zeros, which these have not.
    assume(secret != other)
    assert verify(sign(other, body, AT), [secret], body, AT) is not None
    if moved:
        stolen = sign(secret, body, AT).replace(f"t={AT}", f"t={AT + moved}")
        assert verify(stolen, [secret], body, AT) is not None


def test_it_is_hmac_sha256_over_time_dot_body() -> None:
    """The header is what the documentation says, so that any language can make it."""
    mac = hmac.new(b"tss_x", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert sign("tss_x", b'{"a":1}', AT) == f"t=1700000000,v1={mac}"


def test_several_signatures_and_unknown_parts() -> None:
    """One good `v1` suffices among others and among parts of later schemes; a good one under another name does not."""
    good = sign("s", b"b", AT).partition("v1=")[2]
    bad = sign("x", b"b", AT).partition("v1=")[2]
    assert verify(f"t={AT},v1={bad},v1={good}", ["s"], b"b", AT) is None
    assert verify(f"v2=later, v1={good}, t={AT}", ["s"], b"b", AT) is None
    assert verify(f"t={AT},v2={good}", ["s"], b"b", AT) is not None
    assert verify(f"t={AT},v1={bad},v2={good}", ["s"], b"b", AT) is not None
    assert verify(f"t={AT},v1={good}", [], b"b", AT) is not None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1700000000",
        "v1={mac}",
        "t=,v1={mac}",
        "t=-1700000000,v1={mac}",
        "t=1_700_000_000,v1={mac}",
        "t=\u0661\u0667,v1={mac}",
        "t=1700000000.0,v1={mac}",
        "t=1700000000,t=1700000000,v1={mac}",
        "t=1700000000,v1=",
        "t=1700000000,v1={mac}00",
        "t=1700000000,v1=\u00e9",
        "t=1700000000,v1={MAC}",
        "t=1700000000" + ",v1={mac}" * 8,
    ],
)
def test_other_forms_are_refused(header: str) -> None:
    """A header of another form is refused, in words, whatever characters it has."""
    mac = sign("s", b"b", AT).partition("v1=")[2]
    assert verify(header.replace("{mac}", mac).replace("{MAC}", mac.upper()), ["s"], b"b", AT) is not None


def test_every_secret_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All secrets are tried by `hmac.compare_digest`, also after one was good: time tells nothing."""
    compared: list[Sequence[str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert verify(sign("a", b"", AT), ["a", "b"], b"", AT) is None
    assert len(compared) == 2
