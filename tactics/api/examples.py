"""Examples of requests and answers for OpenAPI; a test sends each request and compares its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ORDER = {"block": "pbb.resource.order_amount", "params": {}}
_SPEND_50 = {"block": "pbb.condition.amount_at_least", "params": {"amount": _ORDER, "amount_at": 5000}}
_COUPON = {"block": "pbb.action.send_coupon", "params": {"benefit": "five_off"}}
_TEN_OFF = {"block": "pbb.action.order_amount_off", "params": {"amount_minor": 1000}}
COUPON_RULE: Mapping[str, Any] = {"so": {"when": _SPEND_50, "then": [_COUPON]}}
TEN_OFF_RULE: Mapping[str, Any] = {"so": {"when": _SPEND_50, "then": [_TEN_OFF]}}
_GOLD = {
    "block": "pbb.condition.equals",
    "params": {"value": {"block": "pbb.resource.user_attribute", "params": {"name": "level"}}, "to": "gold"},
}
CART: Mapping[str, Any] = {"currency": "EUR", "lines": [{"item_id": "7", "quantity": 2, "price_minor": 3000}]}
_EFFECT = {"block": "pbb.action.send_coupon", "params": {"benefit": "five_off"}, "times": 1}
_POOR = {
    "path": "/so/when",
    "block": "pbb.condition.amount_at_least",
    "code": "not_met",
    "text": "the order amount is 3000 minor units; at least 5000 needed",
    "found": 3000,
    "wanted": 5000,
}
_UNKNOWN = {
    "path": "",
    "block": "pbb.condition.equals",
    "code": "missing",
    "text": "the user's level is not known: user is missing",
    "wanted": "gold",
}
_MATCHED = {"status": "matched", "matched": True, "effects": [_EFFECT], "reasons": []}
_TREE = {
    "path": "/so",
    "node": "so",
    "verdict": True,
    "text": "so",
    "children": [
        {
            "path": "/so/when",
            "node": "pbb.condition.amount_at_least",
            "verdict": True,
            "text": "the order amount is 6000 minor units, which is at least 5000",
            "found": 6000,
            "wanted": 5000,
            "resources": [{"path": "/so/when/params/amount", "block": "pbb.resource.order_amount", "value": 6000}],
            "children": [],
        },
        {
            "path": "/so/then/0",
            "node": "pbb.action.send_coupon",
            "verdict": True,
            "text": "send coupon five_off",
            "children": [],
        },
    ],
}
_TEN_OFF_EFFECT = {"block": "pbb.action.order_amount_off", "params": {"amount_minor": 1000}, "times": 1}
_APPLIED = {"rule": 0, "code": "spend_50", "effect": _TEN_OFF_EFFECT, "saved_minor": 1000}

# By name: what is sent, and what is answered.
Exchange = tuple[Mapping[str, Any], Mapping[str, Any]]
EVALUATE: Mapping[str, Exchange] = {
    "one": ({"rule": COUPON_RULE, "facts": {"order": CART}}, _MATCHED),
    "why_not": (
        {"rule": COUPON_RULE, "facts": {"order": {"lines": [{"price_minor": 3000}]}}},
        {"status": "not_matched", "matched": False, "effects": [], "reasons": [_POOR]},
    ),
    "explained": (
        {"rule": COUPON_RULE, "facts": {"order": CART}, "explain": True},
        {**_MATCHED, "tree": _TREE},
    ),
    "many": (
        {
            "rules": [{"code": "spend_50", "rule": COUPON_RULE}, {"code": "gold", "rule": _GOLD}],
            "facts": {"order": CART},
        },
        {
            "results": [
                {"code": "spend_50", **_MATCHED},
                {"code": "gold", "status": "unknown", "matched": False, "effects": [], "reasons": [_UNKNOWN]},
            ],
            "counts": {"matched": 1, "unknown": 1},
        },
    ),
}
CHECK: Mapping[str, Exchange] = {
    "well_formed": ({"rule": COUPON_RULE}, {"ok": True, "problems": []}),
    "wrong": (
        {"rule": {"so": {"then": [{"block": "pbb.action.order_percent_off", "params": {"percent": 120}}]}}},
        {
            "ok": False,
            "problems": [
                {
                    "path": "/so/then/0/params/percent",
                    "code": "type",
                    "message": "a percentage above 0 and at most 100, with at most two decimals belongs here, not 120",
                    "severity": "error",
                }
            ],
        },
    ),
}
PRICE: Mapping[str, Exchange] = {
    "ten_off": (
        {"order": CART, "rules": [{"code": "spend_50", "rule": TEN_OFF_RULE}], "mode": "best"},
        {
            "original_total_minor": 6000,
            "total_minor": 5000,
            "order_discount_minor": 1000,
            "lines": [
                {
                    "line": 0,
                    "original_unit_price_minor": 3000,
                    "unit_price_minor": 3000,
                    "original_total_minor": 6000,
                    "total_minor": 5000,
                    "applied": [_APPLIED],
                }
            ],
            "applied": [_APPLIED],
            "rules": [{"rule": 0, "code": "spend_50", "status": "applied", "reasons": []}],
        },
    ),
}


def asked(exchanges: Mapping[str, Exchange]) -> dict[str, Any]:
    """The requests, as OpenAPI lists examples."""
    return {name: {"summary": name.replace("_", " "), "value": request} for name, (request, _) in exchanges.items()}


def answered(exchanges: Mapping[str, Exchange], model: Any) -> dict[int | str, dict[str, Any]]:
    """The answers as OpenAPI lists them: their model, with examples."""
    examples = {name: {"summary": name.replace("_", " "), "value": answer} for name, (_, answer) in exchanges.items()}
    return {200: {"model": model, "content": {"application/json": {"examples": examples}}}}
