"""ETag and If-Match (RFC 9110): an edit is refused where somebody else was faster."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated

from fastapi import Header

from tactics.errors import PreconditionFailed

# ETags as RFC 9110 has them in section 8.8.3, or `*`; empty is no condition.
_TAG = r'(W/)?"[!#-~]*"'
TAGS = rf"^(\*|{_TAG}( ?, ?{_TAG})*)?$"
IfMatch = Annotated[
    str,
    Header(alias="If-Match", pattern=TAGS, description="the ETag of what is edited: refused if it has changed"),
]
IfNoneMatch = Annotated[str, Header(alias="If-None-Match", pattern=TAGS, description="`*`: only if there is none yet")]


def etag(*state: object) -> str:
    """Give the tag of a thing in this state: a strong one, in quotes.

    Args:
        state: what changes whenever the thing does, such as its version and status; as JSON has it.
    """
    text = json.dumps(state, sort_keys=True, default=str)
    return f'"{sha256(text.encode()).hexdigest()[:24]}"'


def check_match(current: str | None, if_match: str = "", if_none_match: str = "") -> None:
    """Refuse an edit whose condition does not hold. Call it inside the edit's transaction.

    Args:
        current: the tag of the thing as it is; None where there is none.
        if_match: the header; empty is no condition.
        if_none_match: the header; empty is no condition.

    Raises:
        PreconditionFailed: somebody else changed it, or it is there already.
    """
    if if_match and not (current is not None and _listed(current, if_match)):
        raise PreconditionFailed("it was changed since you read it: read it again, and repeat your edit")
    if if_none_match and current is not None and _listed(current, if_none_match):
        raise PreconditionFailed("it is there already")


def _listed(tag: str, header: str) -> bool:
    tags = [one.strip() for one in header.split(",")]
    return "*" in tags or tag in tags
