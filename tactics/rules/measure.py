"""Counts and sums over the records in facts: order lines and behaviours.

A record that lacks a field is not meant by a question about it. A field of the wrong type makes the answer unknown,
unless another field of that record rules it out already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from fractions import Fraction
from typing import TypeAlias

from tactics.rules.facts import Facts, Record
from tactics.rules.value import Number, Unknown, as_number, exact, is_number, missing, moment, total, wrong_type

# What one record counts for; a fraction where pieces are no whole number.
Part: TypeAlias = Number | Fraction | Unknown
Measure = Callable[[Record], Part]

_NO_OFFSET = "a time as ISO 8601 with an offset"


def over_lines(
    facts: Facts, measure: Measure, *, no_batch: bool = False, category: str | None = None, **texts: str | None
) -> Number | Unknown:
    """The sum of `measure` over the order's lines whose fields are as asked; None asks for nothing."""
    lines = facts.lines
    if isinstance(lines, Unknown):
        return lines
    wanted = [(field, text) for field, text in texts.items() if text is not None]

    def part(line: Record) -> Part | None:
        verdict = _texts(line, wanted)
        if category is not None and verdict is not False:
            verdict = _both(verdict, _has_member(line, "category", category))
        if no_batch and verdict is not False:
            verdict = _both(verdict, _without_batch(line))
        return _measured(line, verdict, measure)

    return _summed("order.lines", map(part, lines))


def over_behaviours(
    facts: Facts,
    measure: Measure,
    action: str,
    window_s: int,
    *,
    item_id: str | None,
    category: str | None,
    item_set: str | None,
) -> Number | Unknown:
    """The sum of `measure` over what the user did in (now - window_s, now], with the item, category and set asked for."""
    now, records = facts.now, facts.behaviours
    if isinstance(now, Unknown):
        return now
    if isinstance(records, Unknown):
        return records
    texts = [("action", action)] if item_id is None else [("action", action), ("item_id", item_id)]

    def part(record: Record) -> Part | None:
        verdict = _texts(record, texts)
        if item_set is not None and verdict is not False:
            verdict = _both(verdict, _has_member(record, "item_sets", item_set))
        if category is not None and verdict is not False:
            verdict = _both(verdict, _has_member(record, "category", category))
        if verdict is not False:
            ago = _age_s(record, now)
            verdict = _both(verdict, ago if isinstance(ago, Unknown) else 0 <= ago < window_s)
        return _measured(record, verdict, measure)

    return _summed("behaviours", map(part, records))


def seconds_since_last(facts: Facts, action: str) -> Number | Unknown:
    """How long before now the user last did something; missing where the user never did."""
    now, records = facts.now, facts.behaviours
    if isinstance(now, Unknown):
        return now
    if isinstance(records, Unknown):
        return records
    ages: list[float] = []
    for index, record in enumerate(records):
        doing = _texts(record, [("action", action)])
        if doing is False:
            continue
        ago = _age_s(record, now)
        verdict = _both(doing, ago if isinstance(ago, Unknown) else ago >= 0)
        if isinstance(verdict, Unknown):
            return Unknown(verdict.code, f"behaviours[{index}].{verdict.text}")
        if verdict and isinstance(ago, float):
            ages.append(ago)
    return as_number(exact(min(ages))) if ages else missing(f"a behaviour with action {action}")


def once(_: Record) -> Number | Unknown:
    """Each record counts for one."""
    return 1


def quantity(record: Record) -> Number | Unknown:
    """How many pieces: 1 where the record does not say."""
    value = record.get("quantity")
    if value is None:
        return 1
    if not is_number(value) or value < 0:  # type: ignore[operator]  # a number by then
        return wrong_type("quantity", value, "a number of at least 0")
    return value  # type: ignore[return-value]  # is_number has just said so


def amount(line: Record) -> Part:
    """What the line is worth before discounts, in minor units."""
    price = line.get("price_minor")
    if price is None:
        return missing("price_minor")
    if not is_number(price) or price < 0 or price != int(price):  # type: ignore[operator,call-overload]  # a number by then
        return wrong_type("price_minor", price, "a whole number of minor units")
    pieces = quantity(line)
    if isinstance(pieces, Unknown):
        return pieces
    whole: int = int(price)  # type: ignore[call-overload]  # as above
    return whole * (pieces if isinstance(pieces, int) else exact(pieces))


def _texts(record: Record, wanted: Iterable[tuple[str, str]]) -> bool | Unknown:
    verdict: bool | Unknown = True
    for field, text in wanted:
        value = record.get(field)
        if isinstance(value, str):
            if value != text:
                return False
        elif value is None:
            return False
        else:
            verdict = wrong_type(field, value, "text")
    return verdict


def _has_member(record: Record, field: str, wanted: str) -> bool | Unknown:
    value = record.get(field)
    if value is None or isinstance(value, str):
        return value == wanted
    if isinstance(value, (list, tuple)):
        if wanted in value:
            return True
        if all(isinstance(member, str) for member in value):
            return False
    return wrong_type(field, value, "text or a list of texts")


def _without_batch(line: Record) -> bool | Unknown:
    batch = line.get("batch")
    if batch is None:
        return True
    return False if isinstance(batch, str) else wrong_type("batch", batch, "text")


def _age_s(record: Record, now: datetime) -> float | Unknown:
    value = record.get("at")
    if value is None:
        return missing("at")
    then = moment(value)
    return wrong_type("at", value, _NO_OFFSET) if then is None else (now - then).total_seconds()


def _both(one: bool | Unknown, other: bool | Unknown) -> bool | Unknown:
    if one is False or other is False:
        return False
    return other if one is True else one


def _measured(record: Record, verdict: bool | Unknown, measure: Measure) -> Part | None:
    if verdict is False:
        return None
    return measure(record) if verdict is True else verdict


def _summed(what: str, parts: Iterable[Part | None]) -> Number | Unknown:
    """The sum over the records called `what`; None for one that is not meant, unknown as soon as one of them is."""
    known: list[Number | Fraction] = []
    for index, part in enumerate(parts):
        if part is None:
            continue
        if isinstance(part, Unknown):
            return Unknown(part.code, f"{what}[{index}].{part.text}")
        known.append(part)
    return total(known)
