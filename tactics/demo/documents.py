"""Says a campaign as an activity document, the form that `tactics activity import` reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tactics.demo.catalogue import CURRENCY
from tactics.demo.data import SHOP_TIMEZONE, day_start_s

if TYPE_CHECKING:
    from datetime import date

    from tactics.demo.data import Campaign, Data

PLACEMENT = "home_banner"
DAY_S = 86_400
BOUGHT_AT_LEAST = 3
BOUGHT_WITHIN_S = 3 * DAY_S
COOLDOWN_S = DAY_S
VALIDITY_S = 7 * DAY_S
STOCK_PER_HUNDRED_TARGETED = 90
"""Coupons per hundred targeted households of the slice: few enough for some to come too late."""
BUDGET_PER_HUNDRED_OF_STOCK = 110
"""The budget is there for when somebody adds stock; until then the stock ends first."""
GRANTS_PER_USER = 3
GRANTS_PER_DAY = 10_000


def code(campaign: Campaign) -> str:
    """The activity's code; also the name of its item set."""
    return f"camp{campaign.number}"


def activity(campaign: Campaign, value_minor: int, targeted: int) -> dict[str, Any]:
    """A campaign as an activity: who shops for its items gets its coupon on the next visit.

    It runs on the shop's days of the campaign, both ends included, so the schedule's end is the start of the day after.

    Args:
        campaign: the campaign.
        value_minor: what its coupon is worth, in cents.
        targeted: how many households of the replay it was mailed to; the stock follows from it.

    Returns:
        the document, of plain JSON values, with its behaviour rule under `behaviour_rules`.
    """
    benefit = f"c{campaign.number}"
    rule_key = f"{code(campaign)}_bought"
    stock = max(1, targeted * STOCK_PER_HUNDRED_TARGETED // 100)
    return {
        "code": code(campaign),
        "template_type": "full_link_v3",
        "tool_type": "coupon",
        "priority": 10,
        "currency": CURRENCY,
        "timezone": SHOP_TIMEZONE,
        "schedule": {"from": _instant(campaign.first_day), "to": _instant(campaign.last_day + timedelta(days=1))},
        "channels": {"prepare": [rule_key], "grant": [PLACEMENT]},
        "behaviour_rules": {rule_key: {"rule": _bought(campaign), "cooldown_s": COOLDOWN_S}},
        "rule": {
            "so": {
                "when": _targeted(campaign),
                "then": [{"block": "pbb.action.send_coupon", "params": {"benefit": benefit}}],
            }
        },
        "benefits": {
            benefit: {"kind": "coupon", "value_minor": value_minor, "validity_s": VALIDITY_S, "stock": stock},
        },
        "limits": {
            "per_user": GRANTS_PER_USER,
            "per_day": GRANTS_PER_DAY,
            "budget_minor": stock * value_minor * BUDGET_PER_HUNDRED_OF_STOCK // 100 + value_minor,
        },
        "holdout_percent": 0,
        "expression": {
            "en": f"${value_minor / 100:.2f} off the brands you buy, this week",
            "zh": f"常购品牌本周立减 ${value_minor / 100:.2f}",
        },
    }


def coupon_value(data: Data, campaign: Campaign, items: list[int]) -> int:
    """What a campaign's coupon is worth, in cents.

    The data does not say. It says what coupons took off each line, so this is the median of that over the lines where
    a mailed household used a coupon on one of the campaign's items during the campaign; over all coupon lines of the
    year where there is none such.
    """
    used = data.lines.filter(pc.greater(data.lines["coupon_minor"], 0))
    own = used.filter(
        pc.and_(
            pc.and_(
                pc.greater_equal(used["at_s"], day_start_s(campaign.first_day)),
                pc.less(used["at_s"], day_start_s(campaign.last_day + timedelta(days=1))),
            ),
            pc.and_(
                pc.is_in(used["item"], value_set=pa.array(items, pa.int64())),
                pc.is_in(used["household"], value_set=pa.array(sorted(campaign.households), pa.int64())),
            ),
        )
    )
    lines = own if own.num_rows else used
    return int(median_low(lines["coupon_minor"].to_pylist()))


def _targeted(campaign: Campaign) -> dict[str, Any]:
    mailed = {"block": "pbb.resource.user_attribute", "params": {"name": "campaigns"}}
    return {"block": "pbb.condition.has_member", "params": {"value": mailed, "member": str(campaign.number)}}


def _bought(campaign: Campaign) -> dict[str, Any]:
    window = {"action": "purchase", "window_s": BOUGHT_WITHIN_S, "item_set": code(campaign)}
    bought = {"block": "pbb.resource.behaviour_quantity", "params": window}
    enough = {"block": "pbb.condition.amount_at_least", "params": {"amount": bought, "amount_at": BOUGHT_AT_LEAST}}
    return {"and": [_targeted(campaign), enough]}


def _instant(day: date) -> str:
    return datetime.fromtimestamp(day_start_s(day), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
