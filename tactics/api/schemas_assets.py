"""What the routes of assets and codes are asked and what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tactics.api.schemas import ORDER, Asked
from tactics.domain.asset import AssetStatus
from tactics.domain.catalogue import Name
from tactics.domain.code import NotValid
from tactics.domain.moment import Moment
from tactics.flows.asset import Held

Reference = Annotated[
    Name | None,
    Field(description="the order's id: for the same order it is redeemed once, for another one it is refused"),
]
At = Annotated[Moment | None, Field(description="when it happened, at the latest now; left out: now")]


class ChangeRequest(Asked):
    """When it happened, where that is not now."""

    at: At = None


class OrderChangeRequest(ChangeRequest):
    """For which order, and when it happened, where that is not now."""

    reference: Reference = None


class CodeRequest(Asked):
    """Whose code it has to be, and of which activity, where several have the same."""

    user_id: Annotated[Name | None, Field(description="whose it has to be")] = None
    activity: Annotated[Name | None, Field(description="of which activity, where several have this code")] = None


class ValidateRequest(CodeRequest):
    """Whose code it has to be, and what it is for."""

    order: Annotated[
        Annotated[dict[str, Any], Field(json_schema_extra=ORDER)] | None,
        Field(description="`{currency?, lines: [{price_minor, quantity?, item_id?, …}]}`, as a placement has it"),
    ] = None


class RedeemRequest(ValidateRequest):
    """Whose code it has to be, and which order redeems it."""

    reference: Reference = None


class ReleaseRequest(CodeRequest):
    """Whose code it has to be, and which order was cancelled."""

    reference: Reference = None


class AssetAnswer(BaseModel):
    """A benefit in a user's hands. Coupons have their `code`, points their number, gifts `item_id` and `quantity`."""

    model_config = ConfigDict(extra="allow")

    asset_id: UUID
    activity: str
    grant_id: UUID
    line: int
    benefit: str | None
    kind: str
    status: AssetStatus
    usable: Annotated[bool, Field(description="available or claimed, and not expired")]
    value_minor: int
    currency: str
    valid_from: datetime
    valid_until: datetime
    reference: Annotated[str | None, Field(description="the order that redeemed it, where one was named")]
    code: str | None = None


class AssetList(BaseModel):
    """A page of a user's assets, newest first."""

    assets: list[AssetAnswer]
    next_cursor: str | None


class ValidityAnswer(BaseModel):
    """Whether a code can be used now, and if not, why."""

    valid: bool
    reason: NotValid | None
    asset: Annotated[AssetAnswer | None, Field(description="null where the code is somebody else's")]
    takes_off_minor: Annotated[
        int | None, Field(description="of the `order`, if one was sent; null where the code says no value")
    ]


def shown(held: Held) -> AssetAnswer:
    """Give an asset as callers see it."""
    one = held.asset
    return AssetAnswer.model_validate(
        {
            **one.to_json(),
            "activity": one.activity_code,
            "grant_id": one.grant_id,
            "line": one.line,
            "status": one.status_at(held.now),
            "usable": one.usable(held.now),
            "reference": one.reference,
        }
    )
