"""`/v1/grants`: what was given to whom, what is being settled; trying once more, giving up."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, HTTPException, Path, Query

from tactics.api import examples_grants as examples
from tactics.api.access import Acting, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, place_after, read_moment
from tactics.api.examples_assets import sent, told
from tactics.api.problems import described
from tactics.api.schemas_grants import GrantAnswer, GrantList, GrantShown, State, asset_shown, grant_shown
from tactics.api.schemas_retries import (
    AbandonRequest,
    AbandonSome,
    Changed,
    ChangedSome,
    RetryGrant,
    RetrySome,
    changed_shown,
    some_shown,
)
from tactics.domain.activity import Code
from tactics.domain.catalogue import Name
from tactics.domain.moment import Moment
from tactics.flows import grant_batch
from tactics.flows.grant_abandon import abandon_grant as abandon
from tactics.flows.grant_retry import retry_grant as retry
from tactics.flows.grant_show import show_grant as explained
from tactics.store import grant_listing

READING = needs("grants:operate", "audit:read")
OPERATING = needs("grants:operate")
REFUSED = described(400, 404, 408, 409, 413, 415, 422)
GrantId = Annotated[UUID, Path(description="the grant's id")]
router = APIRouter(prefix="/v1/grants", tags=["grants"], route_class=StrictRoute)


@router.get("", dependencies=[READING], responses={**told(200, examples.GRANTS), **described(422)})
def list_grants(
    app: Tactics,
    activity: Annotated[Code | None, Query(description="only those of this activity")] = None,
    user_id: Annotated[Name | None, Query(description="only those to this user")] = None,
    state: Annotated[State | None, Query(description="only those in this state")] = None,
    provider: Annotated[Name | None, Query(description="only those that this provider gives")] = None,
    begin: Annotated[Moment | None, Query(alias="from", description="only those made at this time or later")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="only those made before this time")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> GrantList:
    """List grants, the newest first."""
    wanted = grant_listing.Wanted(activity, user_id, state, begin, end, provider)
    after = read_moment(cursor)
    with app.runtime.engine.connect() as conn:
        found = grant_listing.listing(conn, wanted, after=after, limit=limit + 1)
    rows, following = page(found, limit, lambda row: [row["created_at"].isoformat(), str(row["id"])])
    return GrantList(grants=[GrantAnswer.model_validate(grant_shown(row)) for row in rows], next_cursor=following)


@router.get("/retry", dependencies=[READING], include_in_schema=False)
@router.get("/abandon", dependencies=[READING], include_in_schema=False)
def only_post() -> None:
    """Say that there is nothing to be read here: else these would be taken for ids of grants."""
    raise HTTPException(405, headers={"Allow": "POST"})


@router.get("/{grant_id}", dependencies=[READING], responses={**told(200, examples.SHOWN), **described(404, 422)})
def show_grant(app: Tactics, grant_id: GrantId) -> GrantShown:
    """Give a grant with its lines and assets, what its provider was asked and answered, and what a retry would do."""
    found = explained(app.runtime, grant_id)
    assets = [asset_shown(one) for one in found["assets"]]
    return GrantShown.model_validate({**grant_shown(found), "assets": assets})


@router.post(
    "/retry",
    dependencies=[OPERATING],
    responses={**told(200, examples.RETRIED_SOME), **REFUSED},
)
def retry_grants(
    app: Tactics,
    runtime: Acting,
    body: Annotated[RetrySome, Body(openapi_examples=sent(parked=examples.SOME))],
) -> ChangedSome:
    """Retry the next grants that a filter finds, each as one alone; granted ones are left out unless asked for.

    Without any filter, `"all": true` has to be said. An activity or a provider that there never was is a 404.

    Go on with `next_cursor` until it is null. What was done stays done, and to do it again changes nothing.
    """
    wanted = body.wanted(grant_batch.RETRIED)
    reason, limit, after = body.reason or "", body.limit, read_moment(body.cursor)
    batch = grant_batch.retry_page(app, wanted, runtime=runtime, reason=reason, after=after, limit=limit)
    return some_shown(batch.results, place_after(batch.following))


@router.post(
    "/abandon",
    dependencies=[OPERATING],
    responses={**told(200, examples.ABANDONED_SOME), **REFUSED},
)
def abandon_grants(
    runtime: Acting,
    body: Annotated[AbandonSome, Body(openapi_examples=sent(parked=examples.SOME))],
) -> ChangedSome:
    """Abandon the next open grants that a filter finds, each as one alone. Go on with `next_cursor` until it is null.

    Without any filter, `"all": true` has to be said. An activity or a provider that there never was is a 404.
    """
    wanted = body.wanted(grant_batch.ABANDONED)
    after = read_moment(body.cursor)
    batch = grant_batch.abandon_page(runtime, wanted, reason=body.reason, after=after, limit=body.limit)
    return some_shown(batch.results, place_after(batch.following))


@router.post(
    "/{grant_id}/retry",
    dependencies=[OPERATING],
    responses={**told(200, examples.RETRIED_ONE), **described(400, 404, 408, 409, 413, 415, 422)},
)
def retry_grant(
    app: Tactics,
    runtime: Acting,
    grant_id: GrantId,
    body: Annotated[RetryGrant | None, Body(openapi_examples=sent(why=examples.WHY))] = None,
) -> Changed:
    """Try a grant once more, if that can change anything; however often it is asked for, nothing is given twice.

    An open grant's provider is asked under its idempotency id. A refused grant is granted anew, once, where its rule,
    limits and stock still allow it: `execution_id` is what that is done by.
    """
    reason = body.reason if body is not None else None
    return changed_shown(retry(app, grant_id, runtime=runtime, reason=reason or ""))


@router.post(
    "/{grant_id}/abandon",
    dependencies=[OPERATING],
    responses={**told(200, examples.ABANDONED_ONE), **described(400, 404, 408, 409, 413, 415, 422)},
)
def abandon_grant(
    runtime: Acting,
    grant_id: GrantId,
    body: Annotated[AbandonRequest, Body(openapi_examples=sent(why=examples.WHY))],
) -> Changed:
    """Close an open grant as refused and free what it reserved. Ask its provider before: a late yes changes nothing here.

    Nothing is done while the provider is being asked, and of a grant that is settled.
    """
    return changed_shown(abandon(runtime, grant_id, reason=body.reason))
