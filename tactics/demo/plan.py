"""Turns a choice into a plan: everything that the replay imports and sends, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from tactics.demo import catalogue, documents
from tactics.demo.choice import Choice, cut
from tactics.demo.data import Data, read
from tactics.demo.stream import Day, Redemption, days, redemptions_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from tactics.demo.data import Campaign


@dataclass(frozen=True, slots=True)
class Plan:
    """What to import (`activities`, `users`, `items`, `item_sets`), and what then happened, day by day.

    `counts` says how much there is of each; `left_out` counts, by table and reason, what of the data is not in the
    plan: for `lines`, actions and left-out together are all lines of the data.
    """

    choice: Choice
    campaigns: tuple[Campaign, ...]
    activities: list[dict[str, Any]]
    users: list[dict[str, Any]]
    items: list[dict[str, Any]]
    item_sets: dict[str, list[str]]
    redemptions: tuple[Redemption, ...]
    counts: dict[str, int]
    left_out: dict[str, dict[str, int]]
    lines: pa.Table = field(repr=False)

    def days(self) -> Iterator[Day]:
        """Give the event stream from its beginning, as often as asked."""
        return days(self.lines, self.redemptions, self.campaigns)


def make_plan(choice: Choice, data: Data | None = None) -> Plan:
    """Make the plan of a choice; the same choice gives an equal plan every time.

    Args:
        choice: what to replay, from `choose`.
        data: the data set when it is already read.

    Returns:
        the plan. Its items are those that the slice's baskets and its campaigns' coupons name.

    Raises:
        BadInput: the choice names a campaign that is not in the data.
        NotConfigured: the package with the data is not installed.
    """
    data = data or read()
    part = cut(data, choice)
    households = set(pc.unique(part.lines["household"]).to_pylist())
    couponed = {campaign.number: catalogue.coupon_items(data, campaign) for campaign in part.campaigns}
    wanted = set(pc.unique(part.lines["item"]).to_pylist()).union(*couponed.values())
    items, item_notes = catalogue.items(data, wanted)
    sold = {item["item_id"] for item in items}
    redemptions, redemption_notes = redemptions_in(part.lines, data.redemptions, part.campaigns)
    users = catalogue.users(data, households)
    targeted = households & frozenset[int]().union(*(campaign.households for campaign in part.campaigns))
    return Plan(
        choice=choice,
        campaigns=part.campaigns,
        activities=[
            documents.activity(
                campaign,
                documents.coupon_value(data, campaign, couponed[campaign.number]),
                len(households & campaign.households),
            )
            for campaign in part.campaigns
        ],
        users=users,
        items=items,
        item_sets={
            documents.code(campaign): [str(item) for item in couponed[campaign.number] if str(item) in sold]
            for campaign in part.campaigns
        },
        redemptions=redemptions,
        counts={
            "actions": part.lines.num_rows,
            "baskets": pc.count_distinct(part.lines["basket"]).as_py(),
            "users": len(users),
            "targeted_users": len(targeted),
            "items": len(items),
            "redemptions": len(redemptions),
        },
        left_out={"lines": part.left_out, "redemptions": redemption_notes, "items": item_notes},
        lines=part.lines,
    )
