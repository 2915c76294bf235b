"""Webhooks: who wants to hear of what, what they are sent, and how long it is tried.

What is sent follows Standard Webhooks 1.0 (https://www.standardwebhooks.com): a body with `type`, `timestamp` and `data`,
and an id that stays the same however often it is sent.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tactics.domain.plain import plain_problem
from tactics.errors import BadInput

TOPICS: tuple[str, ...] = (
    "tactics.granted",
    "tactics.claimed",
    "tactics.redeemed",
    "tactics.released",
    "tactics.revoked",
    "tactics.expired",
    "tactics.refused",
    "tactics.parked",
    "tactics.paused",
    "tactics.resumed",
)
EVERY = "*"
"""All topics, those of later versions too."""
TEST = "tactics.test"
"""The topic of what an operator sends to see whether it arrives."""
MAX_URL = 2_000
MAX_DESCRIPTION = 200
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH = 12
_MOST_DOUBLINGS = 40


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint that somebody wants to be told at, checked but for whether its address may be called.

    Raises:
        BadInput: with all `problems`.
    """

    url: str
    topics: tuple[str, ...] = (EVERY,)
    description: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be an endpoint."""
        problems = [
            {"path": "/topics", "message": f"there is no topic {one!r}; there are {', '.join(TOPICS)}, and {EVERY}"}
            for one in self.topics
            if one not in TOPICS and one != EVERY
        ]
        if not self.topics:
            problems.append({"path": "/topics", "message": f"at least one of {', '.join(TOPICS)}, or {EVERY}"})
        if not 0 < len(self.url) <= MAX_URL:
            problems.append({"path": "/url", "message": f"1 to {MAX_URL} characters"})
        problems += _description_problems(self.description)
        if problems:
            raise BadInput("; ".join(f"{one['path'][1:]}: {one['message']}" for one in problems), problems=problems)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as it is stored; its secrets do not show in its text. `failures` are those since a success."""

    id: str
    url: str
    topics: tuple[str, ...]
    signing_secrets: tuple[str, ...] = field(repr=False)
    enabled: bool
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a delivery is tried: the first wait and the longest in seconds, and when what fails is given up."""

    base_s: float
    max_s: float

    def wait_s(self, failures: int, asked_s: float = 0.0) -> float:
        """Give the wait after so many failures: anything up to a bound that doubles (full jitter).

        Many that failed together thus come again apart (Brooker, "Exponential backoff and jitter", AWS 2015).

        Args:
            failures: at least 1.
            asked_s: how long the receiver wants to be left alone: at least that, at most the longest wait.
        """
        bound = min(self.base_s * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.max_s)
        drawn = random.uniform(0.0, bound)  # noqa: S311  # jitter, not a secret
        return max(drawn, min(max(asked_s, 0.0), self.max_s))


def message_id(outbox_id: int) -> str:
    """Give the id of a notice as receivers know it: by it they tell that they have it already."""
    return f"msg_{outbox_id}"


def message_body(topic: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    """Give what is sent of a notice: the same bytes each time, for they are signed and may be compared.

    Args:
        topic: the notice's.
        at: when it came true.
        data: its payload.
    """
    told = {"type": topic, "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"), "data": dict(data)}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def new_endpoint_id() -> str:
    """Make the id of an endpoint: short, without characters that look like others."""
    return "we_" + "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def _description_problems(text: str | None) -> list[dict[str, str]]:
    if text is None:
        return []
    if not 0 < len(text) <= MAX_DESCRIPTION or not text.isprintable():
        return [{"path": "/description", "message": f"1 to {MAX_DESCRIPTION} printable characters"}]
    found = plain_problem(text, "/description")
    return [found] if found else []
