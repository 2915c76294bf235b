"""What an evaluation answers, and the exact way to it: the planned rule, run node by node over any facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tactics.rules.plan import Plan, PlannedSo, Run, Verdict
from tactics.rules.reason import Reason, reasons_for, reasons_for_step

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


@dataclass(frozen=True, slots=True)
class Decision:
    """What a compiled rule decides, without effects and words.

    `steps` are the steps that win, each with how many times it holds (a `so` alone is step 0, a bare condition has
    none). Where the rule does not match, `path` is that of the condition that decided so: the first that failed, as the
    compiled rule asks them; the last that was asked, in a ladder. `evaluation` is the whole answer where facts asked
    for the exact evaluation.
    """

    status: Status
    steps: tuple[tuple[int, int], ...] = ()
    path: str = ""
    evaluation: Evaluation | None = None

    @property
    def matched(self) -> bool:
        """Whether the rule holds."""
        return self.status == "matched"


def evaluate(ready: Plan, run: Run) -> Evaluation:
    """The answer of a planned rule for one run; the same whatever way the run came about."""
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


def decide(ready: Plan, run: Run) -> Decision:
    """The decision of a planned rule for one run, with its evaluation."""
    found = evaluate(ready, run)
    steps: tuple[tuple[int, int], ...] = ()
    if found.matched and ready.bare is None:
        won, _ = climb(ready, run)
        steps = tuple((ready.steps.index(step), 1 if verdict is True else verdict) for step, verdict in won)
    path = "" if found.matched or not found.reasons else found.reasons[0].path
    return Decision(found.status, steps, path, found)


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
