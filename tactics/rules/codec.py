"""Rules as JSON: strict in, canonical out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tactics.rules.blocks import default_registry
from tactics.rules.check import MAX_BYTES, problems_of
from tactics.rules.problem import RuleError
from tactics.rules.registry import Registry
from tactics.rules.tree import (
    Alias,
    And,
    Argument,
    Block,
    Condition,
    Mode,
    Node,
    Not,
    Or,
    Rule,
    So,
    Tiers,
    children,
    json_of,
)

# Where a rule says which blocks it was checked against.
_CHECKED = "_checked"


def parse(obj: object, registry: Registry | None = None) -> Rule:
    """Build a rule from JSON data; aliases may be open.

    Raises RuleError with every problem, each with its JSON Pointer.
    """
    registry = default_registry if registry is None else registry
    problems = problems_of(obj, open_aliases=True, registry=registry)
    if problems:
        raise RuleError(problems)
    rule = _rule(cast("Mapping[str, Any]", obj.to_json() if isinstance(obj, Node) else obj), registry)
    rule.__dict__[_CHECKED] = registry.blocks
    return rule


def was_checked(rule: Node, registry: Registry) -> bool:
    """Whether the rule was read from JSON with the blocks that the registry has now, and has no open parameter."""
    return rule.__dict__.get(_CHECKED) is registry.blocks and not any(_aliases(rule))


def loads(text: str | bytes, registry: Registry | None = None) -> Rule:
    """Build a rule from JSON text of at most 1 MiB.

    Refuses, with RuleError, what JSON readers disagree about: keys given twice, and numbers that are not finite.
    """
    return parse(load_json(text), registry)


def to_json(rule: Rule | Node) -> dict[str, object]:
    """The rule as canonical JSON data: `parse(to_json(rule)) == rule`. Raises RuleError as `dumps` does."""
    return json_of(rule)


def dumps(rule: Rule | Node) -> str:
    """The rule as canonical JSON text: keys sorted, no spaces.

    Raises RuleError for a rule that was built far deeper than the limit.
    """
    return rule.key


def load_json(text: str | bytes, max_bytes: int = MAX_BYTES) -> object:
    """JSON text of at most 1 MiB, or `max_bytes`, as data.

    Keys given twice and numbers that are not finite are refused by RuleError.
    """
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise RuleError.of("", "limit", f"the text has more than {max_bytes} bytes")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RuleError:
        raise
    except RecursionError:
        raise RuleError.of("", "limit", "the text is nested too deep") from None
    except ValueError as error:
        raise RuleError.of("", "json", f"this is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise RuleError.of("", "json", f"the key {key!r} is given twice in one object")
        found[key] = value
    return found


def _refuse_constant(name: str) -> object:
    raise RuleError.of("", "json", f"{name} is not a number in JSON")


def _aliases(node: Node) -> Iterator[Alias]:
    if isinstance(node, Alias):
        yield node
    for child in children(node):
        yield from _aliases(child)


def _rule(obj: Mapping[str, Any], registry: Registry) -> Rule:
    if "so" in obj:
        return _so(obj, registry)
    if "tiers" in obj:
        mode: Mode = obj["tiers"].get("mode", "highest")
        return Tiers(tuple(_so(step, registry) for step in obj["tiers"]["steps"]), mode)
    return _condition(obj, registry)


def _so(obj: Mapping[str, Any], registry: Registry) -> So:
    body = obj["so"]
    when = _condition(body["when"], registry) if "when" in body else None
    return So(when, tuple(_block(action, registry) for action in body["then"]))


def _condition(obj: Mapping[str, Any], registry: Registry) -> Condition:
    if "not" in obj:
        return Not(_condition(obj["not"], registry))
    if "and" in obj:
        return And(tuple(_condition(one, registry) for one in obj["and"]))
    if "or" in obj:
        return Or(tuple(_condition(one, registry) for one in obj["or"]))
    return _block(obj, registry)


def _block(obj: Mapping[str, Any], registry: Registry) -> Block:
    definition = registry.get(obj["block"])
    params = {name: _argument(value, registry) for name, value in obj.get("params", {}).items()}
    return Block(obj["block"], params, definition.kind if definition else None)


def _argument(value: Any, registry: Registry) -> Argument:
    if not isinstance(value, Mapping):
        return cast("Argument", value)
    return Alias(value["alias"]) if "alias" in value else _block(value, registry)
