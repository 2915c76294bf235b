"""What a rule is made of: frozen nodes that compare by what they say.

A rule is a `So`, a `Tiers`, or a bare condition (`Block`, `Not`, `And`, `Or`). Nodes check only their own shape; kinds
and types are the business of `check`. Source: the article's Metadatable classes, C-43 to C-50.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Literal, TypeAlias

from tactics.rules.problem import RuleError, pointer
from tactics.rules.value import Scalar, is_constant

Kind = Literal["resource", "condition", "action"]
Mode = Literal["highest", "first", "all"]
MODES: tuple[Mode, ...] = ("highest", "first", "all")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Node:
    """Equal to another when both are the same JSON (Python alone would call 1 and true equal)."""

    def to_json(self) -> dict[str, object]:
        """This node as canonical JSON data; the caller may change what it gets."""
        raise NotImplementedError

    @cached_property
    def key(self) -> str:
        """The canonical JSON text: keys sorted, no spaces. Raises RuleError for a rule deeper than Python can walk."""
        return _CANONICAL.encode(json_of(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __getstate__(self) -> dict[str, object]:
        """What makes this node; not what was worked out from it."""
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]  # every node is a dataclass


def json_of(node: Node) -> dict[str, object]:
    """The node as canonical JSON data. Raises RuleError for a rule deeper than Python can walk, far beyond any limit."""
    try:
        return node.to_json()
    except RecursionError:
        raise RuleError.of("", "limit", "the rule is nested too deep") from None


def written(node: Node) -> tuple[str, dict[str, object]]:
    """The node's canonical JSON text, which it keeps, and the data; raises RuleError as `json_of` does."""
    data = json_of(node)
    text: str = node.__dict__.setdefault("key", _CANONICAL.encode(data))
    return text, data


class Combinable(Node):
    """What may stand in a condition's place, and so has `&`, `|` and `~`."""

    def __and__(self, other: Condition) -> And:
        return And((*(self.conditions if isinstance(self, And) else (_condition(self),)), other))

    def __or__(self, other: Condition) -> Or:
        return Or((*(self.conditions if isinstance(self, Or) else (_condition(self),)), other))

    def __invert__(self) -> Not:
        return Not(_condition(self))


@dataclass(frozen=True, eq=False)
class Alias(Node):
    """An open parameter: its name is bound to a value by the tool or the activity that uses the rule."""

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise RuleError.of("/alias", "form", "the name of an open parameter is text")

    def to_json(self) -> dict[str, object]:
        return {"alias": self.name}


Constant: TypeAlias = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, eq=False)
class Block(Combinable):
    """A building block with its parameters: constants, resource blocks or aliases.

    `kind` is known when a declared block or the codec made the node; it plays no part in equality.
    """

    block: str
    params: Mapping[str, Constant | Block | Alias] = field(default_factory=dict)
    kind: Kind | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.block, str):
            raise RuleError.of("/block", "form", "the id of a block is text")
        if not isinstance(self.params, Mapping) or not all(isinstance(name, str) for name in self.params):
            raise RuleError.of("/params", "form", "an object with the parameters belongs here, named by text")
        frozen = {name: _argument(value, pointer("", "params", name)) for name, value in self.params.items()}
        object.__setattr__(self, "params", MappingProxyType(frozen))

    def __reduce__(self) -> tuple[type[Block], tuple[object, ...]]:
        return Block, (self.block, dict(self.params), self.kind)

    def to_json(self) -> dict[str, object]:
        return {"block": self.block, "params": {name: _argument_json(value) for name, value in self.params.items()}}


Argument: TypeAlias = Constant | Block | Alias


@dataclass(frozen=True, eq=False)
class Not(Combinable):
    """Holds when its condition does not; unknown stays unknown."""

    condition: Condition

    def __post_init__(self) -> None:
        _refuse_unless_condition(self.condition, "/not")

    def to_json(self) -> dict[str, object]:
        return {"not": self.condition.to_json()}


@dataclass(frozen=True, eq=False)
class And(Combinable):
    """Holds when all of its conditions do."""

    conditions: tuple[Condition, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "conditions", _conditions(self.conditions, "/and"))

    def to_json(self) -> dict[str, object]:
        return {"and": [condition.to_json() for condition in self.conditions]}


@dataclass(frozen=True, eq=False)
class Or(Combinable):
    """Holds when any of its conditions does."""

    conditions: tuple[Condition, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "conditions", _conditions(self.conditions, "/or"))

    def to_json(self) -> dict[str, object]:
        return {"or": [condition.to_json() for condition in self.conditions]}


Condition: TypeAlias = Block | Not | And | Or


@dataclass(frozen=True, eq=False)
class So(Node):
    """When the condition holds (always, without one), the actions are the effects."""

    when: Condition | None
    then: tuple[Block, ...]

    def __post_init__(self) -> None:
        if self.when is not None:
            _refuse_unless_condition(self.when, "/so/when")
        object.__setattr__(self, "then", tuple(self.then))
        if not self.then:
            raise RuleError.of("/so/then", "form", "at least one action is needed")
        for index, action in enumerate(self.then):
            if not isinstance(action, Block) or action.kind not in (None, "action"):
                raise RuleError.of(pointer("/so/then", index), "kind", f"an action belongs here, not {_name(action)}")

    def to_json(self) -> dict[str, object]:
        when = {} if self.when is None else {"when": self.when.to_json()}
        return {"so": {**when, "then": [action.to_json() for action in self.then]}}


@dataclass(frozen=True, eq=False)
class Tiers(Node):
    """A ladder: of the steps that hold, the last listed (`highest`), the first, or all."""

    steps: tuple[So, ...]
    mode: Mode = "highest"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        if self.mode not in MODES:
            raise RuleError.of("/tiers/mode", "form", f"mode is one of {', '.join(MODES)}")
        if not self.steps:
            raise RuleError.of("/tiers/steps", "form", "at least one step is needed")
        for index, step in enumerate(self.steps):
            if not isinstance(step, So):
                raise RuleError.of(pointer("/tiers/steps", index), "form", f"a `so` belongs here, not {_name(step)}")

    def to_json(self) -> dict[str, object]:
        return {"tiers": {"mode": self.mode, "steps": [step.to_json() for step in self.steps]}}


Rule: TypeAlias = Condition | So | Tiers


def children(node: Node) -> list[Node]:
    """The nodes right below a node: its blocks and open parameters, its conditions, its steps."""
    if isinstance(node, Block):
        return [value for value in node.params.values() if isinstance(value, Node)]
    if isinstance(node, Not):
        return [node.condition]
    if isinstance(node, (And, Or)):
        return list(node.conditions)
    if isinstance(node, So):
        return [*([] if node.when is None else [node.when]), *node.then]
    return list(node.steps) if isinstance(node, Tiers) else []


def blocks_of(node: Node) -> Iterator[Block]:
    """Every block of a rule or of a part of one, resources included."""
    if isinstance(node, Block):
        yield node
    for child in children(node):
        yield from blocks_of(child)


def so(*parts: Condition) -> So:
    """Build a `So`: the condition first, unless it is left out, then one action or more.

    A single block, or a first part that is an action, means "always".
    """
    first = parts[0] if parts else None
    if isinstance(first, Block) and first.kind == "action":
        return So(None, parts)  # type: ignore[arg-type]  # So itself refuses what is not an action
    return So(first, parts[1:])  # type: ignore[arg-type]  # as above


def tiers(*steps: So, mode: Mode = "highest") -> Tiers:
    """Build a ladder of `so` steps, listed from the least to the most."""
    return Tiers(steps, mode)


def _argument(value: object, path: str) -> Argument:
    if isinstance(value, (Block, Alias)):
        return value
    if is_constant(value):
        return tuple(value) if isinstance(value, (list, tuple)) else value  # type: ignore[return-value]  # just checked
    raise RuleError.of(path, "type", f"a constant, a resource block or an alias belongs here, not {_name(value)}")


def _argument_json(value: Argument) -> object:
    return value.to_json() if isinstance(value, Node) else list(value) if isinstance(value, tuple) else value


def _conditions(conditions: Iterable[Condition], path: str) -> tuple[Condition, ...]:
    kept = tuple(conditions)
    if not kept:
        raise RuleError.of(path, "form", "at least one condition is needed")
    for index, condition in enumerate(kept):
        _refuse_unless_condition(condition, pointer(path, index))
    return kept


def _condition(node: Combinable) -> Condition:
    _refuse_unless_condition(node, "")
    return node  # type: ignore[return-value]  # just checked


def _refuse_unless_condition(node: object, path: str) -> None:
    if not isinstance(node, (Block, Not, And, Or)) or (
        isinstance(node, Block) and node.kind not in (None, "condition")
    ):
        raise RuleError.of(path, "kind", f"a condition belongs here, not {_name(node)}")


def _name(node: object) -> str:
    if isinstance(node, Block):
        return f"{node.block}, {'an' if node.kind == 'action' else 'a'} {node.kind or 'block'}"
    return f"a {type(node).__name__}"
