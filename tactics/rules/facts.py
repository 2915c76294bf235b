"""One evaluation's view of the facts: read with care, since facts may have any shape, and each part only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import TypeAlias
from zoneinfo import ZoneInfo

from tactics.rules.value import Unknown, missing, moment, wrong_type

Record: TypeAlias = Mapping[str, object]


class Facts:
    """What resource blocks read.

    `item_id` is the current item where a rule is evaluated per item. Whatever is absent, null or of the wrong type
    comes back as `Unknown` with its reason, never as an exception.
    """

    def __init__(self, raw: object, item_id: str | None = None) -> None:
        self.raw: Record = raw if isinstance(raw, Mapping) else {}
        self.item_id = item_id

    def attribute(self, section: str, name: str) -> object:
        """`facts[section][name]`, or `Unknown`."""
        record = self.raw.get(section)
        if record is None:
            return missing(section)
        if not isinstance(record, Mapping):
            return wrong_type(section, record, "an object")
        value = record.get(name)
        return missing(f"{section}.{name}") if value is None else value

    @cached_property
    def scene(self) -> str | None:
        """Where the price is shown; None where facts do not say so."""
        scene = self.raw.get("scene")
        return scene if isinstance(scene, str) else None

    @cached_property
    def now(self) -> datetime | Unknown:
        """The evaluation's moment, aware."""
        value = self.raw.get("now")
        if value is None:
            return missing("now")
        return moment(value) or wrong_type("now", value, "a time as ISO 8601 with an offset")

    @cached_property
    def local_now(self) -> datetime | Unknown:
        """`now` in the time zone of the facts, UTC by default."""
        if isinstance(self.now, Unknown):
            return self.now
        zone = _zone(self.raw.get("timezone"))
        if isinstance(zone, Unknown):
            return zone
        try:
            return self.now.astimezone(zone)
        except OverflowError:
            return wrong_type("now", self.now, "a time that this time zone can show")

    @cached_property
    def lines(self) -> Sequence[Record] | Unknown:
        """The lines of the order."""
        order = self.raw.get("order")
        if order is None:
            return missing("order")
        if not isinstance(order, Mapping):
            return wrong_type("order", order, "an object")
        return _records("order.lines", order.get("lines"))

    @cached_property
    def behaviours(self) -> Sequence[Record] | Unknown:
        """What the user did recently."""
        return _records("behaviours", self.raw.get("behaviours"))


def _records(name: str, value: object) -> Sequence[Record] | Unknown:
    if value is None:
        return missing(name)
    if not isinstance(value, (list, tuple)):
        return wrong_type(name, value, "a list")
    for index, record in enumerate(value):
        if not isinstance(record, Mapping):
            return wrong_type(f"{name}[{index}]", record, "an object")
    return value


def _zone(value: object) -> tzinfo | Unknown:
    if value is None:
        return UTC
    if isinstance(value, str) and value:
        try:
            return ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            # A name that ZoneInfo does not know ends in any of these, by what is on disk under it.
            return wrong_type("timezone", value, "an IANA time zone")
    return wrong_type("timezone", value, "an IANA time zone")
