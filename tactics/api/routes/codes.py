"""`/v1/codes/{code}`: what a checkout asks about a shopper's code, and tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path

from tactics import rules
from tactics.api import examples_assets as examples
from tactics.api.access import Acting, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.examples_assets import sent, told
from tactics.api.limits import MAX_PRICE_LOOKS, PRICE_READING, looks
from tactics.api.problems import Refused, described
from tactics.api.schemas_assets import (
    AssetAnswer,
    CodeRequest,
    RedeemRequest,
    ReleaseRequest,
    ValidateRequest,
    ValidityAnswer,
    shown,
)
from tactics.domain.catalogue import Name
from tactics.domain.code import OrderTotal
from tactics.flows import asset as flow

router = APIRouter(prefix="/v1/codes", tags=["codes"], route_class=StrictRoute, dependencies=[needs("placements:call")])
ShoppersCode = Annotated[Name, Path(description="the code, as the shopper gives it", examples=["7KQ2M9XWTR4B"])]
_OF_CODE = described(400, 404, 408, 409, 413, 415, 422)


@router.post("/{code}/validate", responses={**told(200, examples.VALID, examples.NOT_VALID), **_OF_CODE})
def validate_code(
    app: Tactics,
    code: ShoppersCode,
    body: Annotated[ValidateRequest | None, Body(openapi_examples=sent(for_an_order=examples.TO_VALIDATE))] = None,
) -> ValidityAnswer:
    """Tell whether a code can be used now, and how much of an order it pays. Nothing is changed.

    A code that several users or activities have needs `user_id` or `activity`, else it is a 409 `ambiguous_code`.
    """
    given = body or ValidateRequest()
    found = flow.validate_code(app.runtime, _asked(code, given), _total(given.order))
    return ValidityAnswer(
        valid=found.reason is None,
        reason=found.reason,
        asset=found.held and shown(found.held),
        takes_off_minor=found.takes_off_minor,
    )


@router.post("/{code}/redeem", responses={**told(200, examples.REDEEMED), **_OF_CODE})
def redeem_code(
    runtime: Acting,
    code: ShoppersCode,
    body: Annotated[RedeemRequest | None, Body(openapi_examples=sent(for_an_order=examples.TO_REDEEM))] = None,
) -> AssetAnswer:
    """Redeem a code, once: for the `reference` of the same order again it is a 200, for any other or none a 409.

    A 409 says why in `reason`: `redeemed`, `expired`, `revoked`, `other_user` or `other_currency`.
    """
    given = body or RedeemRequest()
    order = _total(given.order)
    return shown(flow.redeem_code(runtime, _asked(code, given), order=order, reference=given.reference))


@router.post("/{code}/release", responses={**told(200, examples.COUPON), **_OF_CODE})
def release_code(
    runtime: Acting,
    code: ShoppersCode,
    body: Annotated[ReleaseRequest | None, Body(openapi_examples=sent(of_an_order=examples.TO_RELEASE))] = None,
) -> AssetAnswer:
    """Release a redeemed code, for its order was cancelled: it can be used again. What is not redeemed stays as it is.

    With a `reference`, what another order has redeemed is a 409.
    """
    given = body or ReleaseRequest()
    return shown(flow.release_code(runtime, _asked(code, given), reference=given.reference))


def _asked(code: str, given: CodeRequest) -> flow.CodeAsked:
    return flow.CodeAsked(code, given.user_id, given.activity)


def _total(order: Mapping[str, Any] | None) -> OrderTotal | None:
    """Add an order up, as prices are worked out elsewhere."""
    if order is None:
        return None
    if looks([], order, PRICE_READING) > MAX_PRICE_LOOKS:
        raise Refused(422, "too_much_work", "the order has too many lines")
    try:
        total = rules.price(order, [])["original_total_minor"]
    except rules.RuleError as error:
        problems = [problem.to_json() for problem in error.problems]
        raise Refused(422, "rule_error", f"{problems[0]['path']}: {problems[0]['message']}", problems) from None
    return OrderTotal(total, order.get("currency"))
