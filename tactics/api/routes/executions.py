"""`/v1/executions`: what became of one, and why a user got nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from tactics.api.access import Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.problems import described
from tactics.domain.catalogue import Name
from tactics.domain.moment import Moment
from tactics.flows.explain import explain_execution, explain_user

router = APIRouter(
    prefix="/v1/executions",
    tags=["executions"],
    route_class=StrictRoute,
    dependencies=[needs("placements:call", "grants:operate", "audit:read")],
)


class Explanation(BaseModel):
    """`summary` answers in sentences; the rest is what they rest on."""

    model_config = ConfigDict(extra="allow")

    summary: list[str]
    user_id: str
    activity: dict[str, Any]
    execution: dict[str, Any] | None


@router.get("/{execution_id}", response_model=Explanation, responses=described(401, 403, 404, 422, 429, 503))
def show(tactics: Tactics, execution_id: UUID) -> dict[str, Any]:
    """Tell what became of an execution, and why.

    `execution.outcome` is null while it has not ended. A placement that was answered with 202 is found here.
    """
    return explain_execution(tactics.runtime, execution_id, app=tactics)


@router.get("", response_model=Explanation, responses=described(401, 403, 404, 422, 429, 503))
def why(
    tactics: Tactics,
    user_id: Annotated[Name, Query(examples=["bob"])],
    activity: Annotated[Name, Query(examples=["tea"])],
    at: Annotated[Moment | None, Query(description="as of then; left out: now")] = None,
) -> dict[str, Any]:
    """Tell why a user got what they got from an activity, or nothing."""
    moment: datetime | None = at
    return explain_user(tactics.runtime, user_id, activity, moment, app=tactics)
