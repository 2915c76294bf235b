"""Outside benefit systems: how one is called, and what its answers mean for a grant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

LOCAL = "local"
"""The provider of benefits that live in our own tables."""

AnswerKind = Literal["granted", "refused", "pending", "unknown_id", "unclear", "not_sent"]
"""What a provider's answer says of a grant.

`granted` and `refused` are definite. `pending`: the provider has it and is not done. `unknown_id`: asked by id, it has
never heard of it. `unclear`: it may or may not have happened. `not_sent`: nothing of the call reached it.
"""


@dataclass(frozen=True, slots=True)
class Provider:
    """An outside benefit system, as operators set it up.

    `look_up_url` has `{idempotency_id}` in it where the id goes; None: it cannot be asked. `remembers_s`: for so long a
    repeated call under the same id has no second effect. `signing_secrets`: the newest first.
    """

    name: str
    url: str
    look_up_url: str | None = None
    list_url: str | None = None
    signing_secrets: tuple[str, ...] = field(default=(), repr=False)
    idempotent: bool = True
    remembers_s: int = 86_400
    timeout_ms: int = 5_000
    max_concurrency: int = 8
    enabled: bool = True

    def repeatable_until(self, first_called_at: datetime) -> datetime:
        """Give the time until which a call may be repeated: it must arrive before the provider forgets its key."""
        if not self.idempotent:
            return first_called_at
        return first_called_at + timedelta(seconds=self.remembers_s, milliseconds=-2 * self.timeout_ms)


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """A call: the same id and the same bytes however often it is repeated."""

    idempotency_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What a provider says of one line: a code of its own, another end of validity."""

    line: int
    code: str | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What came of asking a provider; `text` is one line for operators, without users' data.

    `reference` is the provider's own name for the grant. `retry_after_s` is how long it wants to be left alone.
    """

    kind: AnswerKind
    text: str
    status_code: int | None = None
    retry_after_s: float | None = None
    lines: Sequence[LineAnswer] = ()
    reference: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give what operators are shown of it."""
        return {"kind": self.kind, "text": self.text, "status_code": self.status_code, "reference": self.reference}


@dataclass(frozen=True, slots=True)
class ListedGrant:
    """A grant as a provider's own list has it."""

    idempotency_id: str
    status: str
    value_minor: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderPage:
    """A page of a provider's list; `next_cursor` is None on the last one."""

    grants: Sequence[ListedGrant]
    next_cursor: str | None = None
