"""What the benchmarks run on: one activity, its users, and events that prepare them."""

from __future__ import annotations

from typing import Any

from tactics.celery_app import TacticsApp
from tactics.flows import setup

RULE_KEY, CHANNEL, ACTIVITY = "bench_bought", "bench_banner", "bench"


def document() -> dict[str, Any]:
    """Give the activity: everybody with a level gets a coupon, out of a stock that lasts."""
    level = {"block": "pbb.resource.user_attribute", "params": {"name": "level"}}
    count = {"block": "pbb.resource.behaviour_count", "params": {"action": "purchase", "window_s": 3600}}
    return {
        "code": ACTIVITY,
        "template_type": "full_link_v3",
        "schedule": {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"},
        "channels": {"prepare": [RULE_KEY], "grant": [CHANNEL]},
        "rule": {
            "so": {
                "when": {"block": "pbb.condition.equals", "params": {"value": level, "to": "gold"}},
                "then": [{"block": "pbb.action.send_coupon", "params": {"benefit": "c"}}],
            }
        },
        "benefits": {"c": {"kind": "coupon", "value_minor": 500, "stock": 10_000_000, "validity_s": 86_400}},
        "behaviour_rules": {
            RULE_KEY: {"rule": {"block": "pbb.condition.amount_at_least", "params": {"amount": count, "amount_at": 3}}}
        },
    }


def set_up(app: TacticsApp, users: int) -> None:
    """Import the activity and its users, each of whom has acted on a few items."""
    setup.import_activities(app.runtime, [document()], publish=True)
    setup.import_users(app.runtime, [{"user_id": user(number), "level": "gold"} for number in range(users)])
    items = [{"item_id": str(number), "title": f"Item {number}", "price_minor": 100 + number} for number in range(100)]
    setup.import_items(app.runtime, items)


def user(number: int) -> str:
    """Name a user."""
    return f"u{number}"


def behaviour(number: int, batch: str) -> dict[str, Any]:
    """Give a behaviour event of a user."""
    return {
        "specversion": "1.0",
        "id": f"{batch}-{number}",
        "source": "bench",
        "type": "tactics.behaviour",
        "data": {"user_id": user(number), "rule_key": RULE_KEY},
    }
