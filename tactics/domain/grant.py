"""Grants: what a matched rule gives, as lines; and the value by which activities are ranked."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tactics.domain.activity import Benefit, BenefitKind, TacticsActivity
from tactics.domain.asset import Asset
from tactics.domain.chosen import benefit_for, kind_of
from tactics.domain.provider import LOCAL

# Letters and digits that nobody confuses when reading a code aloud: 32, so that each is as likely as any other.
_CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_LENGTH = 12
# The limits of money, as they are called in sentences.
_COUNTING = {"budget_minor": "the budget", "cost_per_minute_minor": "the cost per minute"}


@dataclass(frozen=True, slots=True)
class GrantLine:
    """One asset that a grant gives. `benefit` is None where the activity defines none for it: no stock then."""

    line: int
    kind: BenefitKind
    value_minor: int
    benefit: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the line as stored with its grant."""
        return {name: getattr(self, name) for name in GrantLine.__slots__}


def _details(name: str, params: Mapping[str, Any], times: int) -> dict[str, Any]:
    if name == "give_points":
        return {"points": params["points"] * times}
    if name == "gift":
        return {"item_id": params["item_id"], "quantity": params["quantity"] * times}
    if name in {"send_coupon", "rebate"}:
        return {key: value for key, value in params.items() if key == "percent"}
    return {"effect": name, **({"times": times} if times > 1 else {}), **params}


def _value(name: str, params: Mapping[str, Any], benefit: Benefit | None, times: int) -> int:
    if name == "rebate" and "amount_minor" in params:
        return int(params["amount_minor"]) * times
    return (benefit.value_minor if benefit else 0) * times


def lines_of(activity: TacticsActivity, effects: Sequence[Mapping[str, Any]]) -> tuple[GrantLine, ...]:
    """Turn the effects of one matched evaluation into the lines of one grant.

    A coupon that applies `times` over is so many lines, each with its own code; amounts are multiplied in one line.

    Args:
        activity: defines kind, value and stock of the benefits that the effects name.
        effects: `[{"block", "params", "times"}]`, as `rules.calculate` gives them.
    """
    lines: list[GrantLine] = []
    for effect in effects:
        name = str(effect["block"]).rsplit(".", 1)[-1]
        params, times = dict(effect["params"]), int(effect["times"])
        named = params.pop("benefit", None)
        benefit_code = benefit_for(activity.benefits, kind_of(name), named)
        benefit = activity.benefits.get(benefit_code) if benefit_code else None
        kind = benefit.kind if benefit else kind_of(name)
        copies, each = (times, 1) if name == "send_coupon" else (1, times)
        for _ in range(copies):
            value, details = _value(name, params, benefit, each), _details(name, params, each)
            lines.append(GrantLine(len(lines) + 1, kind, value, benefit_code, details))
    return tuple(lines)


def provider_of(activity: TacticsActivity, lines: Sequence[GrantLine]) -> str | None:
    """Give the outside benefit system that a grant's lines come from; None: all of them are ours to give.

    There is at most one, for `activity_problems` refuses a rule that would need two for one grant.
    """
    benefits = (activity.benefits.get(line.benefit) for line in lines if line.benefit is not None)
    return next((one.provider for one in benefits if one is not None and one.provider != LOCAL), None)


def stock_needed(lines: Sequence[GrantLine]) -> dict[str, int]:
    """Count how much of each benefit the lines take, in the order in which rows are locked."""
    return dict(sorted(Counter(line.benefit for line in lines if line.benefit is not None).items()))


def new_assets(
    activity: TacticsActivity, user_id: str, grant_id: UUID, lines: Sequence[GrantLine], now: datetime
) -> list[Asset]:
    """Make the assets of a grant, one a line, valid from now; a coupon of the pool gets its code when it is taken."""
    made = []
    for line in lines:
        benefit = activity.benefits.get(line.benefit) if line.benefit else None
        validity_s = benefit.validity_s if benefit else None
        until = now + timedelta(seconds=validity_s) if validity_s else activity.schedule.ends_at
        details = dict(line.details)
        if line.kind == "coupon" and not (benefit and benefit.codes is not None):
            details["code"] = (benefit.code if benefit else None) or _new_code()
        made.append(
            Asset(
                id=uuid4(),
                user_id=user_id,
                activity_code=activity.code,
                grant_id=grant_id,
                line=line.line,
                benefit_code=line.benefit,
                kind=line.kind,
                status="available",
                value_minor=line.value_minor,
                currency=(benefit.currency if benefit else None) or activity.currency,
                valid_from=now,
                valid_until=until,
                details=details,
            )
        )
    return made


def _new_code() -> str:
    return "".join(_CODE_ALPHABET[byte % len(_CODE_ALPHABET)] for byte in secrets.token_bytes(_CODE_LENGTH))


def largest_value(activity: TacticsActivity) -> int:
    """Give the largest value, in minor units, that the activity's rule can reach in one grant; for ranking."""
    return _reach(activity, activity.rule)


def uncounted(activity: TacticsActivity) -> tuple[str, ...]:
    """Tell, in sentences, which actions no limit of money counts: those that no benefit gives a value."""
    counting = {name: words for name, words in _COUNTING.items() if getattr(activity.limits, name) is not None}
    rule = activity.rule
    steps = rule["tiers"]["steps"] if "tiers" in rule else [rule] if "so" in rule else []
    actions = {str(action["block"]) for step in steps for action in step["so"]["then"] if not _worth(activity, action)}
    return tuple(
        f"/limits/{name}: {block} is worth nothing to {words}, and is granted without end: let the action, or "
        "the one benefit of its kind, name a value_minor"
        for name, words in counting.items()
        for block in sorted(actions)
    )


def _worth(activity: TacticsActivity, action: Mapping[str, Any]) -> int:
    name = str(action["block"]).rsplit(".", 1)[-1]
    params = {key: value for key, value in action.get("params", {}).items() if not isinstance(value, dict)}
    code = benefit_for(activity.benefits, kind_of(name), params.get("benefit"))
    return _value(name, params, activity.benefits.get(code) if code else None, 1)


def _reach(activity: TacticsActivity, node: Mapping[str, Any]) -> int:
    if "tiers" in node:
        steps = [_reach(activity, step) for step in node["tiers"]["steps"]]
        return sum(steps) if node["tiers"].get("mode") == "all" else max(steps, default=0)
    if "so" not in node:
        return 0
    return sum(_worth(activity, action) for action in node["so"]["then"])
