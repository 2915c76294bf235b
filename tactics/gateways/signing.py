"""Signatures of what we send, by Standard Webhooks 1.0.0 (standardwebhooks.com). Only the standard library: receivers may copy it.

Signed are `{webhook-id}.{webhook-timestamp}.{raw body}` with HMAC-SHA-256 (RFC 2104), once with each secret, so that secrets
can be exchanged while both are valid. A secret is `whsec_` and the key in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Mapping, Sequence

from tactics.errors import BadInput

PREFIX = "whsec_"
TOLERANCE_S = 300
"""So far may a receiver's clock be from ours, either way."""
MAX_SIGNATURES = 8
_KEY_BYTES = range(24, 65)  # as the specification has it: 192 to 512 bits
_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)


def new_secret() -> str:
    """Make a secret of 256 random bits."""
    return PREFIX + base64.b64encode(randomness.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """Tell whether something can be a secret.

    Raises:
        BadInput: it is not; the text does not quote it.
    """
    _key(secret)


def sign(secrets: Sequence[str], msg_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Give the headers of a message.

    Args:
        secrets: those that are valid, each as `whsec_…`; without any there is no signature, only id and time.
        msg_id: the same however often the message is sent; visible ASCII without a full stop, which separates what is signed.
        timestamp: when it is sent this time, in seconds since 1970.
        body: the raw body, as it is sent.

    Raises:
        BadInput: a secret or the id is malformed.
    """
    if not msg_id.isascii() or not msg_id.isprintable() or not msg_id or "." in msg_id or " " in msg_id:
        raise BadInput("the id of a message is visible ASCII without a full stop")
    headers = {"webhook-id": msg_id, "webhook-timestamp": str(timestamp)}
    if secrets:
        headers["webhook-signature"] = " ".join(_mac(one, msg_id, str(timestamp), body) for one in secrets)
    return headers


def verify(
    headers: Mapping[str, str], secrets: Sequence[str], body: bytes, now: float, tolerance_s: float = TOLERANCE_S
) -> str | None:
    """Check a message that came; how long it takes tells nothing about the secrets.

    Args:
        headers: the request's, with names in lower case.
        secrets: those that are valid; one of them has to have signed.
        body: the raw body that came, before anything reads it.
        now: the time now, in seconds since 1970.
        tolerance_s: how far the sender's clock may be from ours.

    Returns:
        What is wrong, for people; None when it is good.
    """
    msg_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split(" ")
    if not msg_id or not _TIME.fullmatch(timestamp) or len(given) > MAX_SIGNATURES:
        return "webhook-id, webhook-timestamp or webhook-signature is missing or malformed"
    if abs(now - int(timestamp)) > tolerance_s:
        return f"it was signed more than {tolerance_s:.0f} s before or after now"
    good = False
    for secret in secrets:
        wanted = _mac(secret, msg_id, timestamp, body).encode()
        for one in given:
            good |= hmac.compare_digest(wanted, one.encode())
    return None if good else "the signature is not that of this message"


def _mac(secret: str, msg_id: str, timestamp: str, body: bytes) -> str:
    text = f"{msg_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(_key(secret), text, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in _KEY_BYTES:
        raise BadInput(
            f"a signing secret is {PREFIX} and {_KEY_BYTES.start} to {_KEY_BYTES.stop - 1} bytes in base64: leave it out, and one is made"
        )
    return key
