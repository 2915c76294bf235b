"""Sending a notice to a webhook, signed as Standard Webhooks 1.0 has it, and reading what its answer means."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from tactics.domain.webhook import Endpoint
from tactics.errors import GatewayError
from tactics.gateways.outbound import Outbound, Unclear
from tactics.gateways.signing import sign

SentKind = Literal["delivered", "gone", "refused", "unanswered"]
"""What became of a notice.

`gone`: the receiver wants nothing more, ever. `refused`: it answers, and does not want this one. `unanswered`: it cannot be
reached, or has trouble of its own; so it will be with other notices.
"""
_GONE = 410
_TROUBLES = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of sending; `text` is one line for operators, without anything that the receiver said."""

    kind: SentKind
    text: str
    status: int | None = None
    retry_after_s: float = 0.0


def send(outbound: Outbound, endpoint: Endpoint, msg_id: str, body: bytes, timeout_s: float) -> Sent:
    """Send a notice, once.

    Args:
        outbound: what may be called.
        endpoint: to whom; each of its secrets signs.
        msg_id: the same however often it is sent.
        body: the same bytes however often it is sent.
        timeout_s: for everything.
    """
    headers = {
        "content-type": "application/json",
        **sign(endpoint.signing_secrets, msg_id, int(time.time()), body),
    }
    try:
        reply = outbound.request("POST", endpoint.url, headers=headers, body=body, deadline_s=timeout_s)
    except Unclear as error:
        return Sent("unanswered", error.message, error.status)
    except GatewayError as error:
        return Sent("unanswered", f"not sent: {error.message}")
    status, text = reply.status, f"answered {reply.status}"
    if status // 100 == 2:  # noqa: PLR2004  # RFC 9110, 15.3
        return Sent("delivered", text, status)
    if status == _GONE:
        return Sent("gone", "answered 410: it wants nothing more", status)
    asked_s = _asked_s(reply.headers.get("retry-after", ""))
    trouble = status // 100 == 5 or status in _TROUBLES  # noqa: PLR2004  # RFC 9110, 15.6
    return Sent("unanswered" if trouble else "refused", text, status, asked_s)


def _asked_s(said: str) -> float:
    """Read Retry-After, seconds or a date (RFC 9110, 10.2.3); what cannot be read asks for nothing."""
    said = said.strip()
    if said.isascii() and said.isdecimal():
        return float(said[:9])
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
