"""What events look like, for OpenAPI: a schema of the envelope with each type's data, and examples that a test sends."""

from __future__ import annotations

from typing import Any

from tactics.api.limits import MAX_EVENTS
from tactics.domain.event import DATA_TYPES, RESERVED_SOURCES

_ACTION = {
    "specversion": "1.0",
    "id": "order-17:1",
    "source": "shop",
    "type": "tactics.action",
    "data": {"user_id": "ann", "action": "purchase", "item_id": "t1", "quantity": 2, "amount_minor": 900},
}
_BEHAVIOUR = {
    "specversion": "1.0",
    "id": "segment-4:ann",
    "source": "crm",
    "type": "tactics.behaviour",
    "data": {"user_id": "ann", "rule_key": "tea_twice"},
}
_ASSET = {
    "specversion": "1.0",
    "id": "redeemed-9c7b6157",
    "source": "checkout",
    "type": "tactics.asset",
    "data": {"asset_id": "9c7b6157-f4ed-47f1-981a-936c082a1488", "status": "redeemed"},
}
ONE: dict[str, Any] = {
    "action": {"summary": "a user did something", "value": _ACTION},
    "behaviour": {"summary": "a behaviour rule was satisfied elsewhere", "value": _BEHAVIOUR},
    "asset": {"summary": "a benefit was used at the checkout", "value": _ASSET},
}
MANY: dict[str, Any] = {"batch": {"summary": "several at once", "value": [_ACTION, _ASSET]}}

_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}


def _of(kind: str) -> dict[str, Any]:
    data = DATA_TYPES[kind].model_json_schema()
    data.pop("$defs", None)
    return {
        "type": "object",
        "title": f"tactics.{kind}",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**_TEXT, "description": "with `source`, what makes it one event: the same fact, the same id"},
            "source": {
                **_TEXT,
                "description": f"who tells it; not {', '.join(RESERVED_SOURCES)}, which are ours",
                "not": {"pattern": f"^({'|'.join(one.replace('.', '[.]') for one in RESERVED_SOURCES)})"},
            },
            "type": {"const": f"tactics.{kind}"},
            "time": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "when it happened; left out: now",
            },
            "datacontenttype": {"type": ["string", "null"]},
            "data": data,
        },
        "required": ["specversion", "id", "source", "type", "data"],
    }


EVENT_SCHEMA: dict[str, Any] = {"oneOf": [_of(kind) for kind in DATA_TYPES]}
# Whatever stands for an event in a batch is answered on its own: the batch is right, and that event is rejected.
_ANYTHING: dict[str, Any] = {"description": "anything else: rejected on its own"}
BATCH_SCHEMA: dict[str, Any] = {
    "type": "array",
    "maxItems": MAX_EVENTS,
    "items": {"anyOf": [*EVENT_SCHEMA["oneOf"], _ANYTHING]},
}
