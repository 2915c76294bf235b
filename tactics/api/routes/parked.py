"""`/v1/parked`: what was given up on, and trying it once more."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body

from tactics.api import examples_grants as examples
from tactics.api.access import Acting, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_cursor, read_time
from tactics.api.examples_assets import sent, told
from tactics.api.problems import described
from tactics.api.schemas_grants import ParkedAnswer, ParkedList, Retried, RetryRequest
from tactics.flows import retry
from tactics.store import parked

router = APIRouter(prefix="/v1/parked", tags=["parked"], route_class=StrictRoute)


@router.get(
    "",
    dependencies=[needs("grants:operate", "audit:read")],
    responses={**told(200, examples.PARKED), **described(422)},
)
def list_parked(app: Tactics, limit: Limit = 50, cursor: Cursor = None) -> ParkedList:
    """List parked events and executions, the newest first, with the reason."""
    found = retry.list_parked(app, limit + 1, after=_place(cursor))
    rows, following = page(found, limit, lambda row: [row["since"], row["kind"], row["id"]])
    return ParkedList(parked=[ParkedAnswer.model_validate(row) for row in rows], next_cursor=following)


@router.post(
    "/retry",
    dependencies=[needs("grants:operate")],
    responses={**told(200, examples.RETRIED), **described(400, 408, 409, 413, 415, 422)},
)
def retry_parked(
    app: Tactics,
    runtime: Acting,
    body: Annotated[RetryRequest, Body(openapi_examples=sent(these=examples.TO_RETRY, all=examples.RETRY_ALL))],
) -> Retried:
    """Try parked events and executions once more, when the cause is gone; what fails again is parked again."""
    return Retried(retried=retry.retry_parked(app, body.ids, runtime=runtime))


def _place(cursor: str | None) -> parked.Place | None:
    found = read_cursor(cursor, 3)
    return None if found is None else parked.place_of(read_time(found[0]), found[1], found[2])
