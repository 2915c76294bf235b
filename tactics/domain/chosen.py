"""Which benefits a rule's actions choose, and which outside benefit system gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tactics.domain.provider import LOCAL

if TYPE_CHECKING:
    from tactics.domain.activity import Benefit, BenefitKind

KIND_OF: Mapping[str, BenefitKind] = MappingProxyType(
    {"send_coupon": "coupon", "give_points": "points", "rebate": "rebate", "gift": "gift"}
)
"""The kind of what an action gives, by the last part of its block's name; any other lowers a price."""

_Path = tuple[str | int, ...]


def kind_of(block: str) -> BenefitKind:
    """Give the kind of what an action gives."""
    return KIND_OF.get(block.rsplit(".", 1)[-1], "price")


def benefit_for(benefits: Mapping[str, Benefit], kind: BenefitKind, named: object) -> str | None:
    """Give the benefit that an action gives: the one that it names, else the only one of its kind; None is none."""
    if isinstance(named, str):
        return named
    candidates = [name for name, benefit in benefits.items() if benefit.kind == kind]
    return candidates[0] if len(candidates) == 1 else None


def benefits_named(node: object) -> Iterator[str]:
    """Find the benefits that a rule's actions name."""
    if isinstance(node, dict):
        params = node.get("params")
        if str(node.get("block", "")).find(".action.") > 0 and isinstance(params, dict):
            name = params.get("benefit")
            if isinstance(name, str):
                yield name
        for part in node.values():
            yield from benefits_named(part)
    elif isinstance(node, list):
        for part in node:
            yield from benefits_named(part)


def mixed_providers(rule: Mapping[str, Any], benefits: Mapping[str, Benefit]) -> Iterator[tuple[_Path, list[str]]]:
    """Find where one evaluation may give benefits of more than one outside system.

    Returns:
        The place of each step that does, or of all steps that apply together, with the names of the systems.
    """
    found: list[tuple[_Path, list[str]]] = []
    _collect(rule, (), benefits, found)
    yield from found


def _collect(
    rule: Mapping[str, Any], path: _Path, benefits: Mapping[str, Benefit], found: list[tuple[_Path, list[str]]]
) -> set[str]:
    """Give the outside systems that a part of the rule may call in one evaluation; what mixes them is added."""
    if "so" in rule:
        together = {name for action in rule["so"]["then"] if (name := _outside(action, benefits))}
        path = (*path, "so", "then")
    elif "tiers" in rule:
        steps = rule["tiers"]["steps"]
        before = len(found)
        each = [_collect(step, (*path, "tiers", "steps", at), benefits, found) for at, step in enumerate(steps)]
        # A step that mixes them by itself is named already.
        if len(found) > before or rule["tiers"].get("mode") != "all":
            return set().union(*each)
        together, path = set().union(*each), (*path, "tiers")
    else:
        return set()
    if len(together) > 1:
        found.append((path, sorted(together)))
    return together


def _outside(action: Mapping[str, Any], benefits: Mapping[str, Benefit]) -> str | None:
    params = action.get("params", {})
    chosen = benefits.get(benefit_for(benefits, kind_of(str(action["block"])), params.get("benefit")) or "")
    return chosen.provider if chosen is not None and chosen.provider != LOCAL else None
