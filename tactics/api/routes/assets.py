"""`/v1/assets` and `/v1/users/{user_id}/assets`: benefits in users' hands, and what becomes of them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query

from tactics.api import examples_assets as examples
from tactics.api.access import Acting, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_moment
from tactics.api.examples_assets import sent, told
from tactics.api.problems import described
from tactics.api.schemas_assets import AssetAnswer, AssetList, ChangeRequest, OrderChangeRequest, shown
from tactics.domain.activity import Code
from tactics.domain.asset import AssetStatus
from tactics.domain.catalogue import Name
from tactics.flows import asset as flow
from tactics.store import assets

router = APIRouter(prefix="/v1", tags=["assets"], route_class=StrictRoute)
READING = needs("placements:call", "grants:operate", "audit:read")
CALLING = needs("placements:call", "grants:operate")
OPERATING = needs("grants:operate")
AssetId = Annotated[UUID, Path(description="the asset's id, from a placement's answer or the list of a user's assets")]
UserId = Annotated[Name, Path(description="the user's id", examples=["alice"])]
Change = Annotated[ChangeRequest | None, Body(openapi_examples=sent(when=examples.TO_CHANGE))]
OrderChange = Annotated[
    OrderChangeRequest | None, Body(openapi_examples=sent(for_an_order=examples.ORDER_CHANGE, when=examples.TO_CHANGE))
]
_OF_CHANGE = described(400, 404, 408, 409, 413, 415, 422)


@router.get(
    "/users/{user_id}/assets", dependencies=[READING], responses={**told(200, examples.ASSETS), **described(422)}
)
def list_assets(
    app: Tactics,
    user_id: UserId,
    status: Annotated[AssetStatus | None, Query(description="only those that have it")] = None,
    activity: Annotated[Code | None, Query(description="only those of this activity")] = None,
    usable: Annotated[bool | None, Query(description="only those that can, or cannot, be used now")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AssetList:
    """List a user's assets, the newest first; none of a user who has none or is not known."""
    after = read_moment(cursor)
    runtime = app.runtime
    with runtime.engine.connect() as conn:
        now = runtime.now(conn)
        found = assets.of_user(
            conn,
            user_id,
            now,
            status=status,
            activity_code=activity,
            usable=usable,
            after=after,
            limit=limit + 1,
        )
    rows, following = page(found, limit, lambda one: [one.valid_from.isoformat(), str(one.id)])
    return AssetList(assets=[shown(flow.Held(one, now)) for one in rows], next_cursor=following)


@router.get(
    "/assets/{asset_id}", dependencies=[READING], responses={**told(200, examples.COUPON), **described(404, 422)}
)
def show_asset(app: Tactics, asset_id: AssetId) -> AssetAnswer:
    """Give an asset as it is now."""
    return shown(flow.find(app.runtime, asset_id))


@router.post(
    "/assets/{asset_id}/claim", dependencies=[CALLING], responses={**told(200, examples.CLAIMED), **_OF_CHANGE}
)
def claim_asset(runtime: Acting, asset_id: AssetId, body: Change = None) -> AssetAnswer:
    """Claim an asset: the user has taken it up, and can still use it. Again it changes nothing."""
    return shown(flow.change(runtime, asset_id, "claimed", at=body.at if body else None))


@router.post(
    "/assets/{asset_id}/redeem", dependencies=[CALLING], responses={**told(200, examples.REDEEMED), **_OF_CHANGE}
)
def redeem_asset(runtime: Acting, asset_id: AssetId, body: OrderChange = None) -> AssetAnswer:
    """Redeem an asset: it is used up. Again it changes nothing.

    With a `reference`, 200 says that this very order has redeemed it; what another order has redeemed, or nobody knows
    which, is a 409 with `reason` `other_order`. Without one, whatever is redeemed is a 200.
    """
    given = body or OrderChangeRequest()
    return shown(flow.change(runtime, asset_id, "redeemed", at=given.at, reference=given.reference))


@router.post(
    "/assets/{asset_id}/release", dependencies=[CALLING], responses={**told(200, examples.COUPON), **_OF_CHANGE}
)
def release_asset(runtime: Acting, asset_id: AssetId, body: OrderChange = None) -> AssetAnswer:
    """Release a redeemed asset, for its order was cancelled: it is available again. Again it changes nothing.

    With a `reference`, only that order's redemption is released; another's is a 409 with `reason` `other_order`.
    """
    given = body or OrderChangeRequest()
    return shown(flow.change(runtime, asset_id, "released", at=given.at, reference=given.reference))


@router.post(
    "/assets/{asset_id}/revoke", dependencies=[OPERATING], responses={**told(200, examples.REVOKED), **_OF_CHANGE}
)
def revoke_asset(runtime: Acting, asset_id: AssetId, body: Change = None) -> AssetAnswer:
    """Revoke an asset: it cannot be used any more. What is redeemed stays redeemed (409)."""
    return shown(flow.change(runtime, asset_id, "revoked", at=body.at if body else None))
