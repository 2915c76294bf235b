"""What the routes of grants, stock and parked work are asked and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tactics.api.schemas import WHOLE, Asked
from tactics.domain.asset import AssetStatus
from tactics.domain.catalogue import Name
from tactics.flows.stock import MOST_STOCK, Moved
from tactics.store.stock import DECLARED
from tactics.store.stock_movements import Movement

State = Literal["granted", "pending", "unknown", "parked", "refused"]
MOST_IDS = 1_000


class LineAnswer(BaseModel):
    """What a grant gives: one asset each."""

    line: int
    kind: str
    benefit: str | None
    value_minor: int
    details: dict[str, Any]


class GrantAnswer(BaseModel):
    """A benefit given to a user, once; `will_send_count` is which grant of the activity to this user it is."""

    grant_id: UUID
    user_id: str
    activity: str
    activity_version: int
    will_send_count: int
    idempotency_id: str
    execution_id: UUID
    event_source: str
    event_id: str
    best_only: bool
    state: State
    usable: Annotated[bool, Field(description="an asset of it is available or claimed")]
    released: bool
    lines: list[LineAnswer]
    value_minor: int
    day: Annotated[date, Field(description="in the activity's time zone: what limits per day count by")]
    reason: str | None
    assets_unknown: Annotated[bool, Field(description="granted while the asset query failed")]
    business_at: datetime
    created_at: datetime
    settled_at: datetime | None


class GrantedAsset(BaseModel):
    """An asset of a grant."""

    asset_id: UUID
    line: int
    benefit: str | None
    kind: str
    status: AssetStatus
    value_minor: int
    currency: str
    details: dict[str, Any]
    valid_from: datetime
    valid_until: datetime
    status_at: datetime
    changed_at: Annotated[datetime | None, Field(description="when the last change that was reported happened")]
    reference: str | None


class OutsideShown(BaseModel):
    """How far settling a grant with its outside benefit system is."""

    provider: str
    attempts: Annotated[int, Field(description="the current one: any other is late, and asks nobody")]
    waits: Annotated[int, Field(description="attempts that asked nobody")]
    calls: Annotated[int, Field(description="that may have reached the provider")]
    first_called_at: datetime | None
    next_attempt_at: Annotated[datetime | None, Field(description="null: nothing more is tried by itself")]
    reference: Annotated[str | None, Field(description="the provider's own name for it")]


class AttemptShown(BaseModel):
    """What a provider was asked, and what it answered."""

    number: int
    kind: Literal["call", "look_up"]
    started_at: datetime
    finished_at: Annotated[datetime | None, Field(description="null: it is under way, or whoever asked has died")]
    ms: Annotated[float | None, Field(description="how long it took")]
    answer: Literal["granted", "refused", "pending", "unknown_id", "unclear", "not_sent"] | None
    status_code: int | None
    text: str | None


class RetryShown(BaseModel):
    """What a retry would do."""

    action: Annotated[
        Literal["ask", "renew", "nothing"],
        Field(description="`ask` the provider under the same id; `renew`: a new execution, with the next count"),
    ]
    deducts: Annotated[int, Field(ge=0, le=1, description="grants taken from stock beyond what is taken now")]
    why: str


class GrantShown(GrantAnswer):
    """A grant with its assets, by line, and how it is being settled."""

    assets: list[GrantedAsset]
    since: Annotated[datetime | None, Field(description="when its state began")]
    outside: Annotated[OutsideShown | None, Field(description="null: no outside system gives it")]
    attempts: list[AttemptShown]
    retry: RetryShown
    retried_as: Annotated[UUID | None, Field(description="the execution of a retry")]


class GrantList(BaseModel):
    """A page of grants, the newest first."""

    grants: list[GrantAnswer]
    next_cursor: str | None


def _something(text: str) -> str:
    if not text.strip():
        raise ValueError("it is blank")
    return text.strip()


Reason = Annotated[Name, AfterValidator(_something), Field(json_schema_extra={"allOf": [{"pattern": r"\S"}]})]
"""Why somebody does something, for people: white space around it is left out, and something has to be left."""


class MovementRequest(Asked):
    """How much more of a benefit there is to be, or how much less, and why."""

    delta: Annotated[
        int,
        Field(
            ge=-MOST_STOCK, le=MOST_STOCK, description="not 0", json_schema_extra={"not": {"const": 0}}, examples=[500]
        ),
        WHOLE,
    ]
    reason: Annotated[
        Reason,
        Field(
            description=f"for people; not `{DECLARED}`, which is what documents cause",
            json_schema_extra={"not": {"const": DECLARED}},
        ),
    ]
    id: Annotated[Name | None, Field(description="the caller's: the same again is the same movement")] = None


class MovementListed(BaseModel):
    """A movement of stock; `actor` is null, and `reason` is `import`, where the activity's document caused it."""

    movement_id: str
    delta: int
    reason: str
    id: str | None
    actor: str | None
    created_at: datetime


class MovementAnswer(MovementListed):
    """A movement of stock, and what remains of the benefit now."""

    remaining: int


class MovementList(BaseModel):
    """A page of movements, the newest first."""

    movements: list[MovementListed]
    next_cursor: str | None


class StockAnswer(BaseModel):
    """What there is of a benefit; counts are null where it is unlimited, codes where it has no pool."""

    benefit: str
    kind: Annotated[str | None, Field(description="null: the activity's document no longer has it")]
    value_minor: int | None
    currency: str | None
    declared: Annotated[int | None, Field(description="by the activity's document")]
    added: Annotated[int, Field(description="by movements beside the document")]
    taken: Annotated[int | None, Field(description="granted or reserved")]
    remaining: int | None
    codes: int | None
    codes_left: int | None


class StockList(BaseModel):
    """The benefits of an activity, by code."""

    benefits: list[StockAnswer]


class ParkedAnswer(BaseModel):
    """An event or an execution that was given up on."""

    kind: Literal["event", "execution"]
    id: Annotated[str, Field(description="what a retry takes")]
    user_id: str
    about: Annotated[str, Field(description="an event's channel or type, an execution's activity")]
    reason: str | None
    attempts: int
    since: datetime


class ParkedList(BaseModel):
    """A page of what is parked, the newest first."""

    parked: list[ParkedAnswer]
    next_cursor: str | None


class RetryRequest(Asked):
    """Which to try once more: `ids`, or `all`."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False, "minProperties": 1, "maxProperties": 1})

    ids: Annotated[list[str] | None, Field(min_length=1, max_length=MOST_IDS, description="as the list has them")] = (
        None
    )
    all: Annotated[Literal[True] | None, Field(description="everything that is parked")] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if len(self.model_fields_set) != 1 or (self.ids is None and self.all is None):
            raise ValueError("exactly one of `ids` and `all` is needed")
        return self


class Retried(BaseModel):
    """How many are tried once more; what is not parked any more is passed over."""

    retried: int


def grant_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a grant's row in the words of the API."""
    return {**row, "grant_id": row["id"], "activity": row["activity_code"]}


def asset_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give an asset's row in the words of the API."""
    return {**row, "asset_id": row["id"], "benefit": row["benefit_code"]}


def movement_shown(one: Movement) -> MovementListed:
    """Give a movement in the words of the API."""
    return MovementListed(
        movement_id=str(one.id),
        delta=one.delta,
        reason=one.reason,
        id=one.key,
        actor=one.actor,
        created_at=one.created_at,
    )


def moved_shown(moved: Moved) -> MovementAnswer:
    """Give a movement that was made, with what remains."""
    return MovementAnswer(**movement_shown(moved.movement).model_dump(), remaining=moved.remaining)
