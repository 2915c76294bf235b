"""A visit to a placement: who is shown what, in whose words, and what it takes to be granted something."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.config import Settings
from tactics.errors import UnknownChannel
from tactics.flows import setup
from tactics.flows.placement import all_busy
from tactics.store import lease
from tests.driving import (
    NOON,
    Drive,
    Maker,
    acted,
    after,
    asset_of,
    at_checkout,
    became,
    needs_vip,
    reasons_of,
    rule_of,
    satisfied,
)
from tests.making import document

COUNTS = "SELECT will_send_count, state, usable FROM grant_record ORDER BY user_id, activity_code, 1"


def test_benefit_is_granted_reused_and_granted_again_when_spent(drive: Drive) -> None:
    """A user holds one usable benefit at a time: it is shown until it is spent, then the next is granted and counted."""
    drive.load(document())
    drive.happen(satisfied("1"))
    held = []
    for cycle in (1, 2, 3):
        (first,) = drive.visit("1", at=after(hours=cycle)).results
        (again,) = drive.visit("1", at=after(hours=cycle)).results
        assert (first["outcome"], again["outcome"]) == ("granted", "reused")
        assert asset_of(first) == asset_of(again)
        assert asset_of(first)["status"] == "available"
        held.append(asset_of(first)["asset_id"])
        drive.happen(became(held[-1], "redeemed", at=after(hours=cycle)))
    assert len(set(held)) == 3
    assert drive.rows(COUNTS) == [(1, "granted", False), (2, "granted", False), (3, "granted", False)]
    assert drive.rows("SELECT idempotency_id FROM grant_record WHERE will_send_count = 2") == [("camp18:1:2",)]
    assert drive.rows("SELECT remaining FROM benefit") == [(7,)]
    assert drive.rows("SELECT topic, key FROM outbox ORDER BY id") == [
        told
        for count, asset_id in enumerate(held, start=1)
        for told in (("tactics.granted", f"camp18:1:{count}"), ("tactics.redeemed", asset_id))
    ]


def test_answer_says_what_the_contract_says(drive: Drive) -> None:
    """An answer carries activity, execution, outcome, words, asset and items; a part not shown its reason and words."""
    drive.load(document(), document(code="other", template_type="full_link_v2", rule=needs_vip()))
    setup.import_items(drive.runtime, [{"item_id": "7", "title": "Tea", "price_minor": 800, "currency": "USD"}])
    drive.happen(acted("1", item_id="7"), satisfied("1"))
    answer = drive.visit("1", placement="top").to_json()
    (shown,) = answer["results"]
    assert {name: shown[name] for name in ("activity", "outcome", "placement", "items")} == {
        "activity": "camp18",
        "outcome": "granted",
        "placement": "top",
        "items": [{"item_id": "7", "title": "Tea", "price_minor": 800, "currency": "USD", "text": "8.00 USD"}],
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
    assert drive.value(rebuilt) == 3
    assert drive.value("SELECT count(*) FROM execution WHERE link = 'prepare'") == 1
    assert drive.runtime.redis.get(key) not in {None, stored}
    assert drive.visit("1").results[0]["items"] == before
    assert drive.value(rebuilt) == 3


FOREIGN = (
    b'{"epoch":99,"source":"shop","event":"for-%d","data":{"items":[{"item_id":"wrong"}]}}',
    b'{"epoch":1,"source":"shop","event":"another%d","data":{"items":[{"item_id":"wrong"}]}}',
    b'{"epoch":1,"source":"shop","event":"for-%d","data":[]}',
    b"\xff%d",
)


def test_foreign_prepared_data_reads_as_missing(drive: Drive) -> None:
    """Prepared data of another epoch or event, and rubbish, is not used: the instance is prepared again."""
    drive.load(document())
    for number, other in enumerate(FOREIGN):
        user = str(number)
        drive.happen(acted(user, item_id="7"), satisfied(user, id=f"for-{number}"))
        drive.runtime.redis.set(f"tactics:prepared:camp18:{user}", other % number)
        assert [item["item_id"] for item in drive.visit(user).results[0]["items"]] == ["7"]


def test_newest_behaviour_is_what_the_placement_finds(drive: Drive) -> None:
    """A second behaviour event prepares the instance anew, and the placement shows what that one saw."""
    drive.load(document())
    drive.happen(satisfied("1"))
    drive.happen(acted("1", item_id="9", at=after(minutes=1)), satisfied("1", at=after(minutes=2)))
    assert [item["item_id"] for item in drive.visit("1", at=after(minutes=3)).results[0]["items"]] == ["9"]


def test_rule_decides_with_a_reason(drive: Drive) -> None:
    """A rule that does not hold answers `not_matched` with the reason, one that cannot be told `unknown`."""
    drive.load(document(rule=needs_vip()))
    setup.import_users(drive.runtime, [{"user_id": "1", "vip": True}, {"user_id": "2", "vip": False}])
    drive.happen(*[satisfied(user) for user in "123"])
    assert [drive.outcome(user) for user in "123"] == ["granted", "not_matched", "unknown"]
    (refused,) = drive.visit("2").not_shown
    assert "vip" in refused["text"]
    assert drive.value("SELECT reason FROM execution WHERE user_id = '2' AND link = 'grant' LIMIT 1") == refused["text"]


def test_rule_that_gives_nothing_grants_nothing(drive: Drive) -> None:
    """A bare condition that holds chooses no benefit, so nothing is granted."""
    drive.load(at_checkout(rule=rules.to_json(rules.exists(rules.event_attribute("page")))))
    assert drive.outcome("1", attributes={"page": "x"}) == "not_matched"
    assert drive.rows(COUNTS) == []


def test_rules_see_the_placement_request(drive: Drive) -> None:
    """Request attributes are the rule's `event`, its order the rule's `order`, behaviours what the user did by then."""
    vip = rules.equals(rules.event_attribute("page"), "cart")
    big = rules.amount_at_least(rules.order_amount(), 1000)
    bought = rules.amount_at_least(rules.behaviour_count("purchase", 3600), 1)
    drive.load(at_checkout(rule=rule_of(rules.send_coupon("c18"), when=vip & big & bought)))
    request: dict[str, Any] = {
        "attributes": {"page": "cart"},
        "order": {"lines": [{"item_id": "7", "quantity": 2, "price_minor": 500}]},
    }
    assert drive.outcome("1", **request) == "not_matched"
    drive.happen(acted("1", at=after(minutes=-30)))
    assert drive.outcome("1", **request, at=after(minutes=31)) == "not_matched"
    assert drive.outcome("1", **{**request, "attributes": {"page": "home"}}) == "not_matched"
    assert drive.outcome("1", attributes={"page": "cart"}) == "unknown"
    assert drive.outcome("1", **request) == "granted"


def test_busy_instance_is_told_and_free_ones_go_on(drive: Drive) -> None:
    """Who finds another execution on the instance is told `busy` at once; other activities and users are not."""
    drive.load(at_checkout("a"), at_checkout("b"))
    drive.runtime.redis.set(lease.lease_key("a", "1"), "somebody:1:x")
    answer = drive.visit("1")
    assert (reasons_of(answer), [part["activity"] for part in answer.results]) == ({"a": "busy"}, ["b"])
    assert not all_busy(answer)
    drive.runtime.redis.set(lease.lease_key("b", "1"), "somebody:1:x")
    assert all_busy(drive.visit("1"))
    assert len(drive.visit("2").results) == 2
    assert drive.runtime.redis.get(lease.lease_key("a", "1")) == b"somebody:1:x"


def test_who_decides_about_the_lock(drive: Drive) -> None:
    """The request decides whether an instance is locked, else the activity, else the template; without, none waits."""
    decisions = [
        (None, None, True),
        (None, False, False),
        (False, None, False),
        (False, True, False),
        (True, False, True),
    ]
    for number, (request_lock, activity_lock, locked) in enumerate(decisions):
        code = f"a{number}"
        own = {} if activity_lock is None else {"lock": activity_lock}
        drive.load(document(code=code, channels={"prepare": [], "grant": [code]}, **own))
        drive.runtime.redis.set(lease.lease_key(code, "1"), "somebody:1:x")
        assert drive.outcome("1", code, lock=request_lock) == ("busy" if locked else "granted")
        drive.forget()
        drive.visit("1", code, lock=request_lock)
        stored = drive.rows("SELECT DISTINCT locked FROM execution WHERE activity_code = :code", code=code)
        assert stored == [(locked,)]
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
    drive.load(at_checkout("now", schedule=always), at_checkout("then"))
    assert [part["activity"] for part in drive.visit("1", at=NOON).results] == ["now"]
    assert drive.value("SELECT now() - business_at < interval '1 minute' FROM execution") is True
