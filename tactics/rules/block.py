"""What a building block is, and how one is declared.

A block is one function with declared parameters. The decorators turn it into a `Builder`: called, it makes the tree's
node; its `definition` goes into a registry. A wrong declaration fails where it is written. Source: C-42, C-46 to C-49.

    @resource("acme.resource.visits", "How often the user came", words="visits", gives="number", unit="count")
    def visits(facts: Facts) -> object:
        return facts.attribute("user", "visits")
"""

from __future__ import annotations

import inspect
import keyword
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tactics.rules.parameter import GIVES, Gives, Parameter, Unit, describe
from tactics.rules.problem import Problem, RuleError, pointer
from tactics.rules.quick import Quick, Section
from tactics.rules.tree import Alias, Argument, Block, Kind
from tactics.rules.value import is_constant

# The part of the facts that a resource reads, so that a caller loads what is needed and no more.
Reads = Literal["user", "event", "order", "items", "behaviours", "now", "placement"]
Implementation = Callable[..., Any]
# Looks at all parameters together; answers what is wrong, or None. Values may be blocks or aliases.
Verify = Callable[[Mapping[str, object]], str | None]

_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


@dataclass(frozen=True)
class BlockDefinition:
    """One declared block.

    `words` names what a resource fetches, or says what a condition asks for, with `{parameter}` in it; `subject` is the
    parameter whose value a condition judges. `alike` lists parameters that have to count the same thing.
    `scenes` holds other computations, by scene. `per_item` blocks mean the current item when no item is named.
    A condition with `counts` may answer how many times it holds.

    `total`: the block is pure and total. It answers the same for the same facts and never raises, so that the compiler
    may ask it sooner or later than it stands in the rule. `quick`: how a resource is computed where facts are simple.
    """

    id: str
    kind: Kind
    description: str
    parameters: Mapping[str, Parameter]
    words: str
    implementation: Implementation | None = None
    scenes: Mapping[str, Implementation] = field(default_factory=dict)
    gives: Gives | None = None
    unit: Unit | None = None
    reads: tuple[Reads, ...] = ()
    subject: str | None = None
    alike: tuple[str, ...] = ()
    verify: Verify | None = None
    per_item: bool = False
    counts: bool = False
    total: bool = False
    quick: Quick | Section | None = None

    def __post_init__(self) -> None:
        wrong = list(_misdeclared(self))
        if wrong:
            raise RuleError(Problem("", "declaration", f"block {self.id!r}: {text}") for text in wrong)

    @cached_property
    def named_in_words(self) -> tuple[str, ...]:
        """The parameters that `words` names."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.words) if name is not None)


@dataclass(frozen=True)
class Builder:
    """Makes nodes of one block; call it with the block's parameters, in order or by name (`from_` for `from`)."""

    definition: BlockDefinition

    def __call__(self, *values: Argument | list[Any], **named: Argument | list[Any] | None) -> Block:
        """The block as a node of a rule.

        Each parameter is a constant, a resource block or an alias; None leaves an optional one out. Raises RuleError
        with everything that is wrong.
        """
        definition = self.definition
        names = list(definition.parameters)
        if len(values) > len(names):
            raise RuleError.of("/params", "unknown_param", f"{definition.id} takes {len(names)} parameters")
        given: dict[str, object] = dict(zip(names, values, strict=False))
        for name, value in named.items():
            plain = name.removesuffix("_")
            if plain in given:
                raise RuleError.of(pointer("/params", plain), "form", "given twice")
            given[plain] = value
        given = {name: value for name, value in given.items() if value is not None}
        problems = list(misfits(definition, given))
        if problems:
            raise RuleError(problems)
        return Block(definition.id, given, definition.kind)  # type: ignore[arg-type]  # just checked


def resource(
    block_id: str,
    description: str,
    parameters: Mapping[str, Parameter] | None = None,
    *,
    words: str,
    gives: Gives,
    **more: Any,
) -> Callable[[Implementation], Builder]:
    """Declare a resource: a function of the facts and the parameters that fetches a value, or `Unknown`.

    `more` are further fields of `BlockDefinition`: unit, reads, scenes, verify, per_item, total, quick. Raises RuleError when the
    declaration does not hold together.
    """

    def declare(implementation: Implementation) -> Builder:
        definition = BlockDefinition(
            block_id, "resource", description, dict(parameters or {}), words, implementation, gives=gives, **more
        )
        return Builder(definition)

    return declare


def condition(
    block_id: str, description: str, parameters: Mapping[str, Parameter], *, words: str, subject: str, **more: Any
) -> Callable[[Implementation], Builder]:
    """Declare a condition: a function of the parameters that answers True, False, `Unknown`, or how many times it holds.

    `more` are further fields of `BlockDefinition`: alike, scenes, verify, counts, total. Raises RuleError as `resource` does.
    """

    def declare(implementation: Implementation) -> Builder:
        definition = BlockDefinition(
            block_id, "condition", description, dict(parameters), words, implementation, subject=subject, **more
        )
        return Builder(definition)

    return declare


def action(
    block_id: str, description: str, parameters: Mapping[str, Parameter] | None = None, *, words: str, **more: Any
) -> Builder:
    """Declare an action: it describes what to give and computes nothing, so it has no function.

    `more` are further fields of `BlockDefinition`: verify, per_item. Raises RuleError as `resource` does.
    """
    return Builder(BlockDefinition(block_id, "action", description, dict(parameters or {}), words, **more))


def misfits(definition: BlockDefinition, given: Mapping[str, object]) -> list[Problem]:
    """What is wrong with a block's constants and names of parameters; nested nodes are only known to be nodes.

    Paths start at the block.
    """
    problems = [
        Problem(pointer("/params", name), "unknown_param", f"{definition.id} has no parameter {name!r}")
        for name in given
        if name not in definition.parameters
    ]
    for name, parameter in definition.parameters.items():
        misfit = _misfit(definition, name, parameter, given)
        if misfit is not None:
            problems.append(Problem(pointer("/params", name), *misfit))
    if not problems and definition.verify is not None:
        wrong = definition.verify(given)
        problems += [Problem("/params", "form", wrong)] if wrong else []
    return problems


def _misfit(
    definition: BlockDefinition, name: str, parameter: Parameter, given: Mapping[str, object]
) -> tuple[str, str] | None:
    """The code and the message of what is wrong with one parameter."""
    if name not in given:
        return None if parameter.optional else ("missing_param", f"{definition.id} needs {name!r}")
    value = given[name]
    if isinstance(value, Alias):
        return None
    if isinstance(value, Block):
        is_one = value.kind in (None, "resource")
        return None if is_one else ("kind", f"{value.block} is a {value.kind}; a resource belongs here")
    return None if is_constant(value) and parameter.fits(value) is None else ("type", describe(parameter, value))


def _misdeclared(definition: BlockDefinition) -> list[str]:
    wrong: list[str] = []
    if not _ID.fullmatch(definition.id):
        wrong.append("the id is dotted lower-case words, such as acme.resource.visits")
    if not definition.description.strip():
        wrong.append("a description is needed")
    declared: Mapping[str, object] = definition.parameters
    for name, parameter in declared.items():
        if not isinstance(parameter, Parameter):
            wrong.append(f"parameter {name!r} is declared by one of text, integer, number…, not {parameter!r}")
    if not _may_be_quick(definition):
        wrong.append("a quick form is for resources; that of a section for one with the one parameter `name`")
    if (definition.kind == "resource") != (definition.gives is not None) or definition.gives not in (None, *GIVES):
        wrong.append("a resource says what it gives, one of " + ", ".join(GIVES))
    if (definition.kind == "condition") != (definition.subject is not None):
        wrong.append("a condition names the parameter it judges as its subject")
    named = (*definition.named_in_words, *definition.alike, *filter(None, [definition.subject]))
    wrong += [f"{name!r} is not one of its parameters" for name in named if name not in declared]
    if not wrong:
        for implementation in (definition.implementation, *definition.scenes.values()):
            wrong += signature_problems(definition, implementation)
    return wrong


def _may_be_quick(definition: BlockDefinition) -> bool:
    if isinstance(definition.quick, Section) and list(definition.parameters) != ["name"]:
        return False
    return definition.quick is None or definition.kind == "resource"


def signature_problems(definition: BlockDefinition, implementation: Implementation | None) -> list[str]:
    """Why this function cannot compute this block: it has to take the facts (a resource) and each parameter by name."""
    if definition.kind == "action":
        return [] if implementation is None else ["an action computes nothing"]
    if implementation is None:
        return ["a function is needed"]
    values: dict[str, object] = {python_name(name): None for name in definition.parameters}
    required = {n: v for n, v in values.items() if not definition.parameters[n.removesuffix("_")].optional}
    facts = (None,) if definition.kind == "resource" else ()
    signature = inspect.signature(implementation)
    for given in (values, required):
        try:
            signature.bind(*facts, **given)
        except TypeError as error:
            return [
                f"{getattr(implementation, '__name__', 'the function')}{signature} does not fit its parameters: {error}"
            ]
    return []


def python_name(name: str) -> str:
    """The parameter's name in Python, where `from` has to be `from_`."""
    return name + "_" if keyword.iskeyword(name) else name
