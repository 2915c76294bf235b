"""Activities that are right but for what a test changes."""

from __future__ import annotations

from typing import Any

from tactics.domain.activity import TacticsActivity, parse_activity


def document(**changes: Any) -> dict[str, Any]:
    """Give an activity's document."""
    return {
        "code": "camp18",
        "template_type": "full_link_v3",
        "schedule": {"from": "2017-10-30T00:00:00Z", "to": "2018-01-01T00:00:00Z"},
        "channels": {"prepare": ["bought"], "grant": ["home_banner"]},
        "rule": {"so": {"then": [{"block": "pbb.action.send_coupon", "params": {"benefit": "c18"}}]}},
        "benefits": {"c18": {"kind": "coupon", "value_minor": 500, "stock": 10}},
        **changes,
    }


def activity(**changes: Any) -> TacticsActivity:
    """Give an activity."""
    return parse_activity(document(**changes))


def with_coupon(**members: Any) -> TacticsActivity:
    """Give an activity whose benefit c18 is a coupon with these members."""
    return activity(benefits={"c18": {"kind": "coupon", **members}})


def bought(times: int) -> dict[str, Any]:
    """Give a behaviour rule: so many purchases within an hour."""
    count = {"block": "pbb.resource.behaviour_count", "params": {"action": "purchase", "window_s": 3600}}
    return {"rule": {"block": "pbb.condition.amount_at_least", "params": {"amount": count, "amount_at": times}}}


def play_document(**changes: Any) -> dict[str, Any]:
    """Give a play's document: who spends enough gets a benefit."""
    amount = {"block": "pbb.resource.order_amount"}
    return {
        "code": "spend_and_save",
        "title": "Spend and save",
        "template_type": "full_link_v3",
        "channels": {"prepare": ["bought"], "grant": ["home_banner", "checkout"]},
        "rule": {
            "so": {
                "when": {
                    "block": "pbb.condition.amount_at_least",
                    "params": {"amount": amount, "amount_at": {"alias": "threshold_minor"}},
                },
                "then": [{"block": "pbb.action.send_coupon", "params": {"benefit": {"alias": "benefit"}}}],
            }
        },
        "parameters": {
            "type": "object",
            "properties": {
                "threshold_minor": {"type": "integer", "minimum": 100, "title": "Spend at least"},
                "benefit": {"type": "string", "default": "c18"},
            },
        },
        "limits": {"per_user": 3, "per_day": 100},
        "expression": {"en": "Spend and save", "zh": "满减"},
        **changes,
    }


def from_play(**changes: Any) -> dict[str, Any]:
    """Give the document of an activity that is made from the play above."""
    return {
        "code": "camp18",
        "play": "spend_and_save",
        "parameters": {"threshold_minor": 500},
        "schedule": {"from": "2017-10-30T00:00:00Z", "to": "2018-01-01T00:00:00Z"},
        "benefits": {"c18": {"kind": "coupon", "value_minor": 500, "stock": 10}},
        **changes,
    }
