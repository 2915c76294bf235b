"""A visit to a placement: who is shown what, what is granted for it, and what happens when it is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.config import Settings
from tactics.errors import Busy, IdempotencyConflict, UnknownChannel
from tactics.flows import placement, setup
from tactics.flows.placement import PlacementRequest, all_busy
from tactics.store import events, lease
from tests.driving import NOON, Drive, Maker, acted, after, became, satisfied
from tests.making import document

COUNTS = "SELECT will_send_count, state, usable FROM grant_record ORDER BY user_id, activity_code, 1"


def _checkout(code: str = "camp18", **changes: Any) -> dict[str, Any]:
    """Give an activity that needs no preparation."""
    return document(code=code, channels={"prepare": [], "grant": ["home_banner"]}, **changes)


def _rule(*actions: rules.Block, when: Any = None) -> dict[str, Any]:
    return rules.to_json(rules.so(when, *actions) if when is not None else rules.so(*actions))


def _needs_vip() -> dict[str, Any]:
    return _rule(rules.send_coupon("c18"), when=rules.equals(rules.user_attribute("vip"), True))


def _asset(part: Any) -> dict[str, Any]:
    (found,) = part["assets"]
    return dict(found)


def _reasons(answer: placement.PlacementAnswer) -> dict[str, str]:
    return {part["activity"]: part["reason"] for part in answer.not_shown}


def test_benefit_is_granted_reused_and_granted_again_when_spent(drive: Drive) -> None:
    """A user holds one usable benefit at a time: it is shown until it is spent, then the next is granted and counted."""
    drive.load(document())
    drive.happen(satisfied("1"))
    held = []
    for cycle in (1, 2, 3):
        (first,) = drive.visit("1", at=after(hours=cycle)).results
        (again,) = drive.visit("1", at=after(hours=cycle)).results
        assert (first["outcome"], again["outcome"]) == ("granted", "reused")
        assert _asset(first) == _asset(again)
        assert _asset(first)["status"] == "available"
        held.append(_asset(first)["asset_id"])
        drive.happen(became(held[-1], "redeemed", at=after(hours=cycle)))
    assert len(set(held)) == 3
    assert drive.rows(COUNTS) == [(1, "granted", False), (2, "granted", False), (3, "granted", False)]
    assert drive.rows("SELECT idempotency_id FROM grant_record WHERE will_send_count = 2") == [("camp18:1:2",)]
    assert drive.rows("SELECT remaining FROM benefit") == [(7,)]
    assert drive.rows("SELECT topic, key FROM outbox ORDER BY id") == [
        ("tactics.granted", f"camp18:1:{count}") for count in (1, 2, 3)
    ]


def test_answer_says_what_the_contract_says(drive: Drive) -> None:
    """An answer carries activity, execution, outcome, words, asset and items; a part not shown its reason and words."""
    drive.load(document(), document(code="other", template_type="full_link_v2", rule=_needs_vip()))
    setup.import_items(drive.runtime, [{"item_id": "7", "title": "Tea", "price_minor": 800, "currency": "USD"}])
    drive.happen(acted("1", item_id="7"), satisfied("1"))
    answer = drive.visit("1", placement="top").to_json()
    (shown,) = answer["results"]
    assert {name: shown[name] for name in ("activity", "outcome", "placement", "items")} == {
        "activity": "camp18",
        "outcome": "granted",
        "placement": "top",
        "items": [{"item_id": "7", "title": "Tea", "price_minor": 800, "currency": "USD"}],
    }
    assert answer["execution_ids"][0] == shown["execution_id"]
    (asset,) = shown["assets"]
    assert asset["valid_from"] == NOON.isoformat()
    assert asset["valid_until"] == "2018-01-01T00:00:00+00:00"
    assert {name: asset[name] for name in ("benefit", "kind", "status", "value_minor", "currency")} == {
        "benefit": "c18",
        "kind": "coupon",
        "status": "available",
        "value_minor": 500,
        "currency": "USD",
    }
    assert asset["code"] in shown["expression"]["text"]
    (hidden,) = answer["not_shown"]
    assert (hidden["activity"], hidden["reason"]) == ("other", "unknown")
    assert "vip" in hidden["text"]
    trace = drive.rows("SELECT trace FROM execution WHERE link = 'grant' AND activity_code = 'other'")[0][0]
    assert [(step["step"], step["outcome"]) for step in trace] == [
        ("check_event", "ran"),
        ("load_prepared", "ran"),
        ("check_rule", "stopped: unknown"),
        ("query_asset", "passed"),
        ("send_benefit", "passed"),
        ("build_result", "passed"),
        ("finish_execution", "ran"),
    ]


def test_placement_needs_the_behaviour_of_this_user(drive: Drive) -> None:
    """Until its own behaviour prepared it, a user's instance answers `not_prepared`; another's does not help."""
    drive.load(document())
    drive.happen(satisfied("2"))
    assert drive.outcome("1") == "not_prepared"
    drive.happen(satisfied("1"))
    assert drive.outcome("1") == "granted"


def test_unknown_channel_is_refused_and_a_known_one_may_be_empty(drive: Drive) -> None:
    """A code that no activity ever had is an error; one whose activities do not run now is answered with nothing."""
    drive.load(document())
    with pytest.raises(UnknownChannel, match="'nowhere'"):
        drive.visit("1", "nowhere")
    with pytest.raises(UnknownChannel):
        drive.visit("1", "bought")
    answer = drive.visit("1", at=after(days=90))
    assert (answer.execution_ids, answer.results, answer.not_shown) == ([], [], [])
    assert drive.value("SELECT outcome FROM event WHERE type = 'placement'") == "no_match"
    setup.pause(drive.runtime, "camp18")
    assert drive.visit("1").not_shown == []


def test_lost_prepared_data_is_made_again_as_it_was(drive: Drive) -> None:
    """With Redis emptied a placement prepares its instance again, with what was there, and leaves it for the next."""
    drive.load(document())
    setup.import_items(drive.runtime, [{"item_id": "7", "title": "Tea", "price_minor": 800, "currency": "USD"}])
    drive.happen(acted("1", item_id="7"), satisfied("1"))
    before = drive.visit("1").results[0]["items"]
    key = b"tactics:prepared:camp18:1"
    stored = drive.runtime.redis.get(key)
    drive.forget()
    assert drive.visit("1").results[0]["items"] == before != []
    rebuilt = (
        "SELECT count(*) FROM execution, jsonb_array_elements(trace) AS s WHERE s->>'step' LIKE 'load_prepared >%'"
    )
    assert drive.value(rebuilt) == 2
    assert drive.value("SELECT count(*) FROM execution WHERE link = 'prepare'") == 1
    assert drive.runtime.redis.get(key) not in {None, stored}
    assert drive.visit("1").results[0]["items"] == before
    assert drive.value(rebuilt) == 2


@pytest.mark.parametrize(
    "other",
    [
        b'{"epoch":99,"source":"shop","event":"first","data":{"items":[{"item_id":"wrong"}]}}',
        b'{"epoch":1,"source":"shop","event":"another","data":{"items":[{"item_id":"wrong"}]}}',
        b'{"epoch":1,"source":"shop","event":"first","data":[]}',
        b"\xff",
    ],
)
def test_foreign_prepared_data_reads_as_missing(drive: Drive, other: bytes) -> None:
    """Prepared data of another epoch or event, and rubbish, is not used: the instance is prepared again."""
    drive.load(document())
    setup.import_items(drive.runtime, [{"item_id": "7", "title": "Tea"}])
    drive.happen(acted("1", item_id="7"), satisfied("1", id="first"))
    drive.runtime.redis.set("tactics:prepared:camp18:1", other)
    assert [item["item_id"] for item in drive.visit("1").results[0]["items"]] == ["7"]


def test_newest_behaviour_is_what_the_placement_finds(drive: Drive) -> None:
    """A second behaviour event prepares the instance anew, and the placement shows what that one saw."""
    drive.load(document())
    drive.happen(satisfied("1"))
    drive.happen(acted("1", item_id="9", at=after(minutes=1)), satisfied("1", at=after(minutes=2)))
    assert [item["item_id"] for item in drive.visit("1", at=after(minutes=3)).results[0]["items"]] == ["9"]


def test_rule_decides_with_a_reason(drive: Drive) -> None:
    """A rule that does not hold answers `not_matched` with the reason, one that cannot be told `unknown`."""
    drive.load(document(rule=_needs_vip()))
    setup.import_users(drive.runtime, [{"user_id": "1", "vip": True}, {"user_id": "2", "vip": False}])
    drive.happen(*[satisfied(user) for user in "123"])
    assert [drive.outcome(user) for user in "123"] == ["granted", "not_matched", "unknown"]
    (refused,) = drive.visit("2").not_shown
    assert "vip" in refused["text"]
    assert drive.value("SELECT reason FROM execution WHERE user_id = '2' AND link = 'grant' LIMIT 1") == refused["text"]


def test_rule_that_gives_nothing_grants_nothing(drive: Drive) -> None:
    """A bare condition that holds chooses no benefit, so nothing is granted."""
    drive.load(_checkout(rule=rules.to_json(rules.exists(rules.event_attribute("page")))))
    assert drive.outcome("1", attributes={"page": "x"}) == "not_matched"
    assert drive.rows(COUNTS) == []


def test_rules_see_the_placement_request(drive: Drive) -> None:
    """Request attributes are the rule's `event`, its order the rule's `order`, behaviours what the user did by then."""
    vip = rules.equals(rules.event_attribute("page"), "cart")
    big = rules.amount_at_least(rules.order_amount(), 1000)
    bought = rules.amount_at_least(rules.behaviour_count("purchase", 3600), 1)
    drive.load(_checkout(rule=_rule(rules.send_coupon("c18"), when=vip & big & bought)))
    request = {
        "attributes": {"page": "cart"},
        "order": {"lines": [{"item_id": "7", "quantity": 2, "price_minor": 500}]},
    }
    assert drive.outcome("1", **request) == "not_matched"
    drive.happen(acted("1", at=after(minutes=-30)))
    assert drive.outcome("1", **request, at=after(minutes=31)) == "not_matched"
    assert drive.outcome("1", **{**request, "attributes": {"page": "home"}}) == "not_matched"
    assert drive.outcome("1", attributes={"page": "cart"}) == "unknown"
    assert drive.outcome("1", **request) == "granted"


def test_stock_ends(drive: Drive) -> None:
    """The stock is given out and not one more; who has one keeps it."""
    drive.load(_checkout(benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": 2}}))
    assert [drive.outcome(user) for user in "123"] == ["granted", "granted", "sold_out"]
    assert drive.outcome("1") == "reused"
    assert drive.value("SELECT remaining FROM benefit") == 0
    assert drive.value("SELECT count(*) FROM grant_record") == 2


def test_what_was_not_granted_leaves_no_trace_in_the_counters(drive: Drive) -> None:
    """A grant refused by its last line takes back the lines before, the day's and the budget's count, and its record."""
    benefits = {"a": {"kind": "coupon", "value_minor": 5, "codes": ["x"]}, "b": {"kind": "coupon", "stock": 0}}
    both = _rule(rules.send_coupon("a"), rules.send_coupon("b"))
    drive.load(_checkout(rule=both, benefits=benefits, limits={"per_day": 5, "budget_minor": 50}))
    assert drive.outcome("1") == "sold_out"
    assert drive.rows("SELECT remaining FROM benefit ORDER BY code") == [(1,), (0,)]
    assert drive.rows("SELECT asset_id FROM benefit_code") == [(None,)]
    assert drive.rows("SELECT used FROM limit_counter WHERE used > 0") == drive.rows(COUNTS) == []


def test_limit_per_user(drive: Drive) -> None:
    """A user gets so many grants and no more; what it holds is still shown."""
    drive.load(_checkout(limits={"per_user": 2}))
    for cycle in (1, 2):
        (result,) = drive.visit("1").results
        assert result["outcome"] == "granted"
        assert drive.outcome("1") == "reused"
        drive.happen(became(_asset(result)["asset_id"], "redeemed"))
        assert drive.value("SELECT max(will_send_count) FROM grant_record") == cycle
    assert drive.outcome("1") == "limit"
    assert drive.outcome("2") == "granted"


def test_limit_per_day_is_of_the_activity_s_day(drive: Drive) -> None:
    """The day of a limit is that of the activity's time zone: in Shanghai it ends at 16:00 UTC."""
    drive.load(_checkout(limits={"per_day": 1}, timezone="Asia/Shanghai"))
    assert drive.outcome("1", at=after(hours=3.9)) == "granted"
    assert drive.outcome("2", at=after(hours=3.95)) == "limit"
    assert drive.outcome("2", at=after(hours=4)) == "granted"
    assert drive.rows("SELECT scope, period, used FROM limit_counter ORDER BY period") == [
        ("day", "2017-11-01", 1),
        ("day", "2017-11-02", 1),
    ]


def test_budget_is_never_exceeded(drive: Drive) -> None:
    """Grants stop where the next would go over the budget; what is left stays unspent."""
    drive.load(_checkout(limits={"budget_minor": 1200}))
    assert [drive.outcome(user) for user in "123"] == ["granted", "granted", "limit"]
    assert drive.rows("SELECT scope, used FROM limit_counter") == [("budget", 1000)]


def test_control_group_is_fixed_counted_and_granted_nothing(drive: Drive) -> None:
    """The users held out are always the same, close to the share asked for; each is counted, none is granted."""
    drive.load(_checkout(holdout_percent=30, benefits={"c18": {"kind": "coupon", "value_minor": 5}}))
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
    drive.load(_checkout(benefits={"c18": {"kind": "coupon", "value_minor": 5, "validity_s": 60}}))
    assert drive.outcome("1") == "granted"
    assert drive.outcome("1", at=after(seconds=59)) == "reused"
    assert drive.outcome("1", at=after(seconds=60)) == "granted"
    assert drive.rows("SELECT status FROM asset ORDER BY valid_from") == [("expired",), ("available",)]
    assert drive.rows(COUNTS) == [(1, "granted", False), (2, "granted", True)]


def test_released_benefit_is_usable_again_beside_the_next(drive: Drive) -> None:
    """A cancelled order gives the benefit back: it is shown again, nothing new is granted while one is usable."""
    drive.load(_checkout())
    first = _asset(drive.visit("1").results[0])["asset_id"]
    drive.happen(became(first, "redeemed"), became(first, "released"))
    assert _asset(drive.visit("1").results[0])["asset_id"] == first
    drive.happen(became(first, "redeemed"))
    second = _asset(drive.visit("1").results[0])["asset_id"]
    drive.happen(became(first, "released"))
    (both,) = drive.visit("1").results
    assert (both["outcome"], {one["asset_id"] for one in both["assets"]}) == ("reused", {first, second})
    drive.happen(became(second, "redeemed"))
    assert _asset(drive.visit("1").results[0])["asset_id"] == first
    drive.happen(became(first, "revoked"))
    assert drive.outcome("1") == "granted"
    assert [row[0] for row in drive.rows(COUNTS)] == [1, 2, 3]


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
    drive.load(_checkout(rule=_rule(*actions), benefits=benefits))
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
    codes = {name: [_asset(drive.visit(user, name).results[0])["code"] for user in "12"] for name, _ in made}
    assert codes["generic"] == ["ALL", "ALL"]
    assert codes["pool"] == ["B", "A"]
    assert len(set(codes["unique"])) == 2
    assert {len(code) for code in codes["unique"]} == {12}
    assert drive.outcome("3", "pool") == "sold_out"
    assert drive.value("SELECT count(*) FROM benefit_code c JOIN asset a ON a.id = c.asset_id") == 2


def test_condition_that_holds_several_times_gives_so_many(drive: Drive) -> None:
    """With multiplicity a coupon is given so many times, each with a code and from stock; points are multiplied."""
    when = rules.amount_at_least(rules.order_amount(), 1000, enable_multiple=True, max_multiple=2)
    rule = _rule(rules.send_coupon("c18"), rules.give_points(10), when=when)
    drive.load(_checkout(rule=rule))
    order = {"lines": [{"item_id": "7", "quantity": 5, "price_minor": 1000}]}
    (result,) = drive.visit("1", order=order).results
    assert [one["kind"] for one in result["assets"]] == ["coupon", "coupon", "points"]
    assert len({one["code"] for one in result["assets"][:2]}) == 2
    assert result["assets"][2]["points"] == 20
    assert drive.value("SELECT remaining FROM benefit") == 8


def test_activities_of_one_placement_do_not_disturb_each_other(drive: Drive) -> None:
    """All activities on the channel run, by priority and code; one that breaks is told as `error`, the rest go on."""
    drive.load(*[_checkout(code, priority=priority) for code, priority in (("b", 1), ("a", 1), ("top", 9), ("bad", 5))])
    drive.run("UPDATE benefit SET remaining = NULL, stock_initial = NULL WHERE activity_code <> 'bad'")
    drive.run("ALTER TABLE benefit ADD CONSTRAINT broken CHECK (activity_code <> 'bad' OR remaining = 10)")
    answer = drive.visit("1")
    assert [part["activity"] for part in answer.results] == ["top", "a", "b"]
    assert _reasons(answer) == {"bad": "error"}
    assert len(answer.execution_ids) == 4
    ((outcome, reason),) = drive.rows("SELECT outcome, reason FROM execution WHERE activity_code = 'bad'")
    assert outcome == "error"
    assert reason.startswith("send_benefit: IntegrityError")
    assert "broken" not in answer.not_shown[0]["text"]
    drive.run("ALTER TABLE benefit DROP CONSTRAINT broken")
    assert drive.value("SELECT count(*) FROM grant_record WHERE activity_code = 'bad'") == 0
    assert drive.visit("1").results[1]["outcome"] == "granted"


def _order_of(drive: Drive, **options: Any) -> tuple[str | None, dict[str, str]]:
    answer = drive.visit("1", best_only=True, **options)
    return (answer.results[0]["activity"] if answer.results else None), _reasons(answer)


def test_best_only_takes_priority_then_value_then_code(drive: Drive) -> None:
    """Only the best activity runs: by priority, then by the largest value it can reach, then by code; the rest lose."""

    def one(code: str, priority: int, value: int) -> dict[str, Any]:
        return _checkout(
            code, priority=priority, benefits={"c18": {"kind": "coupon", "value_minor": value, "stock": 1}}
        )

    drive.load(one("a", 0, 900), one("b", 1, 100), one("d", 1, 700), one("c", 1, 700))
    lost = {"outranked"}
    for user, winner in (("1", "c"), ("2", "d"), ("3", "b"), ("4", "a")):
        answer = drive.visit(user, best_only=True)
        assert [part["activity"] for part in answer.results] == [winner]
        assert {reason for code, reason in _reasons(answer).items() if code > winner or code == "a"} <= {
            *lost,
            "sold_out",
        }
    assert drive.rows("SELECT activity_code, user_id FROM grant_record ORDER BY 2") == [
        ("c", "1"),
        ("d", "2"),
        ("b", "3"),
        ("a", "4"),
    ]
    assert drive.visit("5", best_only=True).results == []
    assert _order_of(drive) == ("c", {"d": "outranked", "b": "outranked", "a": "outranked"})


def test_best_only_goes_on_after_a_refusal_and_stops_at_an_error(drive: Drive) -> None:
    """Sold out or not matched lets the next one run; an error or a busy instance may still become a grant, so it stops."""
    drive.load(_checkout("a", priority=2, rule=_needs_vip()), _checkout("b", priority=1), _checkout("c"))
    assert _order_of(drive) == ("b", {"a": "unknown", "c": "outranked"})
    setup.import_users(drive.runtime, [{"user_id": "1", "vip": True}])
    drive.run("ALTER TABLE asset ADD CONSTRAINT broken CHECK (activity_code <> 'a') NOT VALID")
    assert _order_of(drive) == (None, {"a": "error", "b": "outranked", "c": "outranked"})
    drive.runtime.redis.set(lease.lease_key("a", "1"), "somebody:1:x")
    assert _order_of(drive) == (None, {"a": "busy", "b": "outranked", "c": "outranked"})


def test_same_key_is_answered_the_same(drive: Drive) -> None:
    """The same Idempotency-Key and body give the same answer and grant nothing more, whatever changed meanwhile."""
    drive.load(_checkout("a"), _checkout("b", rule=_needs_vip()), _checkout("c", priority=-1))
    first = drive.visit("1", key="k").to_json()
    drive.happen(became(first["results"][0]["assets"][0]["asset_id"], "redeemed"))
    setup.import_users(drive.runtime, [{"user_id": "1", "vip": True}])
    setup.pause(drive.runtime, "c")
    assert drive.visit("1", key="k").to_json() == first
    assert drive.visit("1", key="k", at=after(days=80)).to_json() == first
    assert drive.value("SELECT count(*) FROM execution") == 3
    assert [part["outcome"] for part in drive.visit("1", key="other").results] == ["granted", "granted"]
    assert [part["outcome"] for part in drive.visit("1", key="k", source="another").results] == ["reused", "reused"]


@pytest.mark.parametrize("best_only", [True, False])
def test_same_key_with_best_only(drive: Drive, best_only: bool) -> None:
    """A repeated request keeps winner and losers, though another would win now."""
    drive.load(_checkout("a", priority=1), _checkout("b"))
    first = drive.visit("1", key="k", best_only=best_only).to_json()
    drive.load(_checkout("b", priority=5), _checkout("late", priority=9))
    assert drive.visit("1", key="k", best_only=best_only).to_json() == first


@pytest.mark.parametrize(
    "other",
    [{"attributes": {"a": 1}}, {"order": {"lines": []}}, {"best_only": True}, {"placement": "x"}, {"language": "zh"}],
)
def test_same_key_with_another_body_conflicts(drive: Drive, other: dict[str, Any]) -> None:
    """A key that was used for another request, of whatever difference, is refused; the first answer stays."""
    drive.load(_checkout())
    first = drive.visit("1", key="k").to_json()
    with pytest.raises(IdempotencyConflict, match="'k'"):
        drive.visit("1", key="k", **other)
    with pytest.raises(IdempotencyConflict):
        drive.visit("2", key="k")
    assert drive.visit("1", key="k").to_json() == first


def test_request_in_flight_under_the_same_key_is_refused(drive: Drive) -> None:
    """While a key is being answered its twin is told so, and the mark goes with the answer."""
    drive.load(_checkout())
    mark = lease.twin_mark(placement.SOURCE, "k")
    drive.runtime.redis.set(mark.key, "another process")
    with pytest.raises(Busy, match="'k'"):
        drive.visit("1", key="k")
    assert drive.value("SELECT count(*) FROM execution") == 0
    drive.runtime.redis.delete(mark.key)
    assert drive.outcome("1", key="k") == "granted"
    assert drive.runtime.redis.exists(mark.key) == 0


def test_twin_that_was_faster_is_answered_from(drive: Drive) -> None:
    """With the mark lost, a request that finds its twin's execution written answers with the twin's answer."""
    drive.load(_checkout())
    request = PlacementRequest("1", "home_banner", key="k", at=NOON)
    late = placement._begin(drive.app, request)
    first = drive.visit("1", key="k")
    assert placement._run(late, late.candidates[0]) == first.results[0]
    assert [row[0] for row in drive.rows(COUNTS)] == [1]


def test_twin_with_another_body_never_sees_the_first_answer(drive: Drive) -> None:
    """Two requests under one key that began before either was stored: the slower one, of another user, conflicts."""
    drive.load(_checkout())
    late = placement._begin(drive.app, PlacementRequest("2", "home_banner", key="k", at=NOON))
    drive.visit("1", key="k")
    with pytest.raises(IdempotencyConflict):
        placement._run(late, late.candidates[0])
    assert drive.rows("SELECT user_id FROM grant_record") == [("1",)]


def test_abandoned_placement_writes_nothing_more(drive: Drive) -> None:
    """A placement given up at its deadline grants nothing later, and its key answers as it was answered: incomplete."""
    drive.load(_checkout())
    late = placement._begin(drive.app, PlacementRequest("1", "home_banner", key="k", at=NOON))
    with drive.runtime.engine.begin() as conn:
        events.abandon(conn, late.event)
    placement._run(late, late.candidates[0])
    assert drive.rows(COUNTS) == []
    again = drive.visit("1", key="k")
    assert (again.complete, again.to_json()) == (False, {"execution_ids": []})
    assert drive.value("SELECT remaining FROM benefit") == 10


def test_busy_instance_is_told_and_free_ones_go_on(drive: Drive) -> None:
    """Who finds another execution on the instance is told `busy` at once; other activities and users are not."""
    drive.load(_checkout("a"), _checkout("b"))
    drive.runtime.redis.set(lease.lease_key("a", "1"), "somebody:1:x")
    answer = drive.visit("1")
    assert (_reasons(answer), [part["activity"] for part in answer.results]) == ({"a": "busy"}, ["b"])
    assert not all_busy(answer)
    drive.runtime.redis.set(lease.lease_key("b", "1"), "somebody:1:x")
    assert all_busy(drive.visit("1"))
    assert len(drive.visit("2").results) == 2
    assert drive.runtime.redis.get(lease.lease_key("a", "1")) == b"somebody:1:x"


@pytest.mark.parametrize(
    ("request_lock", "activity_lock", "locked"),
    [(None, None, True), (None, False, False), (False, None, False), (False, True, False), (True, False, True)],
)
def test_who_decides_about_the_lock(
    drive: Drive, request_lock: bool | None, activity_lock: bool | None, locked: bool
) -> None:
    """The request decides whether an instance is locked, else the activity, else the template; without, none waits."""
    drive.load(_checkout(lock=activity_lock) if activity_lock is not None else _checkout())
    drive.runtime.redis.set(lease.lease_key("camp18", "1"), "somebody:1:x")
    assert drive.outcome("1", lock=request_lock) == ("busy" if locked else "granted")
    drive.forget()
    drive.visit("1", lock=request_lock)
    assert drive.rows("SELECT DISTINCT locked FROM execution") == [(locked,)]
    assert drive.runtime.redis.keys("tactics:lease:*") == []


def test_placement_works_without_redis(settings: Settings, driven: Maker) -> None:
    """With Redis away a placement is answered and granted all the same, also under a key."""
    driven().load(document(), document(code="b", channels={"prepare": [], "grant": ["home_banner"]}))
    driven().happen(satisfied("1"))
    away = driven(redis_url="redis://127.0.0.1:1/0")
    answer = away.visit("1", key="k")
    assert [part["outcome"] for part in answer.results] == ["granted", "granted"]
    assert away.visit("1", key="k").to_json() == answer.to_json()


def test_words_are_in_the_caller_s_language(drive: Drive) -> None:
    """Words follow the language asked for, English otherwise; an activity's own come first, with its values filled in."""
    own = {"en": "{value} with {code} until {until}", "zh": {"title": "立减", "text": "减 {value}"}}
    benefits = {"c18": {"kind": "coupon", "value_minor": 500, "code": "X"}}
    drive.load(
        document(code="own", channels={"grant": ["own"]}, benefits=benefits, expression=own),
        document(code="std", channels={"grant": ["std"]}, benefits=benefits),
    )

    def words(channel: str, language: str) -> tuple[str, str]:
        found = drive.visit("1", channel, language=language).results[0]["expression"]
        return found["title"], found["text"]

    assert words("own", "en") == ("", "5.00 USD with X until 2018-01-01")
    assert words("own", "zh-TW") == ("立减", "减 5.00 USD")
    assert words("own", "fr") == words("own", "en")
    assert words("std", "zh") == ("5.00 USD 优惠券", "下单时使用优惠码 X, 立减 5.00 USD")
    assert (
        words("std", "fr")
        == words("std", "en")
        == ("A coupon of 5.00 USD", "Use code X at the checkout and save 5.00 USD.")
    )


def test_business_time_is_the_database_s_unless_replayed(driven: Maker) -> None:
    """Outside replay a placement counts by the database's clock, and a time in the request changes nothing."""
    drive = driven(replay=False)
    always = {"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}
    drive.load(_checkout("now", schedule=always), _checkout("then"))
    assert [part["activity"] for part in drive.visit("1", at=NOON).results] == ["now"]
    assert drive.value("SELECT now() - business_at < interval '1 minute' FROM execution") is True
