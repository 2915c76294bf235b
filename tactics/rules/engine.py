"""Evaluate a rule: facts in; status, effects and reasons out. No side effects, and never an exception from facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from tactics.rules.blocks import default_registry
from tactics.rules.check import problems_of, too_deep
from tactics.rules.codec import parse
from tactics.rules.facts import Facts
from tactics.rules.plan import Plan, PlannedSo, Run, Verdict, plan
from tactics.rules.problem import RuleError
from tactics.rules.reason import Reason, reasons_for, reasons_for_step
from tactics.rules.registry import Registry
from tactics.rules.tree import Node, Rule

Status = Literal["matched", "not_matched", "unknown", "invalid", "null_rule"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer to one evaluation, made for it alone.

    `effects` are `{"block", "params", "times"}` with every parameter a value; `reasons` say why not, and which steps
    of a ladder were skipped because they are unknown.
    """

    status: Status
    effects: tuple[dict[str, Any], ...] = ()
    reasons: tuple[Reason, ...] = ()

    @property
    def matched(self) -> bool:
        """Whether the rule holds."""
        return self.status == "matched"

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON data, as docs/reference/rules.md shows it."""
        return {
            "status": self.status,
            "matched": self.matched,
            "effects": [{**effect, "params": dict(effect["params"])} for effect in self.effects],
            "reasons": [reason.to_json() for reason in self.reasons],
        }


def calculate(
    rule: Rule | Mapping[str, Any] | None,
    facts: object,
    registry: Registry | None = None,
    *,
    item_id: str | None = None,
) -> Evaluation:
    """Evaluate a rule over facts.

    `rule` is a rule or its JSON data (parsed anew each time: parse it once where it is used often); `facts` may have
    any shape; `item_id` is the current item where a rule is evaluated per item. Raises nothing: what is wrong with the
    rule is the answer `invalid`, what is wrong with the facts is `unknown`.
    """
    if rule is None:
        return Evaluation("null_rule", reasons=(Reason("", None, "null_rule", "there is no rule"),))
    try:
        ready = prepared(rule, registry)
    except RuleError as error:
        return invalid(error)
    return evaluate(ready, Run(Facts(facts, item_id), ready.slots))


def prepare(rule: Rule) -> None:
    """Make a rule ready to run now, instead of when it is first evaluated; raises RuleError when it is not well-formed."""
    prepared(rule, None)


def prepared(rule: object, registry: Registry | None) -> Plan:
    """The rule made ready to run, kept for as long as the rule lives; raises RuleError when it is not well-formed."""
    registry = default_registry if registry is None else registry
    node = cast("Rule", rule if isinstance(rule, Node) else parse(rule, registry))
    try:
        ready = cast("Plan | None", registry.plans.get(node))
    except RecursionError:
        raise RuleError([too_deep()]) from None
    if ready is None:
        problems = problems_of(node, open_aliases=False, registry=registry)
        if problems:
            raise RuleError(problems)
        ready = registry.plans[node] = plan(node, registry)
    return ready


def invalid(error: RuleError) -> Evaluation:
    """The answer for a rule that is not well-formed."""
    reasons = (Reason(problem.path, None, problem.code, problem.message) for problem in error.problems)
    return Evaluation("invalid", reasons=tuple(reasons))


def evaluate(ready: Plan, run: Run) -> Evaluation:
    """The answer of a rule that is ready, for one run."""
    if ready.bare is not None:
        verdict = ready.bare.verdict(run)
        status = _status(verdict)
        return Evaluation(status, reasons=() if status == "matched" else tuple(reasons_for(ready.bare, run, verdict)))
    won, unknown = climb(ready, run)
    if won:
        effects = [effect for step, verdict in won for effect in step.effects(run, verdict)]
        reasons = [reason for step in unknown for reason in reasons_for_step(step, run)]
        return Evaluation("matched", tuple(effects), tuple(reasons))
    reasons = [reason for step in ready.steps for reason in reasons_for_step(step, run)]
    return Evaluation("unknown" if unknown else "not_matched", reasons=tuple(reasons))


def climb(ready: Plan, run: Run) -> tuple[list[tuple[PlannedSo, int]], list[PlannedSo]]:
    """The steps that win, as listed, and the unknown ones that were skipped on the way to them."""
    won: list[tuple[PlannedSo, int]] = []
    unknown: list[PlannedSo] = []
    for step in reversed(ready.steps) if ready.mode == "highest" else ready.steps:
        verdict = step.verdict(run)
        if verdict is None:
            unknown.append(step)
        elif verdict is not False:
            won.append((step, verdict))
            if ready.mode != "all":
                break
    return won, unknown


def _status(verdict: Verdict) -> Status:
    return "unknown" if verdict is None else "not_matched" if verdict is False else "matched"
