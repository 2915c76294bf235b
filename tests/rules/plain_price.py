"""Prices worked out slowly and plainly, one line after the other: what `price` is compared with.

It knows no rule engine. A rule is told as a `Told`: from which order amount on, how often, and what it does; or as a
ladder of such steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import count
from typing import Any, Literal

from tactics import rules
from tactics.rules import Rule


@dataclass(frozen=True)
class Step:
    """From an order amount on (0: always), once or once for each whole amount, these actions."""

    at: int
    every: bool
    actions: tuple[tuple[str, Mapping[str, Any]], ...]

    def times(self, spent: int) -> int:
        """How often it holds; 0 where it does not."""
        if spent < self.at:
            return 0
        return sum(1 for n in _up_to(spent // self.at)) if self.every and self.at else 1


@dataclass(frozen=True)
class Told:
    """One rule."""

    steps: tuple[Step, ...]
    ladder: Literal["highest", "first", "all"] | None
    priority: int = 0
    group: str | None = None

    def entry(self) -> dict[str, Any]:
        """As `price` takes it."""
        group = {} if self.group is None else {"exclusive_group": self.group}
        return {"rule": self.rule(), "priority": self.priority, **group}

    def rule(self) -> Rule:
        """As the engine takes it."""
        built = []
        for step in self.steps:
            actions = [getattr(rules, name)(**params) for name, params in step.actions]
            when = rules.amount_at_least(rules.order_amount(), step.at, enable_multiple=step.every) if step.at else None
            built.append(rules.so(*([] if when is None else [when]), *actions))
        return rules.tiers(*built, mode=self.ladder) if self.ladder else built[0]

    def effects(self, spent: int) -> list[tuple[str, Mapping[str, Any], int]]:
        """What it gives when so much is spent."""
        held = [(step, step.times(spent)) for step in self.steps if step.times(spent)]
        if self.ladder == "highest":
            held = held[-1:]
        elif self.ladder != "all":
            held = held[:1]
        return [(name, params, times) for step, times in held for name, params in step.actions]


Lines = Sequence[Mapping[str, Any]]


def worked_out(lines: Lines, told: Sequence[Told], mode: str) -> tuple[list[int], int, list[bool]]:
    """What each line costs in the end, what order discounts took off, and which rules applied."""
    spent = sum(one["price_minor"] * one["quantity"] for one in lines)
    apply = [bool(one.effects(spent)) for one in told]
    rank = sorted(range(len(told)), key=lambda at: (-told[at].priority, at))
    for at in rank:
        for other in rank[rank.index(at) + 1 :]:
            rivals = mode == "best" or (told[at].group is not None and told[at].group == told[other].group)
            if apply[at] and apply[other] and rivals:
                first, second = (sum(_final(lines, [told[one]], spent)[0]) for one in (at, other))
                # The earlier of two stays unless the later is cheaper; whoever stays meets the next.
                apply[at], apply[other] = (False, True) if second < first else (True, False)
    totals, off = _final(lines, [told[at] for at in rank if apply[at]], spent)
    return totals, off, apply


def _final(lines: Lines, told: Sequence[Told], spent: int) -> tuple[list[int], int]:
    effects = [effect for one in told for effect in one.effects(spent)]
    totals = [_line_total(line, effects) for line in lines]
    before = sum(totals)
    for name, params, times in effects:
        if name == "order_amount_off":
            totals = _shared(totals, params["amount_minor"] * times)
        elif name == "order_percent_off":
            base = spent if params.get("base") == "original" else sum(totals)
            totals = _shared(totals, _rounded(_share(params["percent"], base)))
    return totals, before - sum(totals)


def _line_total(line: Mapping[str, Any], effects: Sequence[tuple[str, Mapping[str, Any], int]]) -> int:
    pieces = line["quantity"]
    given = now = Fraction(line["price_minor"] * pieces)
    for name, params, times in effects:
        if not _meant(line, params):
            continue
        if name == "item_promotion_price":
            now = Fraction(min(now, params["price_minor"] * pieces))
        elif name == "item_amount_off":
            for _ in range(1 if params.get("per") == "line" else pieces):
                now -= params["amount_minor"] * times
        elif name == "item_percent_off":
            now -= _rounded(_share(params["percent"], int(given if params.get("base") == "original" else now)))
        now = max(now, Fraction(0))
    assert now.denominator == 1
    return int(now)


def _meant(line: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    category = line.get("category")
    wanted = [
        "item_id" not in params or line.get("item_id") == params["item_id"],
        "sku" not in params or line.get("sku") == params["sku"],
        "category" not in params or params["category"] in ([category] if isinstance(category, str) else category or []),
        not params.get("no_batch") or line.get("batch") is None,
    ]
    return False not in wanted


def _shared(totals: list[int], off: int) -> list[int]:
    """The totals with a discount taken off them: a unit at a time to whoever lacks the most of the exact share."""
    whole = sum(totals)
    off = min(off, whole)
    if not whole:
        return totals
    exact = [Fraction(off * total, whole) for total in totals]
    shares = [share.numerator // share.denominator for share in exact]
    while sum(shares) < off:
        lacking = [share - got for share, got in zip(exact, shares, strict=True)]
        shares[lacking.index(max(lacking))] += 1
    return [total - share for total, share in zip(totals, shares, strict=True)]


def _share(percent: float, base: int) -> Decimal:
    return Decimal(str(percent)) * base / 100


def _rounded(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def _up_to(number: int) -> Iterator[int]:
    for n in count(1):
        if n > number:
            return
        yield n
