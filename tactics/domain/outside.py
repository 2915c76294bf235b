"""What an outside benefit system is told of a grant, and the assets that come of its yes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tactics.domain.activity import TacticsActivity
from tactics.domain.asset import Asset
from tactics.domain.provider import LineAnswer

# A provider's slip; and what the database cannot keep, or Python not read back.
_YEARS = range(1970, 9_000)


def call_body(
    activity: TacticsActivity, grant_id: UUID, user_id: str, will_send_count: int, given: Sequence[Asset]
) -> str:
    """Give the body of the call, as JSON; kept, so that a repeat has the same bytes."""
    return json.dumps(
        {
            "idempotency_id": f"{activity.code}:{user_id}:{will_send_count}",
            "grant_id": str(grant_id),
            "activity": activity.code,
            "user_id": user_id,
            "will_send_count": will_send_count,
            "lines": [_line(activity, one) for one in given],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _line(activity: TacticsActivity, one: Asset) -> dict[str, Any]:
    benefit = activity.benefits.get(one.benefit_code) if one.benefit_code else None
    return {
        "line": one.line,
        "asset_id": str(one.id),
        "kind": one.kind,
        "benefit": one.benefit_code,
        "value_minor": one.value_minor,
        "currency": one.currency,
        "valid_until": one.valid_until.isoformat(),
        "params": dict(benefit.provider_params) if benefit else {},
        "details": one.details,
    }


def draft_of(one: Asset, activity: TacticsActivity) -> dict[str, Any]:
    """Give an asset as it is kept until it is given. `validity_s` counts from then, where the benefit has one."""
    benefit = activity.benefits.get(one.benefit_code) if one.benefit_code else None
    return {
        "id": str(one.id),
        "line": one.line,
        "benefit_code": one.benefit_code,
        "kind": one.kind,
        "value_minor": one.value_minor,
        "currency": one.currency,
        "valid_until": one.valid_until.isoformat(),
        "validity_s": benefit.validity_s if benefit else None,
        "details": one.details,
    }


def asset_of(
    draft: Mapping[str, Any],
    user_id: str,
    activity_code: str,
    grant_id: UUID,
    now: datetime,
    answers: Mapping[int, LineAnswer],
) -> Asset:
    """Make an asset of its draft, valid from now; the provider's own code and end of validity are what counts."""
    said = answers.get(draft["line"], LineAnswer(draft["line"]))
    validity_s = draft["validity_s"]
    until = now + timedelta(seconds=validity_s) if validity_s else datetime.fromisoformat(draft["valid_until"])
    return Asset(
        id=UUID(draft["id"]),
        user_id=user_id,
        activity_code=activity_code,
        grant_id=grant_id,
        line=draft["line"],
        benefit_code=draft["benefit_code"],
        kind=draft["kind"],
        status="available",
        value_minor=draft["value_minor"],
        currency=draft["currency"],
        valid_from=now,
        valid_until=said.valid_until if said.valid_until and said.valid_until.year in _YEARS else until,
        details={**draft["details"], **({"code": said.code} if said.code is not None else {})},
    )
