"""What becomes of an asset, and of a shopper's code: each change is a transaction that holds the instance's lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from tactics.domain import code as codes
from tactics.domain.asset import Asset, AssetChange
from tactics.domain.code import NotValid, OrderTotal
from tactics.errors import AmbiguousCode, Conflict, NotFound, UnknownCode
from tactics.granting import change_asset
from tactics.runtime import Runtime
from tactics.store import assets, instances
from tactics.store import codes as code_store
from tactics.store.codes import Holder


@dataclass(frozen=True, slots=True)
class Held:
    """An asset as it is at a moment."""

    asset: Asset
    now: datetime


@dataclass(frozen=True, slots=True)
class CodeAsked:
    """A code; `user_id` says whose it has to be, `activity` narrows it where several have the same."""

    code: str
    user_id: str | None = None
    activity: str | None = None


@dataclass(frozen=True, slots=True)
class Validity:
    """Whether a code can be used: `reason` says why not, `takes_off_minor` how much of an order it pays.

    `held` is None where the code is somebody else's.
    """

    reason: NotValid | None
    held: Held | None = None
    takes_off_minor: int | None = None


def find(runtime: Runtime, asset_id: UUID) -> Held:
    """Give an asset.

    Raises:
        NotFound: there is no such asset.
    """
    with runtime.engine.connect() as conn:
        found = assets.find(conn, asset_id)
        if found is None:
            raise NotFound(f"there is no asset {asset_id}", asset_id=str(asset_id))
        return Held(found, runtime.now(conn))


def change(
    runtime: Runtime,
    asset_id: UUID,
    wanted: AssetChange,
    *,
    at: datetime | None = None,
    reference: str | None = None,
) -> Held:
    """Claim, redeem, release or revoke an asset; arguments, answer and errors are those of `change_asset`."""
    with runtime.changing() as conn:
        now = runtime.now(conn)
        return Held(change_asset(conn, asset_id, wanted, now, at=at, reference=reference), now)


def validate_code(runtime: Runtime, asked: CodeAsked, order: OrderTotal | None = None) -> Validity:
    """Tell whether a code can be used now, and what it would take off an order. Nothing is changed.

    Raises:
        NotFound: there is no such code.
        AmbiguousCode: several users or activities have it.
    """
    with runtime.engine.connect() as conn:
        holder = _holder(conn, asked)
        if holder is None:
            return Validity("other_user")
        now = runtime.now(conn)
        found = codes.to_redeem(code_store.of_instance(conn, holder, asked.code), now)
    reason = codes.not_valid(found, now, order)
    worth = None if reason or order is None else found.takes_off(order.total_minor)
    return Validity(reason, Held(found, now), worth)


def redeem_code(
    runtime: Runtime, asked: CodeAsked, *, order: OrderTotal | None = None, reference: str | None = None
) -> Held:
    """Redeem the asset that a code stands for, once: what is redeemed already is refused but to the same order.

    Args:
        runtime: the process's runtime.
        asked: the code.
        order: what it is used for; another currency than the asset's is refused.
        reference: the order's id. The same again changes nothing.

    Raises:
        NotFound: there is no such code.
        AmbiguousCode: several users or activities have it.
        Conflict: it cannot be used, with the `reason`, and `asset_status` as it stays.
    """
    with runtime.changing() as conn:
        holder = _locked_holder(conn, asked)
        now = runtime.now(conn)
        found = codes.to_redeem(code_store.of_instance(conn, holder, asked.code), now, reference)
        ours = found.status == "redeemed" and reference is not None and found.reference == reference
        reason = None if ours else codes.not_valid(found, now, order)
        if reason is not None:
            raise Conflict(_REFUSALS[reason], reason=reason, asset_status=found.status_at(now))
        return Held(change_asset(conn, found.id, "redeemed", now, reference=reference), now)


def release_code(runtime: Runtime, asked: CodeAsked, *, reference: str | None = None) -> Held:
    """Make a redeemed code usable again, for its order was cancelled; what is not redeemed stays as it is.

    Args:
        runtime: the process's runtime.
        asked: the code.
        reference: the order's id; what another order has redeemed is not released.

    Raises:
        NotFound: there is no such code.
        AmbiguousCode: several users, activities or orders have it.
        Conflict: it is not this order's, or what became of it does not allow that.
    """
    with runtime.changing() as conn:
        holder = _locked_holder(conn, asked)
        now = runtime.now(conn)
        found = codes.to_release(code_store.of_instance(conn, holder, asked.code), now, reference)
        if found is None:
            raise AmbiguousCode("several orders have redeemed this code: say which by `reference`")
        return Held(change_asset(conn, found.id, "released", now, reference=reference), now)


_REFUSALS: dict[NotValid, str] = {
    "expired": "this code has expired",
    "redeemed": "this code was redeemed already",
    "revoked": "this code was revoked",
    "other_user": "this code is somebody else's",
    "other_currency": "this code is worth money of another currency than the order's",
}


def _holder(conn: Connection, asked: CodeAsked) -> Holder | None:
    """Give whose code it is; None: not that user's, but it exists."""
    found = code_store.holders(conn, asked.code, user_id=asked.user_id, activity_code=asked.activity)
    if not found:
        if asked.user_id is not None and code_store.holders(conn, asked.code, activity_code=asked.activity):
            return None
        raise UnknownCode("nobody holds a benefit with this code; codes are case-sensitive")
    if len(found) > 1:
        raise AmbiguousCode(_narrowing(found, asked))
    return found[0]


def _narrowing(found: Sequence[Holder], asked: CodeAsked) -> str:
    if len({one.activity_code for one in found}) > 1 and asked.activity is None:
        return "several activities have this code: say which by `activity`"
    return "several users have this code: say whose by `user_id`"


def _locked_holder(conn: Connection, asked: CodeAsked) -> Holder:
    """Give whose code it is, with the lock that everything about that instance waits for."""
    holder = _holder(conn, asked)
    if holder is None:
        raise Conflict(_REFUSALS["other_user"], reason="other_user")
    instances.lock(conn, holder.user_id, holder.activity_code)
    return holder
