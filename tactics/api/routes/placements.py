"""`POST /v1/placements/{channel_code}`: a user visits a slot, and is answered with the benefit."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.exc import SQLAlchemyError

from tactics.api import examples_placements as examples
from tactics.api.access import Caller, caller, needs
from tactics.api.body import StrictRoute
from tactics.api.examples import answered, asked
from tactics.api.idempotency import IdempotencyKey, read_key
from tactics.api.placing import Placing
from tactics.api.problems import Refused, described
from tactics.api.schemas import Asked
from tactics.celery_app import TacticsApp
from tactics.domain.catalogue import Name, UserName
from tactics.domain.placement import SOURCE, PlacementAnswer, PlacementRequest
from tactics.errors import TacticsError
from tactics.flows.explain import explain_user
from tactics.flows.placement import all_busy

router = APIRouter(prefix="/v1/placements", tags=["placements"], route_class=StrictRoute)

# Beyond the deadline, for who asks for it.
_EXPLAINING_S = 2.0

Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}$")]
ChannelCode = Annotated[Name, Path(examples=["home_banner"])]
# From 10 on: what asks for less could only be refused.
Deadline = Annotated[
    str | None,
    Header(
        alias="Tactics-Deadline-Ms",
        pattern=r"^[1-9][0-9]{1,8}$",
        description="wait so many milliseconds for the answer, 10 or more; left out, what is set up",
        examples=["500"],
    ),
]


class PlacementBody(Asked):
    """Who visits, and what rules may know about it."""

    user_id: UserName
    placement: Annotated[Name | None, Field(description="the slot's identity")] = None
    scene: Annotated[Name | None, Field(description="where a price is shown: cart, detail page, order")] = None
    attributes: Annotated[dict[str, Any], Field(default_factory=dict, description="what rules see as `event`")]
    order: Annotated[dict[str, Any] | None, Field(description="`{currency?, lines: […]}`")] = None
    lock: Annotated[bool | None, Field(description="left out, activity and template decide")] = None
    best_only: Annotated[bool, Field(description="run only the best activity that grants")] = False
    language: Annotated[Language, Field(description="of the words")] = "en"
    explain: Annotated[bool, Field(description="add why, in sentences, for each activity")] = False


class Part(BaseModel):
    """What the answer says of one activity that shows something."""

    model_config = ConfigDict(extra="allow")

    activity: str
    execution_id: str
    outcome: str
    expression: dict[str, Any]
    assets: list[dict[str, Any]]
    items: list[dict[str, Any]] | None = None


class NotShown(BaseModel):
    """Why an activity shows nothing; `items` where more of them would be cheaper."""

    model_config = ConfigDict(extra="allow")

    activity: str
    reason: str
    text: str


class PlacementResult(BaseModel):
    """What to show, and why the others show nothing."""

    execution_ids: list[str]
    results: list[Part]
    not_shown: list[NotShown]
    explanations: dict[str, list[str]] | None = None


class GivenUp(BaseModel):
    """The deadline passed first: look at the executions for what became of them."""

    execution_ids: list[str]


@router.post(
    "/{channel_code}",
    dependencies=[needs("placements:call")],
    responses={
        **answered(examples.VISIT, PlacementResult),
        202: {"model": GivenUp, "description": "The deadline passed: what is not committed by now never will be."},
        **described(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    },
)
async def place(
    request: Request,
    channel_code: ChannelCode,
    body: Annotated[PlacementBody, Body(openapi_examples=asked(examples.VISIT))],
    idempotency_key: IdempotencyKey = None,
    deadline: Deadline = None,
) -> Response:
    """Answer a user's visit: what it shows is granted, exactly once.

    Every live activity on the channel answers for itself. Busy (409) is answered only when every one of them is.
    """
    tactics: TacticsApp = request.app.state.tactics
    settings = tactics.settings
    deadline_ms = None if deadline is None else int(deadline)
    if deadline_ms is not None and deadline_ms > settings.placement_deadline_max_ms:
        raise Refused(422, "form", f"Tactics-Deadline-Ms is at most {settings.placement_deadline_max_ms}")
    wanted = PlacementRequest(
        user_id=body.user_id,
        channel_code=channel_code,
        placement=body.placement,
        scene=body.scene,
        attributes=body.attributes,
        order=body.order,
        lock=body.lock,
        best_only=body.best_only,
        language=body.language,
        key=read_key(idempotency_key),
        source=_source(await caller(request)),
        deadline_ms=deadline_ms,
    )
    placing: Placing = request.app.state.placing
    found = await placing.answer(wanted, getattr(request.state, "arrived_at", None))
    if not found.complete:
        return _json({"execution_ids": list(found.execution_ids)}, 202)
    if all_busy(found):
        raise Refused(409, "busy", "another execution has every instance: call again", headers={"Retry-After": "1"})
    answer = found.to_json()
    if body.explain:
        # What is granted is told, whatever becomes of the explanation.
        with suppress(TacticsError, SQLAlchemyError, TimeoutError):
            async with asyncio.timeout(_EXPLAINING_S):
                answer["explanations"] = await run_in_threadpool(_explained, tactics, body.user_id, found)
    return _json(answer)


def _source(who: Caller) -> str:
    """Give whose keys they are: each API key has its own."""
    return f"{SOURCE}:{who.name}"


def _explained(tactics: TacticsApp, user_id: str, found: PlacementAnswer) -> dict[str, list[str]]:
    codes = [part["activity"] for part in (*found.results, *found.not_shown)]
    return {code: explain_user(tactics.runtime, user_id, code, app=tactics)["summary"] for code in codes}


def _json(answer: object, status: int = 200) -> Response:
    return Response(
        json.dumps(answer, ensure_ascii=False, separators=(",", ":")), status, media_type="application/json"
    )
