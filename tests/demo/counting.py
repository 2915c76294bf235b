"""What a plan must come to, worked out a second time in plain Python, knowing nothing of the engine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tactics.demo.plan import Plan
from tactics.demo.stream import Basket, Redemption

WITHIN = timedelta(days=3)
COOLDOWN = timedelta(days=1)
VALID = timedelta(days=7)
PIECES = 3
GRANTS = 3


@dataclass
class _Household:
    bought: list[tuple[datetime, int]] = field(default_factory=list)
    fired: list[datetime] = field(default_factory=list)
    prepared: bool = False
    granted: list[datetime] = field(default_factory=list)
    spent: set[datetime] = field(default_factory=set)

    def held(self, at: datetime) -> list[datetime]:
        return [one for one in self.granted if one not in self.spent and one <= at < one + VALID]


class Count:
    """Walks through a plan of one campaign; `found` has the figures by their names in the summary."""

    def __init__(self, plan: Plan) -> None:
        (activity,) = plan.activities
        self.members = set(plan.item_sets[activity["code"]])
        self.opens, self.closes = (datetime.fromisoformat(activity["schedule"][end]) for end in ("from", "to"))
        (benefit,) = activity["benefits"].values()
        self.stock = benefit["stock"]
        number = str(plan.campaigns[0].number)
        self.mailed = {user["user_id"] for user in plan.users if number in user["attributes"]["campaigns"]}
        self.households = {user["user_id"]: _Household() for user in plan.users}
        self.found: Counter[str] = Counter()
        for day in plan.days():
            for baskets in day.rounds:
                for basket in baskets:
                    self._visit(basket)
                for basket in baskets:
                    self._buy(basket)
            for redemption in day.redemptions:
                self._redeem(redemption)

    def _visit(self, basket: Basket) -> None:
        household, at = self.households[basket.user_id], basket.at
        self.found["placements"] += 1
        if not self.opens <= at < self.closes:
            return
        if not household.prepared:
            self.found["not_eligible"] += 1
        elif household.held(at):
            self.found["reuses"] += 1
        elif len(household.granted) == GRANTS:
            self.found["not_eligible"] += 1
        elif self.stock == 0:
            self.found["sold_out"] += 1
        else:
            self.found["grants"] += 1
            self.stock -= 1
            household.granted.append(at)

    def _buy(self, basket: Basket) -> None:
        household, at = self.households[basket.user_id], basket.at
        self.found["actions"] += len(basket.actions)
        for action in basket.actions:
            if basket.user_id not in self.mailed or action.data["item_id"] not in self.members:
                continue
            before = sum(pieces for when, pieces in household.bought if when > at - WITHIN)
            household.bought.append((at, action.data["quantity"]))
            if not before < PIECES <= before + action.data["quantity"]:
                continue
            if any(at - when < COOLDOWN for when in household.fired):
                continue
            household.fired.append(at)
            self.found["behaviour_events"] += 1
            if self.opens <= at < self.closes:
                self.found["preparations"] += 1
                household.prepared = True

    def _redeem(self, redemption: Redemption) -> None:
        household = self.households[redemption.user_id]
        held = household.held(redemption.at)
        if held:
            household.spent.add(held[0])
            self.found["redemptions"] += 1
