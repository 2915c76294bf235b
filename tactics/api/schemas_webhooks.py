"""What the routes of webhooks are asked and what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import Path
from pydantic import BaseModel, Field

from tactics.api.schemas import Asked
from tactics.api.schemas_grants import MOST_IDS
from tactics.domain.plain import NO_NUL
from tactics.domain.webhook import EVERY, MAX_DESCRIPTION, MAX_URL, TOPICS, message_id
from tactics.gateways.webhooks import SentKind
from tactics.store.webhook_deliveries import DeliveryRow, DeliveryState

WebhookId = Annotated[
    str, Path(pattern=r"^we_[a-z2-7]{12}$", description="the webhook's id", examples=["we_4k7q2m6xwtrb"])
]
Topic = Literal["*", "tactics.granted", "tactics.claimed", "tactics.redeemed", "tactics.released", "tactics.revoked",
                "tactics.expired", "tactics.refused", "tactics.parked", "tactics.paused", "tactics.resumed"]  # fmt: skip
assert set(Topic.__args__) == {EVERY, *TOPICS}  # type: ignore[attr-defined]  # noqa: S101  # a literal cannot be made
_TOPICS = "what it is told of; `*` is everything, topics of later versions too"
_SECRET = "what its notices are signed with, told this once"  # noqa: S105  # words, not a secret


class WebhookRequest(Asked):
    """A webhook."""

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL, pattern=NO_NUL, description="where notices are POSTed")]
    topics: Annotated[list[Topic], Field(min_length=1, max_length=20, description=_TOPICS)] = ["*"]  # noqa: RUF012  # pydantic copies it
    description: Annotated[
        str | None, Field(min_length=1, max_length=MAX_DESCRIPTION, pattern=NO_NUL, description="for people")
    ] = None


class WebhookAnswer(BaseModel):
    """A webhook; its secrets are not told again."""

    id: str
    url: str
    topics: list[str]
    description: str | None
    enabled: bool
    disabled_reason: Annotated[str | None, Field(description="null: an operator did it, or it is enabled")]
    failures: Annotated[int, Field(description="batches that failed since one arrived")]
    resting_until: Annotated[datetime | None, Field(description="nothing is sent before")]
    rotating: Annotated[bool, Field(description="two secrets sign")]
    waiting: Annotated[int, Field(description="deliveries that are still to come")]
    parked: Annotated[int, Field(description="deliveries that were given up on")]
    created_at: datetime
    updated_at: datetime


class WebhookAdded(WebhookAnswer):
    """A webhook that was set up."""

    secret: Annotated[str, Field(description=_SECRET)]


class WebhookList(BaseModel):
    """The webhooks, the newest first; there are at most 100."""

    webhooks: list[WebhookAnswer]


class RotateRequest(Asked):
    """How to change secrets."""

    keep_last: Annotated[bool, Field(description="whether the last secret signs beside the new one")] = True


class RotateAnswer(BaseModel):
    """A new secret."""

    id: str
    secret: Annotated[str, Field(description=_SECRET)]


class TriedAnswer(BaseModel):
    """What became of a test: `delivered`, `refused`, `gone` (it wants nothing more) or `unanswered`."""

    outcome: SentKind
    text: str
    status: Annotated[int | None, Field(description="of its answer; null: there was none")]


class DeliveryAnswer(BaseModel):
    """A notice on its way to a webhook; `id` is what the receiver sees as `webhook-id`."""

    id: str
    topic: str
    key: Annotated[str, Field(description="what it is about")]
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    parked_reason: str | None
    last_status: Annotated[int | None, Field(description="of the last answer; null: there was none")]
    last_text: str | None
    last_attempt_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: DeliveryRow) -> Self:
        """Show a delivery."""
        told = {name: getattr(row, name) for name in cls.model_fields if name != "id"}
        return cls(id=message_id(row.outbox_id), **told)


class DeliveryList(BaseModel):
    """A page of deliveries, the newest first."""

    deliveries: list[DeliveryAnswer]
    next_cursor: str | None


class DeliveryRetry(Asked):
    """Which deliveries to try again; without `ids`, all that are parked."""

    ids: Annotated[
        list[Annotated[str, Field(pattern=r"^msg_[0-9]{1,18}$")]] | None,
        Field(min_length=1, max_length=MOST_IDS, description="`msg_…`, of this webhook"),
    ] = None


class DeliveriesRetried(BaseModel):
    """How many deliveries will be tried again."""

    retried: int
