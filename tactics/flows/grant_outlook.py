"""What trying a grant once more would do, before anybody asks for it: who is asked, and what it would take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from tactics.domain.activity import TacticsActivity
from tactics.domain.erased import is_pseudonym
from tactics.domain.event import RETRY_SOURCE
from tactics.domain.provider import Provider
from tactics.domain.settlement import next_move
from tactics.errors import TacticsError
from tactics.flows.provider import held_back
from tactics.granting import usable_assets
from tactics.runtime import Runtime
from tactics.settling import why_parked
from tactics.store import activities, grant_retries, history, outside_grants, providers
from tactics.store.grants import GrantRow
from tactics.store.outside_grants import OutsideGrant

Action = Literal["ask", "renew", "nothing"]
"""`ask`: the provider, under the same idempotency id. `renew`: a new event and execution, with the next count."""

# Of a provider that is gone, the longest that any may take: asking by id and calling, and writing both down.
_LONGEST_MS, _ASIDE_S = 30_000, 5.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a retry would do, how many grants it would `deduct` beyond what is taken now (0 or 1), and why."""

    action: Action
    deducts: int
    why: str
    held_back: bool = False
    """Whether the provider is asked only once its pause is over."""

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"action": self.action, "deducts": self.deducts, "why": self.why}


def outlook(runtime: Runtime, conn: Connection, row: GrantRow, one: OutsideGrant | None) -> Outlook:
    """Tell what trying a grant once more would do. It holds for sure only while the instance is locked.

    Args:
        runtime: activities and clock.
        conn: any transaction.
        row: the grant.
        one: what settling it takes; None of a benefit of ours.
    """
    if row.state == "granted":
        return _nothing("it is granted")
    if row.state == "refused":
        return _of_refused(runtime, conn, row)
    if one is None:
        return _nothing("no outside system gives it: nobody can be asked")
    return _of_open(runtime, conn, one)


def will_deduct(runtime: Runtime, conn: Connection, row: GrantRow, one: OutsideGrant | None) -> tuple[int, str]:
    """Tell how many grants a retry would take beyond what is taken now, 0 or 1, and why."""
    found = outlook(runtime, conn, row, one)
    return found.deducts, found.why


def is_asked(conn: Connection, one: OutsideGrant, provider: Provider | None) -> bool:
    """Tell whether a worker may be asking the provider at this moment, so that nobody may decide in its place."""
    most_ms = _LONGEST_MS if provider is None else provider.timeout_ms
    return outside_grants.is_asked(conn, one, 2 * most_ms / 1000 + _ASIDE_S)


def _nothing(why: str) -> Outlook:
    return Outlook("nothing", 0, why)


def _of_open(runtime: Runtime, conn: Connection, one: OutsideGrant) -> Outlook:
    provider = providers.find(conn, one.provider)
    if provider is None:
        return _nothing(f"there is no provider {one.provider!r} any more")
    if is_asked(conn, one, provider):
        return _nothing("the provider is being asked at this moment")
    move = next_move(provider, one.standing, one.read_at)
    if move == "park":
        return _nothing(_dead_end(provider, one))
    if not provider.enabled:
        return _nothing(f"provider {provider.name!r} is disabled: enable it first")
    how = "asked about it by its id" if move == "look_up" else "called under the same id"
    held = held_back(runtime, provider.name)
    if held is None:
        return Outlook("ask", 0, f"it is reserved already, and the provider is {how}")
    until = f"{held.until:%Y-%m-%dT%H:%M:%SZ}"
    told = f"handed to the workers, but provider {provider.name!r} is held back until {until}; then it is {how}"
    return Outlook("ask", 0, f"it is reserved already: {told}", held_back=True)


def _dead_end(provider: Provider, one: OutsideGrant) -> str:
    if one.calls == 0:
        return "nothing reached the provider in its time: abandon it, and retry it then"
    return (
        f"{why_parked(provider, one)}; ask the provider what became of it: `tactics reconcile --settle` where it lists "
        "it, else abandon it once it is certain that it was not given"
    )


def _of_refused(runtime: Runtime, conn: Connection, row: GrantRow) -> Outlook:
    over = _over(conn, row)
    if over is not None:
        return _nothing(over)
    now = runtime.now(conn, row.business_at)
    try:
        activity = _live(runtime, conn, row.activity_code, now)
    except TacticsError as error:
        return _nothing(error.message)
    stands = _in_the_way(conn, row, activity, now)
    if stands is not None:
        return _nothing(stands)
    return Outlook(
        "renew", 1, "it was refused and nothing is reserved: it is granted anew, where the rule still matches"
    )


def _over(conn: Connection, row: GrantRow) -> str | None:
    """Say why a refused grant can never be granted anew."""
    if is_pseudonym(row.user_id):
        return "its user was erased"
    again = history.execution_for(conn, row.user_id, row.activity_code, RETRY_SOURCE, str(row.id))
    if again is not None:
        became = again["outcome"] or "is not done"
        return f"it was retried before, by execution {again['id']}: {became}"
    made = grant_retries.granted_by(conn, row.user_id, RETRY_SOURCE, str(row.id))
    if made is not None:
        return f"it was retried before, by grant {made}"
    if history.event_of(conn, row.event_source, row.event_id) is None:
        return "its event was deleted: nobody can say any more what was asked"
    return None


def _live(runtime: Runtime, conn: Connection, code: str, now: datetime) -> TacticsActivity:
    found = activities.current(conn, code)
    if found.status != "live" or found.tripped_at is not None:
        raise TacticsError(f"activity {code!r} is {found.status}")
    activity = runtime.activity(code, found.version)
    if not activity.live_at(now):
        raise TacticsError(f"activity {code!r} is outside its schedule")
    return activity


def _in_the_way(conn: Connection, row: GrantRow, activity: TacticsActivity, now: datetime) -> str | None:
    """Say what would keep granting from giving the same lines at this moment."""
    held = usable_assets(conn, row.user_id, activity.code, now)
    if held:
        return f"the user holds a usable asset of it: {held[0].id}"
    if activity.held_out(row.user_id):
        return "the user belongs to the control group"
    given = grant_retries.given_to(conn, row.user_id, activity.code)
    if given.open_id is not None:
        return f"another grant to the user is open: {given.open_id}"
    if activity.limits.per_user is not None and given.count >= activity.limits.per_user:
        return f"granted {given.count} times, at most {activity.limits.per_user} times a user"
    return _used_up(conn, row, activity, now) or _sold_out(conn, row, activity)


def _used_up(conn: Connection, row: GrantRow, activity: TacticsActivity, now: datetime) -> str | None:
    limits, day = activity.limits, now.astimezone(ZoneInfo(activity.timezone)).date()
    used = grant_retries.used(conn, activity.code, day)
    if limits.per_day is not None and used.get("day", 0) >= limits.per_day:
        return f"all {limits.per_day} grants of {day} are given"
    if limits.budget_minor is not None and used.get("budget", 0) + row.value_minor > limits.budget_minor:
        return f"the budget of {limits.budget_minor} has no {row.value_minor} left"
    return None


def _sold_out(conn: Connection, row: GrantRow, activity: TacticsActivity) -> str | None:
    needed = Counter(line["benefit"] for line in row.lines if line["benefit"] is not None)
    left = grant_retries.left(conn, activity.code, needed)
    for name, wanted in sorted(needed.items()):
        remaining = left.get(name)
        if remaining is not None and remaining < wanted:
            return f"no stock of {name!r} is left"
        one = activity.benefits.get(name)
        if one is not None and one.codes is not None and grant_retries.codes_left(conn, activity.code, name) < wanted:
            return f"no code of {name!r} is left"
    return None
