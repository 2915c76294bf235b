"""The plan: documents of the right shape, a catalogue that covers the stream, the same plan every time."""

from __future__ import annotations

import json
from statistics import median_low
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from tactics.demo.choice import choose
from tactics.demo.plan import make_plan

if TYPE_CHECKING:
    from tactics.demo.data import Data
    from tactics.demo.plan import Plan


def test_two_plans_are_equal(data: Data, plan: Plan) -> None:
    """The same choice gives the same documents, users, items, redemptions and stream."""
    again = make_plan(choose(), data)
    assert again == plan
    assert list(again.days()) == list(plan.days())
    assert make_plan(choose({13}, 2_000), data) != plan


def test_the_activity_document_has_the_designs_form(plan: Plan) -> None:
    """Campaign 18 becomes the document that `tactics activity import` reads, of JSON values only."""
    (activity,) = plan.activities
    assert json.loads(json.dumps(activity)) == activity
    assert {
        key: activity[key] for key in ("code", "template_type", "tool_type", "priority", "currency", "timezone")
    } == {
        "code": "camp18",
        "template_type": "full_link_v3",
        "tool_type": "coupon",
        "priority": 10,
        "currency": "USD",
        "timezone": "America/New_York",
    }
    assert activity["schedule"] == {"from": "2017-10-30T04:00:00Z", "to": "2017-12-25T05:00:00Z"}
    assert activity["channels"] == {"prepare": ["camp18_bought"], "grant": ["home_banner"]}
    assert activity["limits"] == {"per_user": 3, "per_day": 10_000, "budget_minor": 23_420}
    assert activity["benefits"] == {
        "c18": {"kind": "coupon", "value_minor": 100, "validity_s": 604_800, "stock": 212},
    }
    assert set(activity["expression"]) == {"en", "zh"}
    assert set(activity) == {
        "code", "template_type", "tool_type", "priority", "currency", "timezone", "schedule", "channels",
        "behaviour_rules", "rule", "benefits", "limits", "holdout_percent", "expression",
    }  # fmt: skip


def test_the_rules_ask_for_the_mailing_and_the_purchases(plan: Plan) -> None:
    """Preparation asks for the mailing and three pieces in three days; the grant asks for the mailing."""
    (activity,) = plan.activities
    mailed = {
        "block": "pbb.condition.has_member",
        "params": {
            "value": {"block": "pbb.resource.user_attribute", "params": {"name": "campaigns"}},
            "member": "18",
        },
    }
    window = {"action": "purchase", "window_s": 259_200, "item_set": "camp18"}
    bought = {
        "block": "pbb.condition.amount_at_least",
        "params": {"amount": {"block": "pbb.resource.behaviour_quantity", "params": window}, "amount_at": 3},
    }
    assert activity["behaviour_rules"] == {"camp18_bought": {"rule": {"and": [mailed, bought]}, "cooldown_s": 86_400}}
    send = {"block": "pbb.action.send_coupon", "params": {"benefit": "c18"}}
    assert activity["rule"] == {"so": {"when": mailed, "then": [send]}}


def test_stock_is_short_of_the_mailed_users(plan: Plan) -> None:
    """There are fewer coupons than mailed users, so that some come too late."""
    (activity,) = plan.activities
    mailed = sum("18" in user["attributes"]["campaigns"] for user in plan.users)
    assert mailed == plan.counts["targeted_users"]
    assert 0 < activity["benefits"]["c18"]["stock"] < mailed < len(plan.users)


def test_users_carry_their_mailings_and_demographics(data: Data, plan: Plan) -> None:
    """A user's attributes are the campaigns mailed to the household and what the data knows of it."""
    for user in plan.users:
        household = int(user["user_id"])
        attributes = dict(user["attributes"])
        campaigns = attributes.pop("campaigns")
        assert campaigns == [str(c.number) for c in data.campaigns.values() if household in c.households]
        assert attributes == data.demographics.get(household, {})
    assert sum(len(user["attributes"]) > 1 for user in plan.users) > 50


def test_the_catalogue_covers_the_stream_and_the_item_sets(plan: Plan) -> None:
    """Every action's user and item, and every member of an item set, is among what the plan imports."""
    users = {user["user_id"] for user in plan.users}
    items = {item["item_id"] for item in plan.items}
    actions = [a for day in plan.days() for each in day.rounds for basket in each for a in basket.actions]
    assert {action.data["user_id"] for action in actions} == users
    assert {action.data["item_id"] for action in actions} <= items
    assert set(plan.item_sets) == {"camp18"}
    assert set(plan.item_sets["camp18"]) <= items
    assert (len(users), len(items)) == (plan.counts["users"], plan.counts["items"])


def test_an_item_set_is_the_campaigns_coupon_products(data: Data, plan: Plan) -> None:
    """The set has each product of the campaign's coupons that was ever sold, once; the rest is counted."""
    coupons = zip(data.coupons["campaign"].to_pylist(), data.coupons["item"].to_pylist(), strict=True)
    wanted = {item for campaign, item in coupons if campaign == 18}
    sold = set(pc.unique(data.lines.filter(pc.greater(data.lines["quantity"], 0))["item"]).to_pylist())
    members = plan.item_sets["camp18"]
    assert sorted(map(int, members)) == sorted(wanted & sold)
    assert plan.left_out["items"]["never_sold"] == len(wanted - sold)


def test_prices_are_median_unit_prices(data: Data, plan: Plan) -> None:
    """An item's price is the lower median of what one piece of it brought, in whole cents."""
    assert all(isinstance(item["price_minor"], int) and item["price_minor"] >= 0 for item in plan.items)
    priced = {item["item_id"]: item["price_minor"] for item in plan.items}
    for item_id in [item["item_id"] for item in plan.items[:: len(plan.items) // 8]]:
        rows = data.lines.filter(pc.equal(data.lines["item"], int(item_id))).to_pylist()
        prices = [round(row["amount_minor"] / row["quantity"]) for row in rows if row["quantity"]]
        assert priced[item_id] == median_low(prices)


def test_items_have_words(plan: Plan) -> None:
    """Each item has a category and a title to show, a currency, and no empty attributes."""
    for item in plan.items:
        assert set(item) == {"item_id", "category", "title", "price_minor", "currency", "attributes"}
        assert item["category"]
        assert item["title"]
        assert item["currency"] == "USD"
        assert all(item["attributes"].values())


def test_every_campaign_makes_an_activity(data: Data) -> None:
    """With all campaigns chosen there are 27 activities, each with stock, a value, and its own item set and rule key."""
    whole = make_plan(choose(set(data.campaigns), 5_000), data)
    codes = [activity["code"] for activity in whole.activities]
    assert codes == [f"camp{number}" for number in range(1, 28)]
    assert list(whole.item_sets) == codes
    for activity in whole.activities:
        (benefit,) = activity["benefits"].values()
        assert benefit["stock"] >= 1
        assert benefit["value_minor"] > 0
        assert activity["channels"]["prepare"] == list(activity["behaviour_rules"])
    assert all(whole.item_sets.values())
