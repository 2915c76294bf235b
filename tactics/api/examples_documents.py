"""Documents that the examples of OpenAPI send: an activity, one from a play, the play, a behaviour rule, facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WELCOME: Mapping[str, Any] = {
    "code": "welcome",
    "template_type": "full_link_v3",
    "schedule": {"from": "2026-01-01T00:00:00Z", "to": "2036-01-01T00:00:00Z"},
    "channels": {"grant": ["home_banner"]},
    "rule": {"so": {"then": [{"block": "pbb.action.send_coupon", "params": {"benefit": "five_off"}}]}},
    "benefits": {"five_off": {"kind": "coupon", "value_minor": 500, "stock": 1000}},
    "limits": {"per_user": 1},
}
RICHER: Mapping[str, Any] = {
    **WELCOME,
    "benefits": {"five_off": {"kind": "coupon", "value_minor": 500, "stock": 2000}},
}
# As it is answered: with what was left out.
SHOWN_RICHER: Mapping[str, Any] = {
    **RICHER,
    "tool_type": "coupon",
    "priority": 0,
    "currency": "USD",
    "timezone": "UTC",
    "channels": {"prepare": [], "grant": ["home_banner"]},
    "benefits": {"five_off": {"kind": "coupon", "value_minor": 500, "stock": 2000, "provider": "local"}},
    "holdout_percent": 0,
    "expression": {},
    "behaviour_rules": {},
}
IDEA: Mapping[str, Any] = {
    **WELCOME,
    "code": "idea",
    "benefits": {"five_off": {"kind": "coupon", "value_minor": 500, "stock": 0}},
}
BIG_SPENDER: Mapping[str, Any] = {
    "code": "big_spender",
    "play": "spend_and_save",
    "parameters": {"threshold_minor": 10_000, "benefit": "ten_off"},
    "schedule": {"from": "2026-01-01T00:00:00Z", "to": "2036-01-01T00:00:00Z"},
    "benefits": {"ten_off": {"kind": "coupon", "value_minor": 1000, "stock": 500}},
}
_AMOUNT = {"block": "pbb.resource.order_amount", "params": {}}
_ENOUGH = {
    "block": "pbb.condition.amount_at_least",
    "params": {"amount": _AMOUNT, "amount_at": {"alias": "threshold_minor"}},
}
SPEND_AND_SAVE: Mapping[str, Any] = {
    "code": "spend_and_save",
    "title": "Spend and save",
    "template_type": "full_link_v3",
    "channels": {"grant": ["checkout"]},
    "rule": {
        "so": {
            "when": _ENOUGH,
            "then": [{"block": "pbb.action.send_coupon", "params": {"benefit": {"alias": "benefit"}}}],
        }
    },
    "parameters": {
        "type": "object",
        "properties": {
            "threshold_minor": {"type": "integer", "minimum": 100, "title": "Spend at least"},
            "benefit": {"type": "string"},
        },
    },
}
LIMITED: Mapping[str, Any] = {**SPEND_AND_SAVE, "limits": {"per_user": 3}}
SHOWN_PLAY: Mapping[str, Any] = {
    **SPEND_AND_SAVE,
    "description": "",
    "channels": {"prepare": [], "grant": ["checkout"]},
    "limits": {},
    "expression": {},
}
_COUNT = {"block": "pbb.resource.behaviour_count", "params": {"action": "purchase", "window_s": 3600}}
BOUGHT_TWICE: Mapping[str, Any] = {
    "rule": {"block": "pbb.condition.amount_at_least", "params": {"amount": _COUNT, "amount_at": 2}},
    "cooldown_s": 600,
}
FACTS: Mapping[str, Any] = {"now": "2026-06-01T12:00:00Z", "user": {"level": "gold"}}
