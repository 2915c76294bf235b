"""The grant: one transaction's part that gives a user a benefit, exactly once.

What is to be given is worked out here; whether it is, one function of the database decides and writes in one call
(`migrations/functions/0009_grant_benefit.sql`). The caller's transaction holds the instance row's lock, so everything
about one instance happens in some order; the unique keys hold even where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from tactics.domain.activity import TacticsActivity
from tactics.domain.asset import LIVE, TRANSITIONS, Asset, AssetChange, AssetStatus
from tactics.domain.context import GRANTED, PENDING, REPLAYED, REUSED
from tactics.domain.grant import GrantLine, new_assets, provider_of, stock_needed
from tactics.domain.outside import call_body, draft_of
from tactics.errors import Conflict, NotFound
from tactics.store import assets as asset_store
from tactics.store import grants, instances, outbox, outside_grants
from tactics.store.grants import NewGrant, Terms, Verdict
from tactics.store.outside_grants import NewOutsideGrant


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """Who is to get what, and for which execution.

    `assets_unknown` says that the asset query failed: how many grants there were is then taken as none. `claim_s`: how
    long, in seconds, the first call to an outside system may take to begin before the sweeper sees to it.
    """

    activity: TacticsActivity
    user_id: str
    execution_id: UUID
    event_source: str
    event_id: str
    lines: Sequence[GrantLine]
    now: datetime
    best_only: bool = False
    assets_unknown: bool = False
    held_out: bool = False
    claim_s: float = 120.0


@dataclass(frozen=True, slots=True)
class GrantResult:
    """What came of it: granted, reused, replayed, pending, sold_out, limit or a refusal, with words for people.

    `reserved`: it was reserved here and now for an outside system, which is to be called once this is committed.
    `tripped`: the limit per minute that it would have passed: the activity has to be paused.
    """

    outcome: str
    assets: Sequence[Asset] = ()
    grant_id: UUID | None = None
    text: str | None = None
    reserved: bool = False
    tripped: str | None = None


PENDING_TEXT = "the benefit system has been asked"
# What callers are told, where the database tells more exactly.
_SHOWN_AS = {
    "limit_user": "limit",
    "limit_day": "limit",
    "limit_budget": "limit",
    "loss_grants": "limit",
    "loss_cost": "limit",
    "no_code": "sold_out",
}
_TRIPPED = {"loss_grants": "grants_per_minute", "loss_cost": "cost_per_minute_minor"}


def grant(conn: Connection, request: GrantRequest) -> GrantResult:
    """Give what the rule chose, unless the user holds something usable or a limit says no.

    Args:
        conn: the segment's transaction, holding the instance row's lock.
        request: what to give to whom.

    Returns:
        The outcome; only one that is `granted` or `reserved` has written anything new.
    """
    activity, user_id = request.activity, request.user_id
    wanted, terms = _wanted(request), _terms(request)
    given = new_assets(activity, user_id, wanted.id, request.lines, request.now)
    found = grants.give(conn, wanted, given, terms)
    if found.outcome == GRANTED:
        return GrantResult(GRANTED, _with_codes(given, found.codes), wanted.id)
    if found.outcome == "reserved":
        return _reserve(conn, request, wanted, _with_codes(given, found.codes), terms, found.will_send_count or 0)
    if found.outcome == REUSED:
        usable = usable_assets(conn, user_id, activity.code, request.now)
        return GrantResult(REUSED, usable, usable[0].grant_id)
    if found.outcome == PENDING:
        return GrantResult(PENDING, grant_id=UUID(found.detail))
    if found.outcome == "rival":
        return _answer_from_rival(conn, wanted, found.will_send_count or 0, request.now)
    return _refusal(activity, wanted, found)


def usable_assets(conn: Connection, user_id: str, activity_code: str, now: datetime) -> list[Asset]:
    """Give what the user can still use, newest first."""
    return [one for one in asset_store.live_of_instance(conn, user_id, activity_code) if one.usable(now)]


def _wanted(request: GrantRequest) -> NewGrant:
    """Write down the grant that this execution would be. The database counts which one, and pins it by its keys."""
    activity = request.activity
    return NewGrant(
        id=uuid4(),
        user_id=request.user_id,
        activity_code=activity.code,
        activity_version=activity.version,
        execution_id=request.execution_id,
        event_source=request.event_source,
        event_id=request.event_id,
        best_only=request.best_only,
        lines=[line.to_json() for line in request.lines],
        value_minor=sum(line.value_minor for line in request.lines),
        day=_day(activity.timezone, request.now),
        assets_unknown=request.assets_unknown,
        business_at=request.now,
    )


def _reserve(
    conn: Connection,
    request: GrantRequest,
    wanted: NewGrant,
    given: list[Asset],
    terms: Terms,
    will_send_count: int,
) -> GrantResult:
    """Keep what settling it with the outside system takes; nothing is called before this transaction has committed."""
    activity = request.activity
    outside_grants.add(
        conn,
        NewOutsideGrant(
            user_id=request.user_id,
            grant_id=wanted.id,
            provider=str(terms.provider),
            body=call_body(activity, wanted.id, request.user_id, will_send_count, given),
            drafts=[draft_of(one, activity) for one in given],
            asset_ids=[one.id for one in given],
            reserved={
                "stock": terms.stock,
                "on_day": str(wanted.day),
                "day": 1 if terms.per_day is not None else None,
                "budget": wanted.value_minor if terms.budget_minor is not None else None,
            },
        ),
        request.claim_s,
    )
    return GrantResult(PENDING, grant_id=wanted.id, text=PENDING_TEXT, reserved=True)


def _day(timezone: str, now: datetime) -> date:
    return (now if timezone == "UTC" else now.astimezone(ZoneInfo(timezone))).date()


def _terms(request: GrantRequest) -> Terms:
    activity = request.activity
    taken = {line.benefit for line in request.lines}
    return Terms(
        stock=stock_needed(request.lines),
        pools=sorted(name for name in taken if name is not None and activity.benefits[name].codes is not None),
        per_user=activity.limits.per_user,
        per_day=activity.limits.per_day,
        budget_minor=activity.limits.budget_minor,
        held_out=request.held_out,
        per_minute=activity.limits.grants_per_minute,
        cost_per_minute_minor=activity.limits.cost_per_minute_minor,
        provider=provider_of(activity, request.lines),
    )


def _with_codes(given: list[Asset], codes: Mapping[str, str]) -> list[Asset]:
    """Show the codes that coupons of pools got when they were written."""
    if not codes:
        return given
    return [
        replace(one, details={**one.details, "code": codes[str(one.id)]}) if str(one.id) in codes else one
        for one in given
    ]


def _refusal(activity: TacticsActivity, wanted: NewGrant, found: Verdict) -> GrantResult:
    """Say why nothing was given."""
    limits = activity.limits
    texts = {
        "holdout": "the user belongs to the control group",
        "limit_user": f"granted {found.will_send_count} times, at most {limits.per_user} times a user",
        "limit_day": f"all {limits.per_day} grants of {wanted.day} are given",
        "limit_budget": f"the budget of {limits.budget_minor} has no {wanted.value_minor} left",
        "loss_grants": f"{limits.grants_per_minute} grants a minute are the most: the activity pauses itself",
        "loss_cost": f"a cost of {limits.cost_per_minute_minor} a minute is the most: the activity pauses itself",
        "no_code": f"no code of {found.detail!r} is left",
        "sold_out": f"no stock of {found.detail!r} is left",
    }
    shown = _SHOWN_AS.get(found.outcome, found.outcome)
    return GrantResult(shown, text=texts[found.outcome], tripped=_TRIPPED.get(found.outcome))


def _answer_from_rival(conn: Connection, wanted: NewGrant, will_send_count: int, now: datetime) -> GrantResult:
    """Answer from the grant that exists already: a replay, whose spent assets are never shown as usable."""
    rival = grants.find_rival(conn, wanted, will_send_count)
    if rival is None:  # its transaction was taken back between our two statements
        return GrantResult(PENDING, text="another grant was being written at this moment")
    if rival.activity_code != wanted.activity_code:
        return GrantResult("outranked", text=f"{rival.activity_code} has granted for this placement")
    if rival.state == "granted":
        held = asset_store.of_grant(conn, rival.user_id, rival.id)
        usable = [one for one in held if one.usable(now)]
        if usable:
            return GrantResult(REUSED, usable, rival.id)
        return GrantResult(REPLAYED, held, rival.id, f"grant {rival.will_send_count} was already given")
    if rival.state == "refused":
        return GrantResult("error", grant_id=rival.id, text=rival.reason)
    return GrantResult(PENDING, grant_id=rival.id)


def change_asset(
    conn: Connection,
    asset_id: UUID,
    change: AssetChange,
    now: datetime,
    *,
    at: datetime | None = None,
    reference: str | None = None,
) -> Asset:
    """Claim, redeem, release, expire or revoke an asset. The same change again, or one that was overtaken, changes nothing.

    Whoever names the order is never told that all is well when another order has the asset: where this returns after
    redeeming with a `reference`, that order has redeemed it; after releasing, it no longer has.

    Args:
        conn: a transaction of its own; taken back when this raises.
        asset_id: which asset.
        change: claimed, redeemed, released (the order was cancelled: the asset is usable again), expired or revoked.
        now: business time.
        at: when it happened, at the latest now; older than the asset's last change it is overtaken. Left out: at this
            moment, after all that was reported before.
        reference: the order that redeems it, or whose redemption is released; None is any.

    Returns:
        The asset as it is afterwards.

    Raises:
        NotFound: there is no such asset.
        Conflict: its status does not allow this, with `asset_status` as it stays, or another order has redeemed it.
    """
    found = asset_store.find(conn, asset_id)
    if found is None:
        raise _no_asset(asset_id)
    instances.lock(conn, found.user_id, found.activity_code)
    held = asset_store.of_grant(conn, found.user_id, found.grant_id)
    current = next((one for one in held if one.id == asset_id), None)
    if current is None:  # its user was erased while this waited for the lock
        raise _no_asset(asset_id)
    _check_order(current, change, reference)
    if _overtaken(conn, current, now, at):
        if reference is None or current.status in TRANSITIONS[change].values():
            return current
        raise Conflict(f"asset {asset_id} has changed since", asset_status=current.status, reason="overtaken")
    wanted = TRANSITIONS[change].get(current.status)
    if wanted is None:
        if current.status in TRANSITIONS[change].values():
            return current
        raise _not_allowed(current, f"is {current.status} and cannot be {change}", current.status)
    if current.due(now):
        raise _not_allowed(current, f"expired at {current.valid_until.isoformat()}", "expired")
    order = reference if wanted == "redeemed" else None
    asset_store.set_status(conn, found.user_id, asset_id, wanted, now, reference=order)
    changed = replace(current, status=wanted, reference=order)
    usable = any(one.status in LIVE for one in (changed, *(one for one in held if one.id != asset_id)))
    grants.set_usable(conn, found.user_id, found.grant_id, usable=usable, released=change == "released")
    outbox.tell_change(conn, changed, change)
    return changed


def _check_order(current: Asset, change: AssetChange, reference: str | None) -> None:
    if reference is None or change not in {"redeemed", "released"} or current.status != "redeemed":
        return
    if current.reference != reference:
        raise Conflict(
            f"asset {current.id} was redeemed for another order", asset_status="redeemed", reason="other_order"
        )


def _overtaken(conn: Connection, current: Asset, now: datetime, at: datetime | None) -> bool:
    """Note when it happened, and tell whether something later is known already."""
    if at is None:
        # Transactions that wait for one another began in another order than that in which they change the asset.
        asset_store.note_latest(conn, current.user_id, current.id, now)
        return False
    # A clock that is ahead must not overtake what really happens later.
    return not asset_store.note_change(conn, current.user_id, current.id, min(at, now))


def _no_asset(asset_id: UUID) -> NotFound:
    return NotFound(f"there is no asset {asset_id}", asset_id=str(asset_id))


def _not_allowed(current: Asset, what: str, status: AssetStatus) -> Conflict:
    return Conflict(f"asset {current.id} {what}", asset_status=status, reason=status)
