"""`Idempotency-Key`: the same request again is answered as before.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header

from tactics.api.problems import Refused

MAX_KEY = 200
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=2 * MAX_KEY,
        description="the same key and body again gives the same answer; another body is a 422, one in flight a 409",
        examples=['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
    ),
]
_STRING = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = re.compile(r"[\x20-\x7e]+")


def read_key(header: str | None) -> str | None:
    """Read the header: a structured field's string (RFC 9651), or the bare key, which most clients send.

    Returns:
        The key; None where there is no header.

    Raises:
        Refused: it is empty, too long, or has other characters than printable ASCII.
    """
    if header is None:
        return None
    value = header.strip()
    quoted = _STRING.fullmatch(value)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else value
    if not _PLAIN.fullmatch(key) or len(key) > MAX_KEY:
        raise Refused(422, "form", f"Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters")
    return key
