"""Signatures of requests: an HMAC over the time and the raw body. Only the standard library, so that clients can use it.

`Tactics-Signature: t=<unix seconds>,v1=<hex>`, where the hex is HMAC-SHA-256 (RFC 2104) of `<t>.<raw body>`. There may be
several `v1`, one for each secret while secrets are exchanged; other parts are left alone, for later schemes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

HEADER = "Tactics-Signature"
TOLERANCE_S = 300
"""So far may the caller's clock be from ours, either way; for so long can a request be sent again by who heard it."""
MAX_PARTS = 8
_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{64}", re.ASCII)


def sign(secret: str, body: bytes, at: int) -> str:
    """Give the value of the header for a request.

    Args:
        secret: the key's signing secret, as it was shown.
        body: the raw body, as it is sent; empty where there is none.
        at: the time now, in seconds since 1970.
    """
    return f"t={at},v1={_mac(secret, str(at), body)}"


def verify(header: str, secrets: Sequence[str], body: bytes, now: float) -> str | None:
    """Check the header of a request; how long it takes tells nothing about the secrets.

    Args:
        header: its value.
        secrets: those that are valid; one of them has to have signed.
        body: the raw body that came.
        now: the time now, in seconds since 1970.

    Returns:
        What is wrong, for people; None when it is good.
    """
    parts = [part.strip().partition("=") for part in header.split(",", MAX_PARTS)]
    times = [value for name, _, value in parts if name == "t"]
    macs = [value for name, _, value in parts if name == "v1"]
    if len(parts) > MAX_PARTS or len(times) != 1 or not _TIME.fullmatch(times[0]) or not macs:
        return f"the header {HEADER} has to be `t=<unix seconds>,v1=<hex>`"
    if abs(now - int(times[0])) > TOLERANCE_S:
        return f"it was signed more than {TOLERANCE_S} s before or after now"
    good = False
    for secret in secrets:
        wanted = _mac(secret, times[0], body)
        for mac in macs:
            good |= _MAC.fullmatch(mac) is not None and hmac.compare_digest(wanted, mac)
    return None if good else "the signature is not that of this body and time"


def _mac(secret: str, at: str, body: bytes) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
