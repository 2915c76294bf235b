"""The standard conditions, each named by its exact operator. An unknown value makes them unknown, `exists` apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from tactics.rules.block import condition
from tactics.rules.parameter import Parameter, anything, flag, integer, number, point, scalar, scalars, text
from tactics.rules.parameter import members as members_of
from tactics.rules.tree import Alias, Block
from tactics.rules.value import Number, Scalar, Unknown, exact, is_member, is_number, moment, same

_AMOUNT: dict[str, Parameter] = {"amount": number("the amount that is judged")}


def _multiple_is_enabled(given: Mapping[str, object]) -> str | None:
    enabled = given.get("enable_multiple", False)
    return "max_multiple needs enable_multiple to be true" if "max_multiple" in given and enabled is False else None


def _ends_match(given: Mapping[str, object]) -> str | None:
    ends = [given[name] for name in ("from", "to") if name in given]
    if not ends:
        return "`from`, `to` or both are needed"
    constants = [is_number(end) for end in ends if not isinstance(end, (Block, Alias))]
    return "`from` and `to` are both numbers or both times" if len(set(constants)) > 1 else None


@condition(
    "pbb.condition.amount_at_least",
    "The amount is at least amount_at; with enable_multiple, once for each whole amount_at in it",
    {
        **_AMOUNT,
        "amount_at": number("the least that is enough", above=0),
        "enable_multiple": flag("count how many times amount_at fits", optional=True),
        "max_multiple": integer("count no more than this", minimum=1, optional=True),
    },
    words="at least {amount_at}",
    subject="amount",
    alike=("amount", "amount_at"),
    verify=_multiple_is_enabled,
    counts=True,
    total=True,
)
def amount_at_least(
    amount: Number, amount_at: Number, *, enable_multiple: bool = False, max_multiple: int | None = None
) -> object:
    if amount < amount_at:
        return False
    if not enable_multiple:
        return True
    # The amount is enough, so it is once at least: as decimals the two may differ where as numbers they do not.
    times = max(1, int(exact(amount) / exact(amount_at)))
    return times if max_multiple is None else min(times, max_multiple)


@condition(
    "pbb.condition.amount_more_than",
    "The amount is more than amount_at",
    {**_AMOUNT, "amount_at": number("what the amount has to exceed")},
    words="more than {amount_at}",
    subject="amount",
    alike=("amount", "amount_at"),
    total=True,
)
def amount_more_than(amount: Number, amount_at: Number) -> object:
    return amount > amount_at


@condition(
    "pbb.condition.amount_below",
    "The amount is less than amount_at",
    {**_AMOUNT, "amount_at": number("what the amount has to stay under")},
    words="less than {amount_at}",
    subject="amount",
    alike=("amount", "amount_at"),
    total=True,
)
def amount_below(amount: Number, amount_at: Number) -> object:
    return amount < amount_at


@condition(
    "pbb.condition.amount_between",
    "The amount lies from low to high, both included",
    {**_AMOUNT, "low": number("the least"), "high": number("the most")},
    words="from {low} to {high}",
    subject="amount",
    alike=("amount", "low", "high"),
    total=True,
)
def amount_between(amount: Number, low: Number, high: Number) -> object:
    return low <= amount <= high


@condition(
    "pbb.condition.equals",
    "The value is this one; values of different types never are",
    {"value": scalar("the value that is judged"), "to": scalar("what it has to be")},
    words="exactly {to}",
    subject="value",
    alike=("value", "to"),
    total=True,
)
def equals(value: Scalar | datetime, to: Scalar | datetime) -> object:
    return same(value, to)


@condition(
    "pbb.condition.in_set",
    "The value is one of a list",
    {"value": scalar("the value that is judged"), "values": scalars("the list")},
    words="one of {values}",
    subject="value",
    total=True,
)
def in_set(value: Scalar | datetime, values: Sequence[Scalar]) -> object:
    # Text equals nothing but text, to Python as well: lists may be long.
    return value in values if value.__class__ is str else any(same(value, member) for member in values)


@condition(
    "pbb.condition.has_member",
    "The value is a list that has this member",
    {"value": members_of("the list that is judged"), "member": scalar("what it has to have")},
    words="a list with {member}",
    subject="value",
    total=True,
)
def has_member(value: Sequence[object], member: Scalar | datetime) -> object:
    return is_member(member, value)


@condition(
    "pbb.condition.contains",
    "The value is text that has this text in it",
    {"value": text("the text that is judged", empty=True), "text": text("what it has to contain")},
    words="text with {text} in it",
    subject="value",
    total=True,
)
def contains(value: str, text: str) -> object:
    return text in value


@condition(
    "pbb.condition.within",
    "The value, a time or a number, is not before `from` and is before `to`",
    {
        "value": point("the time or number that is judged"),
        "from": point("the first that is within", optional=True),
        "to": point("the first that is no longer within", optional=True),
    },
    words="within its bounds",
    subject="value",
    alike=("value", "from", "to"),
    verify=_ends_match,
    total=True,
)
def within(value: object, from_: object = None, to: object = None) -> object:
    place = _number if is_number(value) else moment
    at, start, end = place(value), place(from_), place(to)
    if (from_ is not None and start is None) or (to is not None and end is None):
        return Unknown("wrong_type", "a time and a number cannot be compared")
    return (start is None or start <= at) and (end is None or at < end)  # type: ignore[operator]  # one kind of value


@condition(
    "pbb.condition.exists",
    "The value is there: not absent and not null",
    {"value": anything("the value that is judged")},
    words="a value",
    subject="value",
    total=True,
)
def exists(value: object) -> object:
    if isinstance(value, Unknown):
        return False if value.code == "missing" else value
    return True


def _number(value: object) -> Number | None:
    return value if is_number(value) else None  # type: ignore[return-value]  # is_number has just said so


BLOCKS = (
    amount_at_least,
    amount_more_than,
    amount_below,
    amount_between,
    equals,
    in_set,
    has_member,
    contains,
    within,
    exists,
)
