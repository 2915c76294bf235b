"""What each resource fetches from facts, record after record, for the plain evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.rules.plain_value import BROKEN, GONE, Unknown, as_number, is_number, time_of, written

Facts = Mapping[str, Any]
Record = Mapping[str, Any]
# Whether a record is meant; None where that cannot be known, for want of a field or for a broken one.
Meant = bool | Unknown


def resource(name: str, facts: Facts, params: Mapping[str, Any], item_id: str | None) -> Any:  # noqa: PLR0911 -- a table
    """The value of a resource; GONE or BROKEN where it cannot be known."""
    if name in ("user_attribute", "event_attribute"):
        return attribute(facts, name.removesuffix("_attribute"), params["name"])
    if name.startswith("behaviour_"):
        return behaved(facts, params, counting=name == "behaviour_count")
    if name == "seconds_since":
        return seconds_since(facts, params["action"])
    if name == "now":
        return moment_of(facts)
    if name in ("hour_of_day", "day_of_week"):
        local = local_time(facts)
        if isinstance(local, Unknown):
            return local
        return local.hour if name == "hour_of_day" else local.isoweekday()
    wanted = dict(params)
    # Left open: without an item named and without a current one, every item is meant.
    if name in ("item_amount", "item_quantity", "no_batch_item_quantity") and "item_id" not in wanted and item_id:
        wanted["item_id"] = item_id
    return ordered(facts, wanted, worth if name.endswith("_amount") else pieces, no_batch=name.startswith("no_batch"))


def attribute(facts: Facts, section: str, name: str) -> Any:
    record = facts.get(section)
    if record is None:
        return GONE
    if not isinstance(record, Mapping):
        return BROKEN
    value = record.get(name)
    return GONE if value is None else value


def ordered(
    facts: Facts, wanted: Mapping[str, str], measure: Callable[[Record], Fraction | Unknown], *, no_batch: bool
) -> int | float | Unknown:
    """The sum of a measure over the lines that are meant."""
    order = facts.get("order")
    if order is None:
        return GONE
    if not isinstance(order, Mapping):
        return BROKEN
    lines = records(order.get("lines"))
    if isinstance(lines, Unknown):
        return lines
    parts = []
    for line in lines:
        checks = [
            has(line, name, text) if name == "category" else is_text(line, name, text) for name, text in wanted.items()
        ]
        if no_batch:
            batch = line.get("batch")
            checks.append(True if batch is None else False if isinstance(batch, str) else BROKEN)
        parts.append(measured(line, every(checks), measure))
    return summed(parts)


def behaved(facts: Facts, params: Mapping[str, Any], *, counting: bool) -> int | float | Unknown:
    """How often, or of how many pieces, the user did something within the window that ends now."""
    now = moment_of(facts)
    done = records(facts.get("behaviours"))
    if isinstance(now, Unknown):
        return now
    if isinstance(done, Unknown):
        return done
    parts = []
    for record in done:
        checks = [is_text(record, name, params[name]) for name in ("action", "item_id") if name in params]
        checks += [has(record, "item_sets", params["item_set"])] if "item_set" in params else []
        checks += [has(record, "category", params["category"])] if "category" in params else []
        ago = age(record, now)
        # Left open: the window has its end, now, in it and its start not; what comes after now is not in it.
        checks.append(ago if isinstance(ago, Unknown) else 0 <= ago < params["window_s"])
        parts.append(measured(record, every(checks), one if counting else pieces))
    return summed(parts)


def seconds_since(facts: Facts, action: str) -> int | float | Unknown:
    """Left open: of a user who never did it this is missing; what comes after now has not been done."""
    now = moment_of(facts)
    done = records(facts.get("behaviours"))
    if isinstance(now, Unknown):
        return now
    if isinstance(done, Unknown):
        return done
    ages = []
    for record in done:
        ago = age(record, now)
        meant = every([is_text(record, "action", action), ago if isinstance(ago, Unknown) else ago >= 0])
        if isinstance(meant, Unknown):
            return meant
        if meant and not isinstance(ago, Unknown):
            ages.append(ago)
    return as_number(written(min(ages))) if ages else GONE


def moment_of(facts: Facts) -> datetime | Unknown:
    if facts.get("now") is None:
        return GONE
    return time_of(facts["now"]) or BROKEN


def local_time(facts: Facts) -> datetime | Unknown:
    now, name = moment_of(facts), facts.get("timezone")
    if isinstance(now, Unknown):
        return now
    zone: tzinfo = UTC
    if name is not None:
        if not isinstance(name, str) or not name:
            return BROKEN
        try:
            zone = ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            return BROKEN
    try:
        return now.astimezone(zone)
    except OverflowError:
        return BROKEN


def records(value: Any) -> list[Record] | Unknown:
    """A list of objects. Left open: one that is no object breaks the list."""
    if value is None:
        return GONE
    if not isinstance(value, (list, tuple)) or not all(isinstance(record, Mapping) for record in value):
        return BROKEN
    return list(value)


def is_text(record: Record, field: str, wanted: str) -> Meant:
    """Left open: a record that lacks a field is not meant by a question about it."""
    value = record.get(field)
    if value is None:
        return False
    return value == wanted if isinstance(value, str) else BROKEN


def has(record: Record, field: str, wanted: str) -> Meant:
    """Text, or a list of texts. Left open: a list with the text in it has it, whatever else is in it."""
    value = record.get(field)
    members = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(members, (list, tuple)):
        return BROKEN
    if wanted in members:
        return True
    return False if all(isinstance(member, str) for member in members) else BROKEN


def every(checks: Iterable[Meant]) -> Meant:
    """Kleene's `and`; unknown as the first one that is. Left open: a broken field of a line not meant disturbs nobody."""
    listed = list(checks)
    if any(check is False for check in listed):
        return False
    return next((check for check in listed if isinstance(check, Unknown)), True)


def measured(record: Record, meant: Meant, measure: Callable[[Record], Fraction | Unknown]) -> Fraction | Unknown:
    if isinstance(meant, Unknown):
        return meant
    return measure(record) if meant else Fraction(0)


def summed(parts: Iterable[Fraction | Unknown]) -> int | float | Unknown:
    """Decimal digits are added up as they are written. Left open: unknown as the first record that is."""
    whole = Fraction(0)
    for part in parts:
        if isinstance(part, Unknown):
            return part
        whole += part
    return as_number(whole)


def one(_: Record) -> Fraction:
    return Fraction(1)


def pieces(record: Record) -> Fraction | Unknown:
    """A line without `quantity` has 1. Left open: so has a behaviour; a quantity below zero is broken."""
    value = record.get("quantity")
    if value is None:
        return Fraction(1)
    return written(value) if is_number(value) and value >= 0 else BROKEN


def worth(line: Record) -> Fraction | Unknown:
    """Money is whole minor units. Left open: 200.0 is whole, and a price below zero is broken."""
    price = line.get("price_minor")
    if price is None:
        return GONE
    if not is_number(price) or price < 0 or price != int(price):
        return BROKEN
    count = pieces(line)
    return count if isinstance(count, Unknown) else int(price) * count


def age(record: Record, now: datetime) -> float | Unknown:
    """How many seconds ago."""
    if record.get("at") is None:
        return GONE
    then = time_of(record["at"])
    return BROKEN if then is None else (now - then).total_seconds()
