"""Signatures of what we send: as the specification has them, and no others pass."""

from __future__ import annotations

import base64

import pytest

from tactics.errors import BadInput
from tactics.gateways.signing import check_secret, new_secret, sign, verify

# The example of the reference implementations of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # published as an example
MSG_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_signature_is_that_of_the_reference_implementations() -> None:
    """The published example comes out to the letter, so that any library for receivers takes what we send."""
    assert sign([SECRET], MSG_ID, AT, BODY) == {
        "webhook-id": MSG_ID,
        "webhook-timestamp": str(AT),
        "webhook-signature": SIGNATURE,
    }


def test_two_secrets_sign_while_they_are_exchanged() -> None:
    """With two secrets there are two signatures, the newest first, and who knows either of them is content."""
    new = new_secret()
    headers = sign([new, SECRET], MSG_ID, AT, BODY)
    assert headers["webhook-signature"].split(" ")[1] == SIGNATURE
    for known in (new, SECRET):
        assert verify(headers, [known], BODY, AT) is None
        assert verify(headers, [new_secret(), known], BODY, AT) is None
    assert verify(headers, [new_secret()], BODY, AT) is not None


@pytest.mark.parametrize(
    ("changed", "body", "now"),
    [
        ({}, BODY + b" ", AT),
        ({}, b"", AT),
        ({"webhook-id": "msg_other"}, BODY, AT),
        ({"webhook-timestamp": str(AT + 1)}, BODY, AT),
        ({"webhook-timestamp": f"{AT}.0"}, BODY, AT),
        ({"webhook-timestamp": "١٦١٤٢٦٥٣٣٠"}, BODY, AT),
        ({"webhook-signature": SIGNATURE.replace("v1", "v2")}, BODY, AT),
        ({"webhook-signature": SIGNATURE[:-1]}, BODY, AT),
        ({"webhook-signature": ""}, BODY, AT),
        ({"webhook-signature": "v1,"}, BODY, AT),
        ({"webhook-signature": " ".join(["v1,AAAA"] * 8 + [SIGNATURE])}, BODY, AT),
        ({}, BODY, AT + 301),
        ({}, BODY, AT - 301),
    ],
)
def test_what_was_changed_or_kept_back_is_refused(changed: dict[str, str], body: bytes, now: float) -> None:
    """Another body, id, time or scheme, too many signatures, and a message that is too old or too young, do not pass."""
    assert verify({**sign([SECRET], MSG_ID, AT, BODY), **changed}, [SECRET], body, now) is not None


def test_what_is_missing_is_refused() -> None:
    """None of the three headers can be left out, and without secrets nothing passes."""
    headers = sign([SECRET], MSG_ID, AT, BODY)
    assert verify(headers, [SECRET], BODY, AT + 300) is None
    for name in headers:
        assert verify({key: value for key, value in headers.items() if key != name}, [SECRET], BODY, AT) is not None
    assert verify(headers, [], BODY, AT) is not None
    assert "webhook-signature" not in sign([], MSG_ID, AT, BODY)


def test_secrets() -> None:
    """A new secret is another each time, has 256 bits, and can sign; what is too short or no base64 is refused unquoted."""
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    for one in made:
        check_secret(one)
        assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32
    short = base64.b64encode(b"x" * 23).decode()
    for bad in ("", "whsec_", SECRET.removeprefix("whsec_"), f"whsec_{short}", "whsec_ä", f"{SECRET}!", SECRET * 9):
        with pytest.raises(BadInput) as raised:
            check_secret(bad)
        assert bad == "" or bad not in raised.value.message.removeprefix("a signing secret is whsec_")


@pytest.mark.parametrize("msg_id", ["", "a.b", "a b", "a\nb", "ä", "a\x00"])
def test_ids_that_could_be_read_two_ways_are_not_signed(msg_id: str) -> None:
    """An id with a full stop could move bytes between what is signed; one that no header can carry is refused as well."""
    with pytest.raises(BadInput, match="visible ASCII"):
        sign([SECRET], msg_id, AT, BODY)
