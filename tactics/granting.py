"""The grant: one transaction's part that gives a user a benefit, exactly once.

The caller's transaction holds the instance row's lock, so everything about one instance happens in some order; the
unique keys hold even where it does not. Rows lock in the order instance, activity's counters, benefit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from tactics.domain.activity import TacticsActivity
from tactics.domain.asset import TRANSITIONS, Asset, AssetChange
from tactics.domain.context import GRANTED, PENDING, REPLAYED, REUSED
from tactics.domain.grant import GrantLine, idempotency_id, new_assets, stock_needed
from tactics.errors import Conflict, NotFound
from tactics.store import assets as asset_store
from tactics.store import grants, instances
from tactics.store.grants import GrantRow, History


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """Who is to get what, and for which execution.

    `assets_unknown` says that the asset query failed: how many grants there were is then taken as none.
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


@dataclass(frozen=True, slots=True)
class GrantResult:
    """What came of it: granted, reused, replayed, pending, sold_out, limit or a refusal, with words for people."""

    outcome: str
    assets: Sequence[Asset] = ()
    grant_id: UUID | None = None
    text: str | None = None


class _NotGranted(Exception):
    """Takes the savepoint back."""

    def __init__(self, outcome: str, text: str) -> None:
        super().__init__(outcome)
        self.result = GrantResult(outcome, text=text)


def usable_assets(conn: Connection, user_id: str, activity_code: str, now: datetime) -> list[Asset]:
    """Mark what is due as expired, and give what the user can still use."""
    live = asset_store.live_of_instance(conn, user_id, activity_code)
    due = [one for one in live if one.due(now)]
    if due:
        asset_store.set_status(conn, user_id, [one.id for one in due], "expired", now)
        kept = {one.grant_id for one in live if not one.due(now)}
        for grant_id in {one.grant_id for one in due} - kept:
            grants.set_usable(conn, user_id, grant_id, usable=False)
    return [one for one in live if one.usable(now)]


def grant(conn: Connection, request: GrantRequest) -> GrantResult:
    """Give what the rule chose, unless the user holds something usable or a limit says no.

    Args:
        conn: the segment's transaction, holding the instance row's lock.
        request: what to give to whom.

    Returns:
        The outcome; only `granted` has written anything new.
    """
    activity, user_id = request.activity, request.user_id
    usable = usable_assets(conn, user_id, activity.code, request.now)
    if usable:
        return GrantResult(REUSED, usable, usable[0].grant_id)
    if request.held_out:
        return GrantResult("holdout", text="the user belongs to the control group")
    history = grants.history(conn, user_id, activity.code)
    return _no_new_grant(request, history) or _give(conn, request, history)


def _no_new_grant(request: GrantRequest, history: History) -> GrantResult | None:
    """Answer where an open grant or the limit per user stands against a new one."""
    if history.open_grant_id is not None:
        return GrantResult(PENDING, grant_id=history.open_grant_id)
    per_user = request.activity.limits.per_user
    replays = request.assets_unknown and history.taken > 0
    if per_user is not None and history.taken >= per_user and not replays:
        return GrantResult("limit", text=f"granted {history.taken} times, at most {per_user} times a user")
    return None


def _give(conn: Connection, request: GrantRequest, history: History) -> GrantResult:
    """Write the grant with everything that belongs to it, or nothing at all."""
    activity, user_id = request.activity, request.user_id
    wanted = _wanted(request, history)
    try:
        with conn.begin_nested():
            if not grants.add(conn, wanted):
                return _answer_from_rival(conn, wanted, request.now)
            given = new_assets(activity, user_id, wanted.id, request.lines, request.now)
            given = _take_codes(conn, activity, given)
            asset_store.add(conn, given)
            grants.add_outbox(conn, "tactics.granted", wanted.idempotency_id, _notice(wanted, given))
            # Last, for these rows are hot: everybody waits until this transaction ends.
            _take_limits(conn, activity, wanted)
            _take_stock(conn, activity, request.lines)
    except _NotGranted as stopped:
        return stopped.result
    return GrantResult(GRANTED, given, wanted.id)


def _wanted(request: GrantRequest, history: History) -> GrantRow:
    """Write down the grant that this execution would be. Its count is pinned here, before anything is given."""
    activity = request.activity
    will_send_count = 1 if request.assets_unknown else history.highest_count + 1
    return GrantRow(
        id=uuid4(),
        user_id=request.user_id,
        activity_code=activity.code,
        activity_version=activity.version,
        will_send_count=will_send_count,
        idempotency_id=idempotency_id(activity.code, request.user_id, will_send_count),
        execution_id=request.execution_id,
        event_source=request.event_source,
        event_id=request.event_id,
        best_only=request.best_only,
        state="granted",
        usable=True,
        lines=[line.to_json() for line in request.lines],
        value_minor=sum(line.value_minor for line in request.lines),
        day=request.now.astimezone(ZoneInfo(activity.timezone)).date(),
        reason=None,
        assets_unknown=request.assets_unknown,
        business_at=request.now,
    )


def _answer_from_rival(conn: Connection, wanted: GrantRow, now: datetime) -> GrantResult:
    """Answer from the grant that exists already: a replay, whose spent assets are never shown as usable."""
    rival = grants.find_rival(conn, wanted)
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


def _take_limits(conn: Connection, activity: TacticsActivity, wanted: GrantRow) -> None:
    limits = activity.limits
    if limits.per_day is not None and not grants.count_within(
        conn, activity.code, "day", wanted.day.isoformat(), add=1, limit=limits.per_day
    ):
        raise _NotGranted("limit", f"all {limits.per_day} grants of {wanted.day} are given")
    if limits.budget_minor is not None and not grants.count_within(
        conn, activity.code, "budget", "", add=wanted.value_minor, limit=limits.budget_minor
    ):
        raise _NotGranted("limit", f"the budget of {limits.budget_minor} has no {wanted.value_minor} left")


def _take_codes(conn: Connection, activity: TacticsActivity, given: list[Asset]) -> list[Asset]:
    """Give the coupons of pools their codes."""
    codes: dict[UUID, str] = {}
    for name, benefit in sorted(activity.benefits.items()):
        takers = [one.id for one in given if one.benefit_code == name]
        if benefit.codes is None or not takers:
            continue
        taken = grants.take_codes(conn, activity.code, name, takers)
        if taken is None:
            raise _NotGranted("sold_out", f"no code of {name!r} is left")
        codes.update(zip(takers, taken, strict=True))
    return [replace(one, details={**one.details, "code": codes[one.id]}) if one.id in codes else one for one in given]


def _take_stock(conn: Connection, activity: TacticsActivity, lines: Sequence[GrantLine]) -> None:
    for code, count in stock_needed(lines).items():
        if not grants.take_stock(conn, activity.code, code, count):
            raise _NotGranted("sold_out", f"no stock of {code!r} is left")


def _notice(wanted: GrantRow, given: Sequence[Asset]) -> dict[str, object]:
    return {
        "activity": wanted.activity_code,
        "user_id": wanted.user_id,
        "grant_id": str(wanted.id),
        "will_send_count": wanted.will_send_count,
        "assets": [one.to_json() for one in given],
    }


def change_asset(
    conn: Connection, asset_id: UUID, change: AssetChange, now: datetime, *, at: datetime | None = None
) -> Asset:
    """Claim, redeem, release or revoke an asset. The same change again, or one that was overtaken, changes nothing.

    Args:
        conn: a transaction of its own; taken back when this raises.
        asset_id: which asset.
        change: claimed, redeemed, released (the order was cancelled: the asset is usable again) or revoked.
        now: business time.
        at: when it happened, at the latest now; older than the asset's last change it is overtaken. Left out: now.

    Returns:
        The asset as it is afterwards.

    Raises:
        NotFound: there is no such asset.
        Conflict: its status does not allow this, with `status` as it stays.
    """
    found = asset_store.find(conn, asset_id)
    if found is None:
        raise NotFound(f"there is no asset {asset_id}", asset_id=str(asset_id))
    instances.lock(conn, found.user_id, found.activity_code)
    held = asset_store.of_grant(conn, found.user_id, found.grant_id)
    current = next(one for one in held if one.id == asset_id)
    # A clock that is ahead must not overtake what really happens later.
    if not asset_store.note_change(conn, found.user_id, asset_id, min(at or now, now)):
        return current
    wanted = TRANSITIONS[change].get(current.status)
    if wanted is None:
        if current.status in TRANSITIONS[change].values():
            return current
        raise Conflict(f"asset {asset_id} is {current.status} and cannot be {change}", status=current.status)
    if current.due(now):
        raise Conflict(f"asset {asset_id} expired at {current.valid_until.isoformat()}", status="expired")
    asset_store.set_status(conn, found.user_id, [asset_id], wanted, now)
    after = [replace(one, status=wanted) if one.id == asset_id else one for one in held]
    usable = any(one.status in {"available", "claimed"} for one in after)
    grants.set_usable(conn, found.user_id, found.grant_id, usable=usable, released=change == "released")
    return replace(current, status=wanted)
