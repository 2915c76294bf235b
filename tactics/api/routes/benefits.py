"""`/v1/activities/{code}/benefits`: how much of each there is, and giving it more while the activity runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path

from tactics.api import examples_grants as examples
from tactics.api.access import Acting, Asking, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_number
from tactics.api.examples_assets import sent, told
from tactics.api.problems import described
from tactics.api.publishing import live_stock_kept
from tactics.api.schemas_grants import (
    MovementAnswer,
    MovementList,
    MovementRequest,
    StockAnswer,
    StockList,
    moved_shown,
    movement_shown,
)
from tactics.domain.activity import Code
from tactics.domain.catalogue import Name
from tactics.flows import stock as flow

router = APIRouter(prefix="/v1/activities/{code}/benefits", tags=["benefits"], route_class=StrictRoute)
ActivityCode = Annotated[Code, Path(description="the activity's code", examples=["welcome"])]
BenefitCode = Annotated[Name, Path(description="the benefit's code", examples=["five_off"])]
READING = needs("activities:edit", "activities:publish", "grants:operate", "audit:read")


@router.get("", dependencies=[READING], responses={**told(200, examples.STOCK), **described(404, 422)})
def list_benefits(app: Tactics, code: ActivityCode) -> StockList:
    """List an activity's benefits: what is declared, added, granted or reserved, and left."""
    found = flow.stock_of(app.runtime, code)
    return StockList(benefits=[StockAnswer.model_validate(one.to_json()) for one in found])


@router.post(
    "/{benefit}/movements",
    dependencies=[needs("activities:edit")],
    responses={**told(200, examples.MOVED), **described(400, 404, 408, 409, 413, 415, 422)},
)
def move_stock(
    runtime: Acting,
    who: Asking,
    code: ActivityCode,
    benefit: BenefitCode,
    body: Annotated[MovementRequest, Body(openapi_examples=sent(top_up=examples.TO_MOVE))],
) -> MovementAnswer:
    """Add stock to a benefit, or take back what nobody has got yet, beside what the activity's document declares.

    With an `id`, the same again is the same movement, and another movement under it is a 422 `idempotency_conflict`. To
    take back more than remains is a 409, with `remaining` and `least`, the smallest `delta` there can be. An unlimited
    benefit has no stock to move (409). While the activity is live, this needs the scope activities:publish too.
    """
    kept = live_stock_kept(who, code)
    moved = flow.move_stock(runtime, code, benefit, delta=body.delta, reason=body.reason, key=body.id, around=kept)
    return moved_shown(moved)


@router.get(
    "/{benefit}/movements",
    dependencies=[READING],
    responses={**told(200, examples.MOVEMENTS), **described(404, 422)},
)
def list_movements(
    app: Tactics, code: ActivityCode, benefit: BenefitCode, limit: Limit = 50, cursor: Cursor = None
) -> MovementList:
    """List the movements of a benefit's stock, the newest first: who moved how much, when and why."""
    found = flow.movements_of(app.runtime, code, benefit, before=read_number(cursor), limit=limit + 1)
    rows, following = page(found, limit, lambda one: [str(one.id)])
    return MovementList(movements=[movement_shown(one) for one in rows], next_cursor=following)
