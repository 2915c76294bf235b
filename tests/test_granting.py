"""The grant: exactly once, whatever the user does with it, whatever the limits say, and while the asset query fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from tactics.domain.asset import AssetChange
from tactics.errors import Conflict, NotFound
from tactics.flows.erasure import erase_user
from tactics.flows.reconcile import reconcile
from tactics.granting import change_asset
from tactics.store import assets as asset_store
from tactics.store.audit import audit
from tests.driving import NOON, Drive
from tests.making import document

GRANTS = "SELECT will_send_count, assets_unknown FROM grant_record WHERE user_id = '1' ORDER BY 1"


def _open(code: str = "camp18", **changes: Any) -> dict[str, Any]:
    return document(code=code, channels={"prepare": [], "grant": [code]}, **changes)


def _change(drive: Drive, asset_id: str, change: AssetChange, now: datetime = NOON, at: datetime | None = None) -> str:
    with drive.runtime.engine.begin() as conn:
        return change_asset(conn, UUID(asset_id), change, now, at=at).status


def _visit(drive: Drive, user: str = "1", **options: Any) -> dict[str, Any]:
    answer = drive.visit(user, "camp18", **options)
    (part,) = [*answer.results, *answer.not_shown]
    return dict(part)


def _audited(drive: Drive) -> list[str]:
    with drive.runtime.engine.connect() as conn:
        return [finding.text for finding in audit(conn)]


def test_failing_asset_query_and_a_user_who_has_nothing(drive: Drive) -> None:
    """Without an answer of the asset port a first-time user is granted number 1, and the answer is tagged."""
    drive.load(_open())
    drive.assets.failing = True
    part = _visit(drive)
    assert (part["outcome"], part["assets"][0]["status"]) == ("granted", "available")
    assert "reconciled" in part["notes"][0]
    assert drive.rows(GRANTS) == [(1, True)]
    assert drive.rows("SELECT assets_unknown FROM execution") == [(True,)]
    assert _visit(drive)["outcome"] == "reused"
    assert drive.rows(GRANTS) == [(1, True)]


def test_failing_asset_query_and_a_user_who_holds_something(drive: Drive) -> None:
    """Without an answer of the asset port the transaction still sees what is usable, and shows it."""
    drive.load(_open())
    held = _visit(drive)["assets"]
    drive.assets.failing = True
    part = _visit(drive)
    assert (part["outcome"], part["assets"]) == ("reused", held)
    assert drive.rows(GRANTS) == [(1, False)]


@pytest.mark.parametrize("spent", [1, 2])
def test_failing_asset_query_and_a_user_who_spent_it(drive: Drive, spent: int) -> None:
    """Without an answer of the asset port a repeat user gets no second grant, and nothing spent is shown as usable."""
    drive.load(_open())
    first = None
    for _ in range(spent):
        one = _visit(drive)["assets"][0]["asset_id"]
        first = first or one
        _change(drive, one, "redeemed")
    drive.assets.failing = True
    part = _visit(drive)
    assert part["outcome"] == "replayed"
    assert [(one["asset_id"], one["status"]) for one in part["assets"]] == [(first, "redeemed")]
    assert part["expression"]["text"] == "You have had this benefit already."
    assert drive.rows(GRANTS) == [(number + 1, False) for number in range(spent)]
    assert drive.value("SELECT remaining FROM benefit") == 10 - spent
    drive.assets.failing = False
    assert _visit(drive)["outcome"] == "granted"
    assert _audited(drive) == []


def test_tagged_answers_are_reconciled_once_the_port_answers(drive: Drive) -> None:
    """Tagged executions are looked at again when assets can be asked for, each once; while they cannot, none is."""
    drive.load(_open())
    drive.assets.failing = True
    for user in "123":
        _visit(drive, user)
    pending = "SELECT count(*) FROM execution WHERE assets_unknown AND reconciled_at IS NULL"
    assert (reconcile(drive.runtime), drive.value(pending)) == (0, 3)
    drive.assets.failing = False
    _visit(drive, "4")
    assert drive.sweep()["reconciled"] == 3
    assert (drive.value(pending), reconcile(drive.runtime)) == (0, 0)
    assert drive.value("SELECT count(*) FROM execution WHERE reconciled_at IS NOT NULL") == 3


def test_open_grant_is_waited_for(drive: Drive) -> None:
    """While a grant of the instance is open nothing else is granted: the answer is `pending`, and keeps its count."""
    drive.load(_open())
    for state in ("pending", "unknown", "parked"):
        _visit(drive, state)
        drive.run("DELETE FROM asset WHERE user_id = :state", state=state)
        drive.run("UPDATE grant_record SET state = :state, usable = false WHERE user_id = :state", state=state)
        part = _visit(drive, state)
        assert (part["outcome"], part["assets"]) == ("pending", [])
        assert drive.value("SELECT count(*) FROM grant_record WHERE user_id = :state", state=state) == 1


def test_refused_grant_keeps_its_count_and_takes_no_limit(drive: Drive) -> None:
    """A grant refused elsewhere is not the user's: the next one is granted under the next count, within the limit."""
    drive.load(_open(limits={"per_user": 1}))
    _visit(drive)
    drive.run("DELETE FROM asset")
    drive.run("UPDATE grant_record SET state = 'refused', usable = false")
    assert _visit(drive)["outcome"] == "granted"
    assert drive.rows("SELECT will_send_count, state FROM grant_record ORDER BY 1") == [(1, "refused"), (2, "granted")]


def test_what_can_become_of_an_asset(drive: Drive) -> None:
    """The changes allowed are made, each repeat changes nothing, and any other is refused and leaves it as it was."""
    drive.load(_open())
    histories: list[tuple[list[AssetChange], AssetChange]] = [
        (["claimed", "redeemed", "redeemed", "released", "released", "revoked", "revoked"], "claimed"),
        (["redeemed"], "claimed"),
        (["redeemed"], "revoked"),
        (["revoked"], "redeemed"),
        (["claimed"], "released"),
    ]
    for number, (changes, refused) in enumerate(histories):
        asset_id = _visit(drive, str(number))["assets"][0]["asset_id"]
        for change in changes:
            status = _change(drive, asset_id, change)
            assert status == ("available" if change == "released" else change)
        with pytest.raises(Conflict, match=f"cannot be {refused}") as raised:
            _change(drive, asset_id, refused)
        stored = drive.value("SELECT status FROM asset WHERE id::text = :id", id=asset_id)
        assert raised.value.fields["asset_status"] == stored == status
    with pytest.raises(NotFound):
        _change(drive, str(uuid4()), "redeemed")


def test_an_asset_whose_user_is_erased_meanwhile(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found, and gone when the lock is had: there is no such asset, and nothing of the user comes back."""
    drive.load(_open())
    asset = _visit(drive)["assets"][0]["asset_id"]
    find = asset_store.find

    def found_before(conn: Connection, asset_id: UUID) -> object:
        found = find(conn, asset_id)
        erase_user(drive.runtime, "1")
        return found

    monkeypatch.setattr(asset_store, "find", found_before)
    with pytest.raises(NotFound):
        _change(drive, asset, "redeemed")
    assert drive.value("SELECT count(*) FROM instance WHERE user_id = '1'") == 0


def test_a_time_to_come_overtakes_nothing(drive: Drive) -> None:
    """A change reported under a time that is still to come counts as now: what happens later is not taken for older."""
    drive.load(_open())
    asset_id = _visit(drive)["assets"][0]["asset_id"]
    assert _change(drive, asset_id, "claimed", at=NOON + timedelta(days=100)) == "claimed"
    assert _change(drive, asset_id, "redeemed", NOON + timedelta(minutes=1)) == "redeemed"
    assert _change(drive, asset_id, "released", NOON + timedelta(minutes=2), at=NOON) == "redeemed"
    assert _change(drive, asset_id, "released", NOON + timedelta(minutes=2)) == "available"


def test_who_waited_for_the_lock_comes_after_who_held_it(drive: Drive) -> None:
    """A change that says no time is the latest, also when its transaction began before that of the change before."""
    drive.load(_open())
    asset_id = _visit(drive)["assets"][0]["asset_id"]
    assert _change(drive, asset_id, "redeemed", NOON + timedelta(minutes=1)) == "redeemed"
    assert _change(drive, asset_id, "released", NOON) == "available"
    # What was known before stays known: the release came after the redemption.
    later = NOON + timedelta(minutes=2)
    assert _change(drive, asset_id, "redeemed", later, at=NOON + timedelta(seconds=30)) == "available"


# --- any sequence of what users do ----------------------------------------------------------------------------------

_AFTER: dict[str, dict[str, str]] = {
    "claimed": {"available": "claimed"},
    "redeemed": {"available": "redeemed", "claimed": "redeemed"},
    "released": {"redeemed": "available"},
    "revoked": {"available": "revoked", "claimed": "revoked"},
}
_VALUE, _VALIDITY_S = 500, 3 * 3600
_codes = count(1)


@dataclass
class _Held:
    """A grant of one asset, as the model knows it."""

    count: int
    until: datetime
    asset_id: str = ""
    status: str = "available"


@dataclass
class _Model:
    """What the rules say must come of it, worked out without a database."""

    stock: int
    per_user: int
    per_day: int
    budget: int
    held: dict[str, list[_Held]] = field(default_factory=dict)
    days: dict[Any, int] = field(default_factory=dict)
    spent: int = 0

    def visit(self, user: str, now: datetime, *, glitch: bool) -> tuple[str, set[str]]:
        """Give the outcome, and the assets that the answer shows."""
        mine = self.held.setdefault(user, [])
        for one in mine:
            if one.status in {"available", "claimed"} and one.until <= now:
                one.status = "expired"
        usable = {one.asset_id for one in mine if one.status in {"available", "claimed"}}
        if usable:
            return "reused", usable
        if glitch and mine:
            return "replayed", {mine[0].asset_id}
        if len(mine) >= self.per_user or self.days.get(now.date(), 0) >= self.per_day:
            return "limit", set()
        if self.spent + _VALUE > self.budget:
            return "limit", set()
        if self.stock == 0:
            return "sold_out", set()
        self.stock -= 1
        self.spent += _VALUE
        self.days[now.date()] = self.days.get(now.date(), 0) + 1
        mine.append(_Held(len(mine) + 1, now + timedelta(seconds=_VALIDITY_S)))
        return "granted", set()

    def change(self, one: _Held, change: str, now: datetime) -> bool:
        """Change an asset; tell whether that is allowed."""
        wanted = _AFTER[change].get(one.status)
        if wanted is None:
            return one.status in _AFTER[change].values()
        if one.status in {"available", "claimed"} and one.until <= now:
            return False
        one.status = wanted
        return True


_USERS = ("1", "2", "3")
_VISIT = st.tuples(st.just("visit"), st.sampled_from(_USERS), st.booleans())
_TOUCH = st.tuples(st.sampled_from(sorted(_AFTER)), st.sampled_from(_USERS), st.integers(0, 9))
_WAIT = st.tuples(st.just("wait"), st.just(""), st.integers(1, 14))
_ACTS = st.lists(st.one_of(_VISIT, _VISIT, _TOUCH, _TOUCH, _WAIT), min_size=6, max_size=30)
_LIMITS = st.fixed_dictionaries(
    {
        "stock": st.integers(0, 6),
        "per_user": st.integers(1, 3),
        "per_day": st.integers(1, 4),
        "budget": st.integers(0, 6).map(lambda grants: grants * _VALUE + 7),
    }
)


def test_any_history_is_what_the_rules_say(drive: Drive) -> None:
    """Whatever users do in whatever order: each answer is the one that the rules give, counts have no gaps, stock and
    limits add up, and never is more than one unreleased benefit of an instance usable.
    """

    @given(_LIMITS, _ACTS)
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    def happens(limits: dict[str, Any], acts: list[tuple[str, str, Any]]) -> None:
        model, code = _Model(**limits), f"g{next(_codes)}"
        benefit = {"kind": "coupon", "value_minor": _VALUE, "stock": model.stock, "validity_s": _VALIDITY_S}
        bounds = {"per_user": model.per_user, "per_day": model.per_day, "budget_minor": model.budget}
        drive.load(_open(code, benefits={"c18": benefit}, limits=bounds))
        now = NOON
        for name, user, detail in acts:
            if name == "wait":
                now += timedelta(hours=detail)
            elif name == "visit":
                _visit_both(drive, model, code, user, now, glitch=detail)
            elif model.held.get(user):
                one = model.held[user][detail % len(model.held[user])]
                assert _is_changed(drive, one.asset_id, name, now) is model.change(one, name, now)
        _check_against(drive, model, code)

    happens()
    assert _audited(drive) == []


def _is_changed(drive: Drive, asset_id: str, change: Any, now: datetime) -> bool:
    try:
        _change(drive, asset_id, change, now)
    except Conflict:
        return False
    return True


def _visit_both(drive: Drive, model: _Model, code: str, user: str, now: datetime, *, glitch: bool) -> None:
    drive.assets.failing = glitch
    answer = drive.visit(user, code, at=now)
    (part,) = [*answer.results, *answer.not_shown]
    expected, shown = model.visit(user, now, glitch=glitch)
    assert part.get("outcome", part.get("reason")) == expected
    if expected == "granted":
        (asset,) = part["assets"]
        model.held[user][-1].asset_id = asset["asset_id"]
    elif expected in {"reused", "replayed"}:
        assert {one["asset_id"] for one in part["assets"]} == shown


def _check_against(drive: Drive, model: _Model, code: str) -> None:
    stored = drive.rows(
        "SELECT g.user_id, g.will_send_count, a.id::text, a.status FROM grant_record g JOIN asset a ON a.grant_id = g.id"
        " WHERE g.activity_code = :code ORDER BY 1, 2",
        code=code,
    )
    assert stored == [
        (user, one.count, one.asset_id, one.status) for user in sorted(model.held) for one in model.held[user]
    ]
    assert drive.value("SELECT remaining FROM benefit WHERE activity_code = :code", code=code) == model.stock
    used = drive.rows("SELECT scope, sum(used) FROM limit_counter WHERE activity_code = :code GROUP BY 1", code=code)
    assert dict(used).get("budget", 0) == model.spent <= model.budget


def test_limits_at_their_ends(drive: Drive) -> None:
    """A limit of zero grants nothing, a budget is spent to its last unit, and what is worth nothing passes any."""
    ends: list[tuple[dict[str, int], int, str]] = [
        ({"per_user": 0}, 5, "limit"),
        ({"per_day": 0}, 5, "limit"),
        ({"budget_minor": 4}, 5, "limit"),
        ({"budget_minor": 5}, 5, "granted"),
        ({"budget_minor": 0}, 0, "granted"),
    ]
    for number, (limits, value_minor, outcome) in enumerate(ends):
        benefits = {"c18": {"kind": "coupon", "value_minor": value_minor}}
        drive.load(_open(f"end{number}", limits=limits, benefits=benefits))
        assert drive.outcome("1", f"end{number}") == outcome
