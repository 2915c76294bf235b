"""`/v1/grants`: what was given to whom."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from tactics.api import examples_grants as examples
from tactics.api.access import Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_moment
from tactics.api.examples_assets import told
from tactics.api.problems import described
from tactics.api.schemas_grants import GrantAnswer, GrantList, GrantShown, State, asset_shown, grant_shown
from tactics.domain.activity import Code
from tactics.domain.catalogue import Name
from tactics.domain.moment import Moment
from tactics.errors import NotFound
from tactics.store import grant_listing, history

router = APIRouter(
    prefix="/v1/grants",
    tags=["grants"],
    route_class=StrictRoute,
    dependencies=[needs("grants:operate", "audit:read")],
)


@router.get("", responses={**told(200, examples.GRANTS), **described(422)})
def list_grants(
    app: Tactics,
    activity: Annotated[Code | None, Query(description="only those of this activity")] = None,
    user_id: Annotated[Name | None, Query(description="only those to this user")] = None,
    state: Annotated[State | None, Query(description="only those in this state")] = None,
    begin: Annotated[Moment | None, Query(alias="from", description="only those made at this time or later")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="only those made before this time")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> GrantList:
    """List grants, the newest first."""
    wanted = grant_listing.Wanted(activity, user_id, state, begin, end)
    after = read_moment(cursor)
    with app.runtime.engine.connect() as conn:
        found = grant_listing.listing(conn, wanted, after=after, limit=limit + 1)
    rows, following = page(found, limit, lambda row: [row["created_at"].isoformat(), str(row["id"])])
    return GrantList(grants=[GrantAnswer.model_validate(grant_shown(row)) for row in rows], next_cursor=following)


@router.get("/{grant_id}", responses={**told(200, examples.SHOWN), **described(404, 422)})
def show_grant(app: Tactics, grant_id: Annotated[UUID, Path(description="the grant's id")]) -> GrantShown:
    """Give a grant with its lines and assets."""
    with app.runtime.engine.connect() as conn:
        found = history.grant_of(conn, grant_id)
    if found is None:
        raise NotFound(f"there is no grant {grant_id}", grant_id=str(grant_id))
    assets = [asset_shown(one) for one in found["assets"]]
    return GrantShown.model_validate({**grant_shown(found), "assets": assets})
