"""What one condition asks of one resource: the values for which it holds, and those for which it does not.

Known are the standard conditions that judge one resource, or a constant, by constants. Any other (two resources, an open
parameter, a plugin's condition, `contains`, `has_member`) is opaque: all that is known is that it has one answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tactics.rules.block import BlockDefinition, python_name
from tactics.rules.blocks import STANDARD_BLOCKS
from tactics.rules.blocks import condition as conditions
from tactics.rules.blocks import resource as resources
from tactics.rules.region import (
    ANYTHING,
    BAD,
    FALSE,
    FINITE,
    MISSING,
    SCALARS,
    TRUE,
    Cut,
    Cuts,
    Region,
    after,
    before,
    instant,
    points,
    rest_of,
    span,
)
from tactics.rules.registry import Registry
from tactics.rules.value import Unknown, is_number


@dataclass(frozen=True, slots=True)
class Atom:
    """A condition on the resource `subject`, which may be anything in `domain`.

    Where neither `holds` nor `fails`, the condition is unknown. Without a subject it judges a constant: `holds` and
    `fails` are then everything or nothing.
    """

    subject: str | None
    domain: Region
    holds: Region
    fails: Region


@dataclass(frozen=True, slots=True)
class Bound:
    """A condition that an amount reaches a bound; `open_end` when there is no upper one."""

    subject: str
    cut: Cut
    asked: int | float
    open_end: bool


_NOTHING = Region()
_OPAQUE = Region(frozenset({TRUE, FALSE, BAD}))
_KNOWN = ANYTHING - Region(frozenset({MISSING, BAD}))
_STANDARD = {block.definition.id: block.definition for block in STANDARD_BLOCKS}


def _numbers(cuts: Cuts) -> Region:
    return Region(frozenset({MISSING, BAD}), cuts)


_FROM_0 = _numbers(span((0, 0), None, FINITE))
_WHOLE = frozenset(
    block.definition.id for block in (resources.behaviour_count, resources.hour_of_day, resources.day_of_week)
)
# What else the standard resources are known to be; attributes are anything.
_DOMAINS: dict[str, Region] = {
    **{
        block.definition.id: _FROM_0
        for block in (
            resources.order_amount,
            resources.order_quantity,
            resources.item_amount,
            resources.item_quantity,
            resources.sku_amount,
            resources.sku_quantity,
            resources.category_amount,
            resources.category_quantity,
            resources.no_batch_item_quantity,
            resources.behaviour_count,
            resources.behaviour_quantity,
            resources.seconds_since,
        )
    },
    resources.hour_of_day.definition.id: _numbers(((0, 0), (24, 0))),
    resources.day_of_week.definition.id: _numbers(((1, 0), (8, 0))),
    resources.now.definition.id: Region(frozenset({MISSING, BAD}), moments=ANYTHING.moments),
}


def atom_of(block: Mapping[str, Any], registry: Registry) -> Atom:
    """What this condition, which is well-formed, asks."""
    definition = _standard(registry, block["block"])
    params = block.get("params", {})
    judge = None if definition is None else _JUDGES.get(definition.id)
    if judge is None or definition is None or definition.subject is None or has_alias(block):
        return _opaque(block)
    asked = {name: value for name, value in params.items() if name != definition.subject}
    if any(isinstance(value, Mapping) for value in asked.values()):
        return _opaque(block)
    judged = params[definition.subject]
    if not isinstance(judged, Mapping):
        return _of_constant(definition, params)
    subject = _standard(registry, judged["block"])
    whole = subject is not None and subject.id in _WHOLE
    domain = ANYTHING if subject is None else _DOMAINS.get(subject.id, ANYTHING)
    holds, fails = judge(asked, whole)
    if domain is not ANYTHING:
        holds, fails = holds & domain, fails & domain
    return Atom(canonical_text(judged), domain, holds, fails)


def bound_of(block: Mapping[str, Any], registry: Registry) -> Bound | None:
    """The bound that this condition wants an amount to reach; None where it is another kind of condition."""
    definition = _standard(registry, block["block"])
    low = {
        conditions.amount_at_least.definition.id: ("amount_at", before),
        conditions.amount_more_than.definition.id: ("amount_at", after),
        conditions.amount_between.definition.id: ("low", before),
    }.get(definition.id if definition else "")
    if low is None:
        return None
    name, cut = low
    params = block["params"]
    subject, asked = params["amount"], params[name]
    if not isinstance(subject, Mapping) or has_alias(block) or isinstance(asked, Mapping):
        return None
    source = _standard(registry, subject.get("block", ""))
    place = cut(asked, whole=source is not None and source.id in _WHOLE)
    return Bound(canonical_text(subject), place, asked, name == "amount_at")


def canonical_text(node: object) -> str:
    """The same text for nodes that say the same."""
    return json.dumps(_canonical(node), sort_keys=True)


def has_alias(node: object) -> bool:
    """Whether a parameter in it is open."""
    if not isinstance(node, Mapping):
        return False
    return any(map(has_alias, node.get("params", {}).values())) if "block" in node else "alias" in node


def _canonical(node: object) -> object:
    if not isinstance(node, Mapping):
        return node
    if "block" in node:
        return {"block": node["block"], "params": _canonical(node.get("params", {}))}
    return {name: _canonical(part) for name, part in node.items()}


def _standard(registry: Registry, block_id: str) -> BlockDefinition | None:
    """The block's declaration, where it is a standard one that computes the same in every scene."""
    found = registry.get(block_id)
    ours = _STANDARD.get(block_id)
    same = found is not None and ours is not None and found.implementation is ours.implementation and not found.scenes
    return found if same else None


def _opaque(block: Mapping[str, Any]) -> Atom:
    return Atom(canonical_text(block), _OPAQUE, Region(frozenset({TRUE})), Region(frozenset({FALSE})))


def _of_constant(definition: BlockDefinition, params: Mapping[str, Any]) -> Atom:
    compute = definition.implementation
    answer = compute(**{python_name(name): value for name, value in params.items()}) if compute else None
    if isinstance(answer, Unknown):
        return Atom(None, ANYTHING, _NOTHING, _NOTHING)
    return Atom(None, ANYTHING, *((ANYTHING, _NOTHING) if answer else (_NOTHING, ANYTHING)))


_Asked = Mapping[str, Any]


def _between(start: Cut | None, end: Cut | None) -> tuple[Region, Region]:
    cuts = span(start, end, FINITE)
    return Region(numbers=cuts), Region(numbers=rest_of(cuts, FINITE))


def _at_least(asked: _Asked, whole: bool) -> tuple[Region, Region]:
    return _between(before(asked["amount_at"], whole=whole), None)


def _more_than(asked: _Asked, whole: bool) -> tuple[Region, Region]:
    return _between(after(asked["amount_at"], whole=whole), None)


def _below(asked: _Asked, whole: bool) -> tuple[Region, Region]:
    return _between(None, before(asked["amount_at"], whole=whole))


def _from_to(asked: _Asked, whole: bool) -> tuple[Region, Region]:
    return _between(before(asked["low"], whole=whole), after(asked["high"], whole=whole))


def _within(asked: _Asked, whole: bool) -> tuple[Region, Region]:
    ends = [asked.get("from"), asked.get("to")]
    if any(is_number(end) for end in ends):
        return _between(*(None if end is None else before(end, whole=whole) for end in ends))
    start, end = (None if at is None else (at, 0) for at in map(instant, ends))
    cuts = span(start, end)
    rest = rest_of(cuts)
    return Region(moments=cuts, timed=cuts), Region(moments=rest, timed=rest)


def _equals(asked: _Asked, whole: bool) -> tuple[Region, Region]:
    return _one_of([asked["to"]], whole)


def _in_set(asked: _Asked, whole: bool) -> tuple[Region, Region]:
    return _one_of(asked["values"], whole)


def _one_of(values: Iterable[object], whole: bool) -> tuple[Region, Region]:
    values = list(values)
    texts = frozenset((value, instant(value)) for value in values if isinstance(value, str))
    holds = Region(
        frozenset(TRUE if value else FALSE for value in values if isinstance(value, bool)),
        points((value for value in values if is_number(value)), whole=whole),  # type: ignore[misc]  # numbers by then
        points((at for _, at in texts if at is not None), whole=True),
        odd=texts,
    )
    return holds, SCALARS - holds


def _exists(_: _Asked, whole: bool) -> tuple[Region, Region]:  # noqa: ARG001 -- all judges are called alike
    return _KNOWN, Region(frozenset({MISSING}))


_JUDGES: dict[str, Callable[[_Asked, bool], tuple[Region, Region]]] = {
    conditions.amount_at_least.definition.id: _at_least,
    conditions.amount_more_than.definition.id: _more_than,
    conditions.amount_below.definition.id: _below,
    conditions.amount_between.definition.id: _from_to,
    conditions.within.definition.id: _within,
    conditions.equals.definition.id: _equals,
    conditions.in_set.definition.id: _in_set,
    conditions.exists.definition.id: _exists,
}
