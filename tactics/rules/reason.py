"""Why a rule did not hold, or cannot be decided: one sentence for each condition that decides it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tactics.rules.block import python_name
from tactics.rules.plan import PlannedBlock, PlannedCondition, PlannedNot, PlannedOr, PlannedSo, Run, Verdict, words
from tactics.rules.value import Unknown, plain, show

_UNITS = {"minor": " minor units", "s": " s"}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason.

    `path` is a JSON Pointer into the rule. `code` is `not_met`, `excluded` (holds, but stands under a `not`), `missing`,
    `wrong_type`, `failed`, or, for a rule that is no rule, a problem's code. `details` has `found` and `wanted` where
    there are any.
    """

    path: str
    block: str | None
    code: str
    text: str
    details: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """This reason as answers carry it."""
        return {"path": self.path, "block": self.block, "code": self.code, "text": self.text, **self.details}


def reasons_for_step(step: PlannedSo, run: Run) -> Iterator[Reason]:
    """Why this `so` does not hold, or is unknown."""
    verdict = True if step.when is None else step.when.verdict(run)
    if step.when is not None and (verdict is False or verdict is None):
        yield from reasons_for(step.when, run, verdict)
        return
    for action in step.then:
        values = action.arguments(run)
        if isinstance(values, Unknown):
            yield Reason(action.path, action.definition.id, values.code, values.text)


def reasons_for(node: PlannedCondition, run: Run, verdict: Verdict) -> Iterator[Reason]:
    """Why this condition has this verdict: the parts that bring it about, the others left out."""
    if isinstance(node, PlannedBlock):
        yield reason_for_block(node, run)
    elif isinstance(node, PlannedNot):
        yield from reasons_for(node.child, run, node.child.verdict(run))
    else:
        # All of an `or` that fails, or of an `and` that holds, brings the verdict about; else only what agrees with it.
        whole = verdict is False if isinstance(node, PlannedOr) else bool(verdict)
        for child in node.children:
            part = child.verdict(run)
            if whole or (part is None if verdict is None else bool(part) == bool(verdict) and part is not None):
                yield from reasons_for(child, run, part)


def asked_for(node: PlannedCondition, run: Run) -> str:
    """What a condition asks for, in words, whatever the facts: `run` is over none."""
    if isinstance(node, PlannedBlock):
        subject, _, _ = _subject(node, run)
        return f"{subject}: {words(node, run)}"
    if isinstance(node, PlannedNot):
        return f"not ({asked_for(node.child, run)})"
    joined = " or " if isinstance(node, PlannedOr) else " and "
    return joined.join(f"({asked_for(child, run)})" for child in node.children)


def reason_for_block(block: PlannedBlock, run: Run) -> Reason:
    """What was found and what was wanted, in a sentence and as values."""
    definition = block.definition
    value = block.value(run)
    subject, found, unit = _subject(block, run)
    details: dict[str, object] = {} if isinstance(found, Unknown) else {"found": plain(found)}
    wanted = _wanted(block, run)
    if wanted is not None:
        details["wanted"] = wanted
    if isinstance(value, Unknown):
        return Reason(block.path, definition.id, value.code, f"{subject} is not known: {value.text}", details)
    if isinstance(found, Unknown):
        return Reason(block.path, definition.id, "not_met", f"{subject} is not known: {found.text}", details)
    asked = words(block, run)
    if value is False:
        return Reason(
            block.path, definition.id, "not_met", f"{subject} is {show(found)}{unit}; {asked} needed", details
        )
    return Reason(block.path, definition.id, "excluded", f"{subject} is {show(found)}{unit}, which is {asked}", details)


def _subject(block: PlannedBlock, run: Run) -> tuple[str, object, str]:
    """What the condition judges: its words, its value, and the unit to write after it."""
    name = python_name(block.definition.subject or "")
    for at, _, source in block.resources:
        if at == name:
            return words(source, run), source.value(run), _UNITS.get(source.definition.unit or "", "")
    return "the value", block.constants.get(name), ""


def _wanted(block: PlannedBlock, run: Run) -> object:
    """The value asked for, or several by name."""
    definition = block.definition
    names = definition.named_in_words or [name for name in definition.parameters if name != definition.subject]
    values = {python_name(name): name for name in names}
    wanted = {values[at]: plain(value) for at, value in block.constants.items() if at in values}
    for at, _, source in block.resources:
        value = source.value(run)
        if at in values and not isinstance(value, Unknown):
            wanted[values[at]] = plain(value)
    return next(iter(wanted.values())) if len(wanted) == 1 and len(names) == 1 else wanted or None
