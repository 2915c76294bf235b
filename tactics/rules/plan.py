"""A rule made ready to run: blocks resolved, constants set apart, equal resources sharing one value.

Made once for a rule and a blocks, then run as often as there are facts. A verdict is True (holds), a whole number
(holds that many times), False, or None (unknown): Kleene's three values with multiplicity on top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tactics.rules.block import BlockDefinition, python_name
from tactics.rules.facts import Facts
from tactics.rules.parameter import Parameter, describe
from tactics.rules.problem import RuleError, pointer
from tactics.rules.quick import Quick
from tactics.rules.registry import Blocks
from tactics.rules.tree import And, Block, Condition, Mode, Not, Rule, So, Tiers
from tactics.rules.value import Unknown, is_number, missing, plain, show

Verdict: TypeAlias = int | None

# An action or resource with one of these says which lines it means.
SELECTORS = frozenset({"item_id", "sku", "category"})
# Longer text is quoted and cut in reasons.
MAX_TOLD = 40
_UNSET: Any = object()


class Run:
    """One evaluation: its facts, and the values computed so far. Never shared, never kept."""

    __slots__ = ("facts", "values")

    def __init__(self, facts: Facts, slots: int) -> None:
        self.facts = facts
        self.values: list[Any] = [_UNSET] * slots


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """A block where it stands in the rule. Blocks that say the same share a slot, and so are computed once."""

    definition: BlockDefinition
    path: str
    slot: int
    constants: Mapping[str, Any]
    resources: tuple[tuple[str, Parameter, PlannedBlock], ...]
    quick: Callable[[Facts], Any] | None = None
    # Its words, once they were put together, where they do not depend on the facts.
    told: list[str] = field(default_factory=list, compare=False, repr=False)

    def value(self, run: Run) -> Any:
        """What the block computes, or `Unknown`; computed at first use."""
        value = run.values[self.slot]
        if value is _UNSET:
            value = run.values[self.slot] = self._compute(run)
        return value

    def verdict(self, run: Run) -> Verdict:
        value = self.value(run)
        return None if isinstance(value, Unknown) else value

    def arguments(self, run: Run) -> Mapping[str, Any] | Unknown:
        """The parameters by their names, with resources fetched; `Unknown` when one that matters is."""
        if not self.resources:
            return self.constants
        values = dict(self.constants)
        for name, parameter, source in self.resources:
            value = source.value(run)
            if not parameter.takes_unknown:
                if isinstance(value, Unknown):
                    return value
                if parameter.fits(value) is not None:
                    return Unknown("wrong_type", f"{words(source, run)}: {describe(parameter, value)}")
            values[name] = value
        return values

    def _compute(self, run: Run) -> Any:
        definition = self.definition
        if self.quick is not None:
            try:
                return _checked_resource(definition, self.quick(run.facts))
            except Exception:  # noqa: BLE001, S110 -- it is not that simple: the block's own function says what it is
                pass
        values = self.arguments(run)
        if isinstance(values, Unknown):
            return values
        try:
            compute = definition.implementation
            if definition.scenes:
                compute = definition.scenes.get(run.facts.scene or "", compute)
            if compute is None:
                return Unknown("failed", f"{definition.id} computes nothing")
            if definition.kind == "resource":
                return _checked_resource(definition, compute(run.facts, **values))
            return _checked_condition(definition, compute(**values))
        except Exception as error:  # noqa: BLE001 -- a plugin's block may raise anything; facts must never raise at the caller
            return Unknown("failed", f"{definition.id} failed: {_named(error)}")


@dataclass(frozen=True, slots=True)
class PlannedNot:
    """Turns a verdict around; without multiplicity."""

    path: str
    child: PlannedCondition

    def verdict(self, run: Run) -> Verdict:
        verdict = self.child.verdict(run)
        return None if verdict is None else verdict is False


@dataclass(frozen=True, slots=True)
class PlannedAnd:
    """All; as many times as the one that holds the least."""

    path: str
    children: tuple[PlannedCondition, ...]

    def verdict(self, run: Run) -> Verdict:
        answer: Verdict = True
        for child in self.children:
            verdict = child.verdict(run)
            if verdict is False:
                return False
            if verdict is None or answer is None:
                answer = None
            elif verdict is not True:
                answer = verdict if answer is True else min(answer, verdict)
        return answer


@dataclass(frozen=True, slots=True)
class PlannedOr:
    """Any; as many times as the one that holds the most."""

    path: str
    children: tuple[PlannedCondition, ...]
    counts: bool

    def verdict(self, run: Run) -> Verdict:
        best: int = False
        unknown = False
        for child in self.children:
            verdict = child.verdict(run)
            if verdict is True and not self.counts:
                return True
            if verdict is None:
                unknown = True
            elif verdict is not False and (best is False or best is True or (verdict is not True and verdict > best)):
                best = verdict
        return None if best is False and unknown else best


PlannedCondition: TypeAlias = PlannedBlock | PlannedNot | PlannedAnd | PlannedOr


@dataclass(frozen=True, slots=True)
class PlannedSo:
    """A condition, or None for always, and its actions."""

    path: str
    when: PlannedCondition | None
    then: tuple[PlannedBlock, ...]

    def verdict(self, run: Run) -> Verdict:
        """As the condition; unknown as well when the condition holds and an action's parameter is unknown."""
        verdict = True if self.when is None else self.when.verdict(run)
        if verdict is None or verdict is False:
            return verdict
        return None if any(isinstance(action.arguments(run), Unknown) for action in self.then) else verdict

    def effects(self, run: Run, verdict: int) -> list[dict[str, Any]]:
        """What the actions give, `verdict` being that of this `so`, which holds."""
        return [_effect(action, run, 1 if verdict is True else verdict) for action in self.then]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole rule; a bare condition is `bare`, everything else is steps, of a ladder or the one of a single `so`."""

    slots: int
    bare: PlannedCondition | None
    steps: tuple[PlannedSo, ...] = ()
    mode: Mode = "first"
    ladder: bool = False


def plan(rule: Rule, blocks: Blocks) -> Plan:
    """Make a checked rule ready to run."""
    planner = _Planner(blocks)
    if isinstance(rule, So):
        steps: tuple[PlannedSo, ...] = (planner.so(rule, ""),)
        return Plan(len(planner.slots), None, steps)
    if isinstance(rule, Tiers):
        steps = tuple(planner.so(step, pointer("/tiers/steps", index)) for index, step in enumerate(rule.steps))
        return Plan(len(planner.slots), None, steps, rule.mode, ladder=True)
    bare = planner.condition(rule, "")
    return Plan(len(planner.slots), bare)


def words(block: PlannedBlock, run: Run) -> str:
    """What the block is about, in words: its declared ones, with the parameters it was given."""
    if block.told:
        return block.told[0]
    definition = block.definition
    named = definition.named_in_words
    # A condition tells what it asks for, and its subject tells itself.
    only_named = definition.kind == "condition" and bool(named)
    text = _worded(block, run, only_named=only_named)
    if not any(not only_named or name.removesuffix("_") in named for name, _, __ in block.resources):
        block.told.append(text)
    return text


def _worded(block: PlannedBlock, run: Run, *, only_named: bool) -> str:
    given = {name.removesuffix("_"): _told(value) for name, value in block.constants.items()}
    for name, _, source in block.resources:
        value = source.value(run)
        given[name.removesuffix("_")] = words(source, run) if isinstance(value, Unknown) else _told(value)
    definition = block.definition
    named = definition.named_in_words
    text = definition.words.format_map({name: given.get(name, "?") for name in named})
    if only_named:
        return text
    rest = [
        f"{name.removesuffix('_id').replace('_', ' ')} {value}"
        for name, value in given.items()
        if name not in named and name != definition.subject
    ]
    return f"{text} ({', '.join(rest)})" if rest else text


def _told(value: object) -> str:
    return value if isinstance(value, str) and value and len(value) <= MAX_TOLD else show(value)


class _Planner:
    def __init__(self, blocks: Blocks) -> None:
        self.slots: dict[str, int] = {}
        self._blocks = blocks

    def so(self, node: So, path: str) -> PlannedSo:
        path = pointer(path, "so")
        when = None if node.when is None else self.condition(node.when, pointer(path, "when"))
        then = tuple(self.block(action, pointer(path, "then", index)) for index, action in enumerate(node.then))
        return PlannedSo(path, when, then)

    def condition(self, node: Condition, path: str) -> PlannedCondition:
        if isinstance(node, Block):
            return self.block(node, path)
        if isinstance(node, Not):
            return PlannedNot(path, self.condition(node.condition, pointer(path, "not")))
        name = "and" if isinstance(node, And) else "or"
        children = tuple(self.condition(child, pointer(path, name, i)) for i, child in enumerate(node.conditions))
        return PlannedAnd(path, children) if name == "and" else PlannedOr(path, children, any(map(_counts, children)))

    def block(self, node: Block, path: str) -> PlannedBlock:
        definition = self._blocks.get(node.block)
        if definition is None:
            raise RuleError.of(path, "unknown_block", f"there is no block {node.block!r}")
        name_of: Callable[[str], str] = str if definition.kind == "action" else python_name
        constants: dict[str, Any] = {}
        resources: list[tuple[str, Parameter, PlannedBlock]] = []
        # As declared, whatever the order in which the rule has them: it decides which unknown is told.
        for name in definition.parameters:
            if name not in node.params:
                continue
            value = node.params[name]
            if isinstance(value, Block):
                source = self.block(value, pointer(path, "params", name))
                resources.append((name_of(name), definition.parameters[name], source))
            else:
                constants[name_of(name)] = value
        slot = self.slots.setdefault(node.key, len(self.slots))
        return PlannedBlock(definition, path, slot, constants, tuple(resources), _quick(definition, node))


def _quick(definition: BlockDefinition, node: Block) -> Callable[[Facts], Any] | None:
    """The block's quick form with these parameters, if it has one that they let it use."""
    quick = definition.quick
    if not isinstance(quick, Quick) or definition.scenes or any(isinstance(one, Block) for one in node.params.values()):
        return None
    if node.params:
        values = (*quick.given, *(node.params.get(name) for name in definition.parameters))
        return lambda facts: quick.compute(facts.raw, *values)
    whole = quick.whole
    if whole is None:
        return None
    if not definition.per_item:
        return lambda facts: whole(facts.raw)
    return lambda facts: (
        whole(facts.raw) if facts.item_id is None else quick.compute(facts.raw, *quick.given, facts.item_id)
    )


def _counts(node: PlannedCondition) -> bool:
    """Whether the verdict may be a number of times."""
    if isinstance(node, PlannedBlock):
        return node.definition.counts
    return not isinstance(node, PlannedNot) and any(map(_counts, node.children))


def _effect(action: PlannedBlock, run: Run, times: int) -> dict[str, Any]:
    values = action.arguments(run)
    if isinstance(values, Unknown):
        raise TypeError("the effects of a step that does not hold were asked for")
    params = {name: plain(value) for name, value in values.items()}
    if action.definition.per_item and run.facts.item_id is not None and not params.keys() & SELECTORS:
        params["item_id"] = run.facts.item_id
    return {"block": action.definition.id, "params": params, "times": times}


def _checked_resource(definition: BlockDefinition, value: Any) -> Any:
    if value is None:
        return missing(definition.words)
    if isinstance(value, float) and not is_number(value):
        return Unknown("wrong_type", f"{definition.id} gives a number that is not finite")
    return value


def _named(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 -- an exception that cannot even be told
        return type(error).__name__


def _checked_condition(definition: BlockDefinition, value: Any) -> Any:
    if definition.counts and value == 0 and isinstance(value, int):
        return False
    if isinstance(value, (bool, Unknown)) or (definition.counts and isinstance(value, int) and value >= 1):
        return value
    return Unknown(
        "failed", f"{definition.id} answered {show(value)}: neither true, false nor a declared number of times"
    )
