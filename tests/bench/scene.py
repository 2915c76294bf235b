"""What the benchmarks run on: activities, users and items, and the events of these users.

Everything comes in as an operator or a producer would bring it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tactics.celery_app import TacticsApp
from tactics.flows import setup

RULE_KEY, CHANNEL, ACTIVITY = "bench_bought", "bench_banner", "bench"
ITEMS = 100
SOURCE = "bench"
_LASTS = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
_WEEK_S = 7 * 86_400


def document(
    code: str = ACTIVITY,
    *,
    rule_key: str = RULE_KEY,
    channel: str = CHANNEL,
    behaviour_rules: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Give an activity: everybody of level gold gets a coupon, out of a stock that lasts.

    Args:
        code: the activity's.
        rule_key: the behaviour rule that prepares it.
        channel: where it is shown.
        behaviour_rules: left out, the one of `rule_key`: three purchases within an hour.
    """
    level = {"block": "pbb.resource.user_attribute", "params": {"name": "level"}}
    return {
        "code": code,
        "template_type": "full_link_v3",
        "schedule": _LASTS,
        "channels": {"prepare": [rule_key], "grant": [channel]},
        "rule": {
            "so": {
                "when": {"block": "pbb.condition.equals", "params": {"value": level, "to": "gold"}},
                "then": [{"block": "pbb.action.send_coupon", "params": {"benefit": "c"}}],
            }
        },
        "benefits": {"c": {"kind": "coupon", "value_minor": 500, "stock": 10_000_000, "validity_s": 86_400}},
        "behaviour_rules": behaviour_rules or {rule_key: at_least(3, action="purchase", window_s=3600)},
    }


def at_least(times: int, **counted: Any) -> dict[str, Any]:
    """Give a behaviour rule: so many actions of a kind, within a week unless `window_s` says otherwise."""
    count = {"block": "pbb.resource.behaviour_count", "params": {"window_s": _WEEK_S, **counted}}
    return {"rule": {"block": "pbb.condition.amount_at_least", "params": {"amount": count, "amount_at": times}}}


def set_up(app: TacticsApp, users: int, documents: Iterable[object] | None = None) -> None:
    """Import activities (one, as `document` gives it, when left out), users and a small catalogue."""
    setup.import_activities(app.runtime, documents or [document()], publish=True)
    setup.import_users(app.runtime, [{"user_id": user(number), "level": "gold"} for number in range(users)])
    setup.import_items(app.runtime, [item(number) for number in range(ITEMS)])


def item(number: int) -> dict[str, Any]:
    """Give an item of the catalogue."""
    return {"item_id": str(number), "title": f"Item {number}", "price_minor": 100 + number % 1_000, "currency": "USD"}


def user(number: int) -> str:
    """Name a user."""
    return f"u{number}"


def behaviour(name: str, user_number: int, rule_key: str = RULE_KEY) -> dict[str, Any]:
    """Give a behaviour event of a user; `name` makes its id."""
    return _event("tactics.behaviour", name, {"user_id": user(user_number), "rule_key": rule_key})


def behaviours(batch: str, user_numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Give a behaviour event for each of these users."""
    return [behaviour(f"{batch}-{position}", number) for position, number in enumerate(user_numbers)]


def action(name: str, user_number: int, kind: str, item_number: int) -> dict[str, Any]:
    """Give a user action; `name` makes the event's id."""
    data = {"user_id": user(user_number), "action": kind, "item_id": str(item_number)}
    return _event("tactics.action", name, data)


def _event(kind: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"specversion": "1.0", "id": name, "source": SOURCE, "type": kind, "data": data}
