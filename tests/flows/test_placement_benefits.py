"""What placements grant: lines, codes and times of benefits, within stock, limits and the control group."""

from __future__ import annotations

from typing import Any

from tactics import rules
from tests.driving import (
    Drive,
    after,
    asset_of,
    at_checkout,
    became,
    rule_of,
)
from tests.making import document

COUNTS = "SELECT will_send_count, state, usable FROM grant_record ORDER BY user_id, activity_code, 1"


def test_stock_ends(drive: Drive) -> None:
    """The stock is given out and not one more; who has one keeps it."""
    drive.load(at_checkout(benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": 2}}))
    assert [drive.outcome(user) for user in "123"] == ["granted", "granted", "sold_out"]
    assert drive.outcome("1") == "reused"
    assert drive.value("SELECT remaining FROM benefit") == 0
    assert drive.value("SELECT count(*) FROM grant_record") == 2


def test_what_was_not_granted_leaves_no_trace_in_the_counters(drive: Drive) -> None:
    """A grant refused by its last line takes back the lines before, the day's and the budget's count, and its record."""
    benefits = {"a": {"kind": "coupon", "value_minor": 5, "codes": ["x"]}, "b": {"kind": "coupon", "stock": 0}}
    both = rule_of(rules.send_coupon("a"), rules.send_coupon("b"))
    drive.load(at_checkout(rule=both, benefits=benefits, limits={"per_day": 5, "budget_minor": 50}))
    assert drive.outcome("1") == "sold_out"
    assert drive.rows("SELECT remaining FROM benefit ORDER BY code") == [(1,), (0,)]
    assert drive.rows("SELECT asset_id FROM benefit_code") == [(None,)]
    assert drive.rows("SELECT used FROM limit_counter WHERE used > 0") == drive.rows(COUNTS) == []


def test_limit_per_user(drive: Drive) -> None:
    """A user gets so many grants and no more; what it holds is still shown."""
    drive.load(at_checkout(limits={"per_user": 2}))
    for cycle in (1, 2):
        (result,) = drive.visit("1").results
        assert result["outcome"] == "granted"
        assert drive.outcome("1") == "reused"
        drive.happen(became(asset_of(result)["asset_id"], "redeemed"))
        assert drive.value("SELECT max(will_send_count) FROM grant_record") == cycle
    assert drive.outcome("1") == "limit"
    assert drive.outcome("2") == "granted"


def test_limit_per_day_is_of_the_activity_s_day(drive: Drive) -> None:
    """The day of a limit is that of the activity's time zone: in Shanghai it ends at 16:00 UTC."""
    drive.load(at_checkout(limits={"per_day": 1}, timezone="Asia/Shanghai"))
    assert drive.outcome("1", at=after(hours=3.9)) == "granted"
    assert drive.outcome("2", at=after(hours=3.95)) == "limit"
    assert drive.outcome("2", at=after(hours=4)) == "granted"
    assert drive.rows("SELECT scope, period, used FROM limit_counter ORDER BY period") == [
        ("day", "2017-11-01", 1),
        ("day", "2017-11-02", 1),
    ]


def test_budget_is_never_exceeded(drive: Drive) -> None:
    """Grants stop where the next would go over the budget; what is left stays unspent."""
    drive.load(at_checkout(limits={"budget_minor": 1200}))
    assert [drive.outcome(user) for user in "123"] == ["granted", "granted", "limit"]
    assert drive.rows("SELECT scope, used FROM limit_counter") == [("budget", 1000)]


def test_control_group_is_fixed_counted_and_granted_nothing(drive: Drive) -> None:
    """The users held out are always the same, close to the share asked for; each is counted, none is granted."""
    drive.load(at_checkout(holdout_percent=30, benefits={"c18": {"kind": "coupon", "value_minor": 5}}))
    users = [str(number) for number in range(60)]
    first = {user: drive.outcome(user) for user in users}
    held_out = {user for user, outcome in first.items() if outcome == "holdout"}
    assert {user for user in users if drive.outcome(user) == "holdout"} == held_out
    assert 8 <= len(held_out) <= 28
    assert {user for user, outcome in first.items() if outcome == "granted"} == set(users) - held_out
    granted = {user for (user,) in drive.rows("SELECT DISTINCT user_id FROM grant_record")}
    assert granted == set(users) - held_out
    counted = drive.rows("SELECT DISTINCT user_id FROM execution WHERE outcome = 'holdout'")
    assert {user for (user,) in counted} == held_out


def test_expired_benefit_is_followed_by_the_next(drive: Drive) -> None:
    """A benefit is usable to the end of its validity and not a moment longer; then the next one is granted."""
    drive.load(at_checkout(benefits={"c18": {"kind": "coupon", "value_minor": 5, "validity_s": 60}}))
    assert drive.outcome("1") == "granted"
    assert drive.outcome("1", at=after(seconds=59)) == "reused"
    assert drive.outcome("1", at=after(seconds=60)) == "granted"
    assert drive.rows("SELECT status FROM asset ORDER BY valid_from") == [("expired",), ("available",)]
    assert drive.rows(COUNTS) == [(1, "granted", False), (2, "granted", True)]


def test_released_benefit_is_usable_again_beside_the_next(drive: Drive) -> None:
    """A cancelled order gives the benefit back: it is shown again, nothing new is granted while one is usable."""
    drive.load(at_checkout())
    first = asset_of(drive.visit("1").results[0])["asset_id"]
    drive.happen(became(first, "redeemed", at=after(seconds=1)), became(first, "released", at=after(seconds=2)))
    assert asset_of(drive.visit("1").results[0])["asset_id"] == first
    drive.happen(became(first, "redeemed", at=after(seconds=3)))
    second = asset_of(drive.visit("1").results[0])["asset_id"]
    drive.happen(became(first, "released", at=after(seconds=4)))
    (both,) = drive.visit("1").results
    assert (both["outcome"], {one["asset_id"] for one in both["assets"]}) == ("reused", {first, second})
    drive.happen(became(second, "redeemed", at=after(seconds=5)))
    assert asset_of(drive.visit("1").results[0])["asset_id"] == first
    drive.happen(became(first, "revoked", at=after(seconds=6)))
    assert drive.outcome("1") == "granted"
    assert [row[0] for row in drive.rows(COUNTS)] == [1, 2, 3]


def test_control_group_keeps_what_it_holds(drive: Drive) -> None:
    """A user who is held out from a new version on still sees the benefit in hand, and gets no other."""
    drive.load(at_checkout())
    held = asset_of(drive.visit("1").results[0])["asset_id"]
    drive.load(at_checkout(holdout_percent=100))
    assert asset_of(drive.visit("1").results[0])["asset_id"] == held
    drive.happen(became(held, "redeemed"))
    assert drive.outcome("1") == "holdout"


def test_all_lines_of_a_grant_are_one(drive: Drive) -> None:
    """Coupon, points, price, rebate and gift of one evaluation are the lines of one grant, usable until all are spent."""
    benefits = {
        "c18": {"kind": "coupon", "value_minor": 500, "code": "SAVE5"},
        "p": {"kind": "points", "value_minor": 30, "stock": 9},
        "r": {"kind": "rebate", "validity_s": 60},
    }
    actions = (
        rules.send_coupon("c18"),
        rules.give_points(300),
        rules.item_promotion_price(item_id="7", price_minor=800),
        rules.rebate(percent=5, benefit="r"),
        rules.gift("9", 2),
    )
    drive.load(at_checkout(rule=rule_of(*actions), benefits=benefits))
    (result,) = drive.visit("1").results
    shown = [(one["kind"], one["benefit"], one["value_minor"]) for one in result["assets"]]
    assert shown == [
        ("coupon", "c18", 500),
        ("points", "p", 30),
        ("price", None, 0),
        ("rebate", "r", 0),
        ("gift", None, 0),
    ]
    coupon, points, price, rebate, gift = result["assets"]
    assert (coupon["code"], points["points"], price["item_id"], price["price_minor"]) == ("SAVE5", 300, "7", 800)
    assert (rebate["percent"], gift["item_id"], gift["quantity"]) == (5, "9", 2)
    assert drive.value("SELECT remaining FROM benefit WHERE code = 'p'") == 8
    for one in result["assets"][:-1]:
        drive.happen(became(one["asset_id"], "redeemed"))
        (again,) = drive.visit("1").results
        assert again["outcome"] == "reused"
        assert one["asset_id"] not in {part["asset_id"] for part in again["assets"]}
    drive.happen(became(gift["asset_id"], "redeemed"))
    assert drive.outcome("1") == "granted"
    assert drive.value("SELECT count(*) FROM asset") == 10


def test_coupon_codes(drive: Drive) -> None:
    """A generic code is the same for all, a pool's are each given once in its order, others are made one by one."""
    made: tuple[tuple[str, dict[str, Any]], ...] = (
        ("generic", {"code": "ALL"}),
        ("pool", {"codes": ["B", "A"]}),
        ("unique", {}),
    )
    for name, members in made:
        benefits = {"c18": {"kind": "coupon", **members}}
        drive.load(document(code=name, channels={"prepare": [], "grant": [name]}, benefits=benefits))
    codes = {name: [asset_of(drive.visit(user, name).results[0])["code"] for user in "12"] for name, _ in made}
    assert codes["generic"] == ["ALL", "ALL"]
    assert codes["pool"] == ["B", "A"]
    assert len(set(codes["unique"])) == 2
    assert {len(code) for code in codes["unique"]} == {12}
    assert drive.outcome("3", "pool") == "sold_out"
    assert drive.value("SELECT count(*) FROM benefit_code c JOIN asset a ON a.id = c.asset_id") == 2


def test_condition_that_holds_several_times_gives_so_many(drive: Drive) -> None:
    """With multiplicity a coupon is given so many times, each with a code and from stock; points are multiplied."""
    when = rules.amount_at_least(rules.order_amount(), 1000, enable_multiple=True, max_multiple=2)
    rule = rule_of(rules.send_coupon("c18"), rules.give_points(10), when=when)
    drive.load(at_checkout(rule=rule))
    order = {"lines": [{"item_id": "7", "quantity": 5, "price_minor": 1000}]}
    (result,) = drive.visit("1", order=order).results
    assert [one["kind"] for one in result["assets"]] == ["coupon", "coupon", "points"]
    assert len({one["code"] for one in result["assets"][:2]}) == 2
    assert result["assets"][2]["points"] == 20
    assert drive.value("SELECT remaining FROM benefit") == 8
