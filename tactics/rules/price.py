"""What an order costs once rules have had their say, and which rule took off how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypedDict

from tactics.rules.discount import ITEM_PHASE, ORDER_PHASE, phase, savings
from tactics.rules.entry import Entry, read_entries
from tactics.rules.evaluation import Evaluation
from tactics.rules.order import Line, read_lines
from tactics.rules.problem import RuleError
from tactics.rules.reason import Reason
from tactics.rules.registry import Registry
from tactics.rules.spread import half_up
from tactics.rules.tree import Rule
from tactics.rules.value import show

PriceMode = Literal["stack", "best"]
PRICE_MODES: tuple[PriceMode, ...] = ("stack", "best")
# `outdone`: it matched, but another rule saves more. `no_effect`: it matched, and gives nothing.
Outcome = Literal["applied", "outdone", "no_effect", "not_matched", "unknown"]


class AppliedEffect(TypedDict):
    """One effect of one rule, and what it took off: the order, or the line that lists it.

    `rule` is the rule's place in the list, `effect` is `{"block", "params", "times"}` as `calculate` answers it.
    """

    rule: int
    code: str | None
    effect: dict[str, Any]
    saved_minor: int


class LinePrice(TypedDict):
    """One line's price.

    `unit_price_minor` is the price of one piece after item effects, rounded where the line does not divide evenly;
    `total_minor` is exact, and has the line's share of order discounts taken off. `applied` lists what lowered it.
    """

    line: int
    original_unit_price_minor: int
    unit_price_minor: int
    original_total_minor: int
    total_minor: int
    applied: list[AppliedEffect]


class RuleOutcome(TypedDict):
    """What became of one rule, with reasons as `calculate` answers them."""

    rule: int
    code: str | None
    status: Outcome
    reasons: list[dict[str, object]]


class PriceAnswer(TypedDict):
    """What `price` answers: lines and rules as they were listed, effects as they were applied."""

    original_total_minor: int
    total_minor: int
    order_discount_minor: int
    lines: list[LinePrice]
    applied: list[AppliedEffect]
    rules: list[RuleOutcome]


def price(
    order: Mapping[str, Any],
    rules: Sequence[Rule | Mapping[str, Any]],
    mode: PriceMode = "stack",
    facts: Mapping[str, Any] | None = None,
    *,
    item_id: str | None = None,
    registry: Registry | None = None,
) -> PriceAnswer:
    """Work out the prices of an order under rules. Amounts are whole minor units; nothing goes below zero.

    `rules` are bare, or `{"code"?, "rule", "priority"?, "exclusive_group"?}`; `stack` applies all that match, `best` the
    one that leaves the lowest total. `facts` are the others (`user`, `now`, `scene`…); conditions see the order as it
    is given here. `item_id` is the current item where rules are evaluated per item, as in `calculate`. Raises RuleError
    for rules (paths under `/rules`, `/mode`) or an order (`/order`, `/facts`) that are not well-formed.
    """
    entries = read_entries(rules, registry)
    if mode not in PRICE_MODES:
        raise RuleError.of("/mode", "form", f"mode is one of {', '.join(PRICE_MODES)}, not {show(mode)}")
    lines = read_lines(order)
    if facts is not None and not isinstance(facts, Mapping):
        raise RuleError.of("/facts", "type", f"an object belongs here, not {show(facts)}")
    seen = {**(facts or {}), "order": order}
    candidates = [_Candidate(entry, entry.compiled.calculate(seen, item_id)) for entry in entries]
    matched = [candidate for candidate in candidates if candidate.evaluation.effects]
    ranked = sorted(matched, key=lambda candidate: -candidate.entry.priority)
    outdone = _outdone(ranked, lines, mode)
    applied = _applied([candidate for candidate in ranked if candidate.entry.index not in outdone], lines)
    return _answer(lines, applied, [_outcome(candidate, outdone) for candidate in candidates])


@dataclass(frozen=True, slots=True)
class _Candidate:
    entry: Entry
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class _Applied:
    """One effect in its turn: what it took off each line."""

    entry: Entry
    effect: dict[str, Any]
    phase: int
    saved_minor: tuple[int, ...]

    def to_json(self, saved_minor: int) -> AppliedEffect:
        effect = {**self.effect, "params": dict(self.effect["params"])}
        return {"rule": self.entry.index, "code": self.entry.code, "effect": effect, "saved_minor": saved_minor}


def _outdone(ranked: Sequence[_Candidate], lines: Sequence[Line], mode: PriceMode) -> dict[int, Entry]:
    """The rules, by index, that give way to another one; of those that save the same, the earlier stays."""
    groups: dict[str, list[_Candidate]] = {}
    for candidate in ranked:
        group = "" if mode == "best" else candidate.entry.exclusive_group
        if group is not None:
            groups.setdefault(group, []).append(candidate)
    outdone: dict[int, Entry] = {}
    for rivals in groups.values():
        if len(rivals) > 1:
            winner = max(rivals, key=lambda rival: sum(sum(one.saved_minor) for one in _applied([rival], lines)))
            outdone |= {rival.entry.index: winner.entry for rival in rivals if rival is not winner}
    return outdone


def _applied(ranked: Sequence[_Candidate], lines: Sequence[Line]) -> list[_Applied]:
    """The effects of the rules, phase by phase, each on what those before it left."""
    turns = [
        (phase(effect["block"]), candidate.entry, effect)
        for candidate in ranked
        for effect in candidate.evaluation.effects
    ]
    totals = [line.total_minor for line in lines]
    applied: list[_Applied] = []
    for turn, entry, effect in sorted(turns, key=lambda turn: turn[0]):
        saved = savings(effect, lines, totals)
        totals = [total - off for total, off in zip(totals, saved, strict=True)]
        applied.append(_Applied(entry, effect, turn, tuple(saved)))
    return applied


def _outcome(candidate: _Candidate, outdone: Mapping[int, Entry]) -> RuleOutcome:
    entry, evaluation = candidate.entry, candidate.evaluation
    reasons = evaluation.reasons
    status: Outcome
    if not evaluation.matched:
        status = "unknown" if evaluation.status == "unknown" else "not_matched"
    elif not evaluation.effects:
        status = "no_effect"
        reasons = (Reason("", None, "no_effect", "the rule is a condition: it gives nothing"),)
    elif entry.index in outdone:
        status = "outdone"
        text = f"{outdone[entry.index].name} saves more, or as much and comes first"
        reasons = (*reasons, Reason("", None, "outdone", text))
    else:
        status = "applied"
    return {
        "rule": entry.index,
        "code": entry.code,
        "status": status,
        "reasons": [reason.to_json() for reason in reasons],
    }


def _answer(lines: Sequence[Line], applied: Sequence[_Applied], outcomes: list[RuleOutcome]) -> PriceAnswer:
    priced = [_line_price(index, line, applied) for index, line in enumerate(lines)]
    return {
        "original_total_minor": sum(line["original_total_minor"] for line in priced),
        "total_minor": sum(line["total_minor"] for line in priced),
        "order_discount_minor": sum(sum(one.saved_minor) for one in applied if one.phase == ORDER_PHASE),
        "lines": priced,
        "applied": [one.to_json(sum(one.saved_minor)) for one in applied],
        "rules": outcomes,
    }


def _line_price(index: int, line: Line, applied: Sequence[_Applied]) -> LinePrice:
    def saved(*phases: int) -> Iterator[int]:
        return (one.saved_minor[index] for one in applied if one.phase in phases)

    before_order = line.total_minor - sum(saved(ITEM_PHASE))
    return {
        "line": index,
        "original_unit_price_minor": line.price_minor,
        "unit_price_minor": half_up(Fraction(before_order, line.quantity)) if line.quantity else line.price_minor,
        "original_total_minor": line.total_minor,
        "total_minor": before_order - sum(saved(ORDER_PHASE)),
        "applied": [one.to_json(one.saved_minor[index]) for one in applied if one.saved_minor[index]],
    }
