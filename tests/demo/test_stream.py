"""The stream: ordered, in rounds of one basket per household, with every line and redemption in it once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tactics.demo.choice import choose
from tactics.demo.data import shop_day
from tactics.demo.plan import make_plan

if TYPE_CHECKING:
    from tactics.demo.data import Data
    from tactics.demo.plan import Plan
    from tactics.demo.stream import Basket, Day


@pytest.fixture(scope="module")
def days(plan: Plan) -> list[Day]:
    return list(plan.days())


def _baskets(days: list[Day]) -> list[Basket]:
    return [basket for day in days for each in day.rounds for basket in each]


def test_days_follow_each_other_and_hold_their_own_baskets(days: list[Day]) -> None:
    """Days rise, and each basket stands in the shop's day of its instant."""
    assert [day.day for day in days] == sorted({day.day for day in days})
    for day in days:
        assert all(shop_day(int(basket.at.timestamp())) == day.day for each in day.rounds for basket in each)


def test_a_round_has_one_basket_per_household_in_order_of_time(days: list[Day]) -> None:
    """No household is twice in a round, rounds are never empty, and their baskets are ordered."""
    for day in days:
        for each in day.rounds:
            assert each
            assert max(Counter(basket.user_id for basket in each).values()) == 1
            assert list(each) == sorted(each, key=lambda basket: (basket.at, int(basket.basket_id)))
    assert max(len(day.rounds) for day in days) > 2


def test_a_households_baskets_come_in_order_of_time(days: list[Day]) -> None:
    """Day by day and round by round, time never runs backwards for a household, and no round is skipped."""
    last: dict[str, tuple[object, int]] = {}
    for basket in _baskets(days):
        key = (basket.at, int(basket.basket_id))
        assert basket.user_id not in last or last[basket.user_id] < key
        last[basket.user_id] = key
    for day in days:
        users = [{basket.user_id for basket in each} for each in day.rounds]
        assert all(later <= earlier for earlier, later in pairwise(users))


def test_every_line_is_one_action(plan: Plan, days: list[Day]) -> None:
    """The stream has the slice's lines, each once, with its amounts; event ids never repeat and sort as the lines do."""
    baskets = _baskets(days)
    actions = [action for basket in baskets for action in basket.actions]
    assert (len(actions), len(baskets)) == (plan.counts["actions"], plan.counts["baskets"])
    assert len({action.event_id for action in actions}) == len(actions)
    table = plan.lines.to_pylist()
    assert Counter(
        (a.data["user_id"], a.data["item_id"], a.data["quantity"], a.data["amount_minor"]) for a in actions
    ) == Counter((str(r["household"]), str(r["item"]), r["quantity"], r["amount_minor"]) for r in table)
    for basket in baskets:
        ids = [action.event_id for action in basket.actions]
        assert ids == sorted(ids)
        assert all(event_id.startswith(f"{basket.basket_id}:") for event_id in ids)
        assert all((a.at, a.data["user_id"]) == (basket.at, basket.user_id) for a in basket.actions)


def test_an_action_has_the_fields_of_a_user_action(days: list[Day]) -> None:
    """An action is what an event `tactics.action` carries: whole numbers, at least one piece, nothing negative."""
    for basket in _baskets(days):
        for action in basket.actions:
            assert set(action.data) == {"user_id", "action", "item_id", "quantity", "amount_minor", "attributes"}
            assert action.data["action"] == "purchase"
            assert isinstance(action.data["quantity"], int)
            assert action.data["quantity"] >= 1
            assert isinstance(action.data["amount_minor"], int)
            assert action.data["amount_minor"] >= 0


def test_a_replaced_quantity_is_kept_in_the_attributes(days: list[Day]) -> None:
    """A fill of fuel is one piece, and says how much the data recorded."""
    recorded = [
        action
        for basket in _baskets(days)
        for action in basket.actions
        if "recorded_quantity" in action.data["attributes"]
    ]
    assert recorded
    assert all(action.data["quantity"] == 1 for action in recorded)
    assert max(action.data["attributes"]["recorded_quantity"] for action in recorded) > 1_000


def test_the_campaign_runs_on_its_own_days_only(days: list[Day]) -> None:
    """Before its first day the campaign is not running, from then on it is: the activity's schedule says the same."""
    running = [day.day.isoformat() for day in days if day.campaign_running]
    assert running[0] == "2017-10-30"
    assert [day.day.isoformat() for day in days if not day.campaign_running] == [
        "2017-10-27",
        "2017-10-28",
        "2017-10-29",
    ]


def test_redemptions_are_real_and_fall_on_their_baskets(data: Data, plan: Plan, days: list[Day]) -> None:
    """Each redemption is a row of the data, stands in its day once, and has the instant of a basket of its household."""
    rows = {(str(row.household), row.campaign, row.day, str(row.coupon_upc)) for row in data.redemptions}
    found = [redemption for day in days for redemption in day.redemptions]
    assert tuple(found) == plan.redemptions
    assert len(found) == plan.counts["redemptions"] >= 30
    for day in days:
        last = {basket.user_id: basket.at for each in day.rounds for basket in each}
        for redemption in day.redemptions:
            assert (redemption.user_id, redemption.campaign, day.day, redemption.coupon_upc) in rows
            assert redemption.at == last[redemption.user_id]


def test_every_redemption_is_accounted_for(data: Data, plan: Plan) -> None:
    """Those in the plan and those left out, by reason, are all redemptions of the data."""
    assert len(plan.redemptions) + sum(plan.left_out["redemptions"].values()) == len(data.redemptions)
    whole = make_plan(choose({18}, everything=True), data)
    assert whole.counts["redemptions"] == 653
    assert whole.left_out["redemptions"]["no_basket"] == 0


def test_days_can_be_walked_again(plan: Plan) -> None:
    """The stream starts from its beginning each time it is asked for."""
    assert next(plan.days()) == next(plan.days())
    assert next(plan.days()).day == plan.campaigns[0].first_day - timedelta(days=3)
