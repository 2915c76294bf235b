"""Which of many rules match these facts: found by what they ask for, however many rules there are.

A rule is entered under what has to hold for it to match at all: a text that the user or the event has to have, and an
amount that something in the order has to reach. Facts lead to the few rules that they may match; what those ask beside
is asked once for all of them, and decides. Source: DESIGN, "Rules as JSON"; predicate indexing in the matching of
events against subscriptions (Yan and Garcia-Molina, "Index structures for selective dissemination of information").
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from tactics.rules.asked import Asked, LeastAsked, Questions, TextAsked, ask
from tactics.rules.blocks import default_registry
from tactics.rules.compiler import CompiledRule
from tactics.rules.engine import well_formed
from tactics.rules.evaluation import Decision
from tactics.rules.family import Family
from tactics.rules.problem import RuleError
from tactics.rules.registry import Registry
from tactics.rules.tree import Block, Condition, Rule, So, Tiers
from tactics.rules.writer import conjuncts, may_count, steps_of

K = TypeVar("K", bound=Hashable)
# A rule is entered under each text that would do, if they are no more than this.
_MOST_TEXTS = 32


class Match(NamedTuple, Generic[K]):
    """A rule that matches, by the key that it was given under, and what was decided."""

    key: K
    decision: Decision


@dataclass(frozen=True, slots=True)
class _Program:
    """What is left to ask of a rule that the index led to, once what its group shares holds.

    The first of `steps` wins whose own questions hold, or, in a ladder that gives `every` step, all those do. `whole`:
    only the compiled rule can tell how often it holds, or whether it can be given. `ladder`: all that its steps ask is
    how far the total that led here reaches, so it is what each needs at least, and what is found then.
    """

    index: int
    steps: tuple[tuple[tuple[Asked, ...], int, Any], ...]
    every: bool
    whole: bool
    ladder: tuple[tuple[Any, tuple[int, Any]], ...] | None


@dataclass(slots=True)
class _Group:
    """Programs that share questions, in the order of the total that they need."""

    shared: tuple[Asked, ...]
    least: list[Any] = field(default_factory=list)
    programs: list[_Program] = field(default_factory=list)

    def add(self, program: _Program, least: Any) -> None:
        at = bisect_right(self.least, least)
        self.least.insert(at, least)
        self.programs.insert(at, program)


_Groups: TypeAlias = dict[tuple[Asked, ...], _Group]


@dataclass(slots=True)
class _Bucket:
    """Programs by what the order has to reach; `rest` are those that ask for no such thing."""

    least: dict[Family, dict[str | None, _Groups]] = field(default_factory=dict)
    rest: _Groups = field(default_factory=dict)

    def add(self, program: _Program, shared: tuple[Asked, ...], need: LeastAsked | None) -> None:
        if need is None:
            self.rest.setdefault(shared, _Group(shared)).add(program, 0)
        else:
            groups = self.least.setdefault(need.family, {}).setdefault(need.key, {})
            groups.setdefault(shared, _Group(shared)).add(program, need.least)

    def programs(self) -> Iterator[_Program]:
        for by_key in self.least.values():
            for groups in by_key.values():
                yield from _programs(groups)
        yield from _programs(self.rest)


def _programs(groups: _Groups) -> Iterator[_Program]:
    for group in groups.values():
        yield from group.programs


class RuleSet(Generic[K]):
    """Rules under keys, ready to be asked which of them match.

    A set never changes: make a new one when rules do, and put it in the old one's place (one assignment: whoever asks
    meanwhile is answered by the one or the other). A rule that was compiled before is not compiled again.
    """

    def __init__(self, rules: Iterable[tuple[K, Rule | Mapping[str, Any]]], registry: Registry | None = None) -> None:
        """Enter the rules. Raises RuleError for the first that is not well-formed."""
        registry = default_registry if registry is None else registry
        self._blocks = registry.blocks
        self._keys: list[K] = []
        self._compiled: list[CompiledRule] = []
        for key, rule in rules:
            self._keys.append(key)
            self._compiled.append(_well_formed(key, rule, registry))
        self._asked: dict[str, Asked] = {}
        self._open = _Bucket()
        self._by_text: dict[tuple[str, str], dict[str, _Bucket]] = {}
        self._enter_all()

    def __len__(self) -> int:
        return len(self._keys)

    def matching(self, facts: object, item_id: str | None = None) -> list[Match[K]]:
        """The rules that match, in the order in which they were given: just those that each by itself would.

        `item_id` is the current item, where rules are evaluated per item. Raises nothing, whatever the facts.
        """
        questions = Questions(facts, item_id)
        found: list[tuple[int, Match[K]]] = []
        self._look_in(self._open, questions, found)
        for (section, name), by_text in self._by_text.items():
            try:
                text = questions.facts.get(section).get(name)
            except Exception:  # noqa: BLE001, S112 -- facts may be anything; what cannot be read is no text
                continue
            if isinstance(text, str):
                bucket = by_text.get(text)
                if bucket is not None:
                    self._look_in(bucket, questions, found)
            elif isinstance(text, datetime):
                # A time equals the text of the same moment, however it is written.
                unsure = {program.index: program for one in by_text.values() for program in one.programs()}
                self._decide(unsure.values(), questions, found)
        found.sort()
        return [match for _, match in found]

    def _look_in(self, bucket: _Bucket, questions: Questions, found: list[tuple[int, Match[K]]]) -> None:
        for family, by_key in bucket.least.items():
            totals = questions.totals(family)
            # The fewer keys are looked up among the more.
            for key in totals if len(totals) <= len(by_key) else by_key:
                if key in by_key and key in totals:
                    total = totals[key]
                    if total is None:
                        self._decide(_programs(by_key[key]), questions, found)
                    else:
                        self._run(by_key[key], total, questions, found)
        self._run(bucket.rest, 0, questions, found)

    def _run(self, groups: _Groups, total: Any, questions: Questions, found: list[tuple[int, Match[K]]]) -> None:
        answers = questions.answers
        for group in groups.values():
            if group.least[0] > total:
                continue
            for asked in group.shared:
                # What was answered before is looked up here: most groups end so.
                if not (answers[asked.number] if asked.number in answers else asked.holds(questions)):
                    break
            else:
                for program in group.programs[: bisect_right(group.least, total)]:
                    if program.ladder is None:
                        self._run_steps(program, questions, found)
                    else:
                        for least, match in program.ladder:
                            if total >= least:
                                found.append(match)
                                break

    def _run_steps(self, program: _Program, questions: Questions, found: list[tuple[int, Match[K]]]) -> None:
        if program.whole:
            self._decide((program,), questions, found)
        elif program.every:
            self._run_every(program, questions, found)
        else:
            for own, _, match in program.steps:
                if all(asked.holds(questions) for asked in own):
                    found.append((program.index, match))
                    break

    def _run_every(self, program: _Program, questions: Questions, found: list[tuple[int, Match[K]]]) -> None:
        won = tuple((step, 1) for own, step, _ in program.steps if all(asked.holds(questions) for asked in own))
        if won:
            found.append((program.index, Match(self._keys[program.index], Decision("matched", won))))

    def _decide(self, programs: Iterable[_Program], questions: Questions, found: list[tuple[int, Match[K]]]) -> None:
        """Ask the compiled rules themselves."""
        for program in programs:
            decision = self._compiled[program.index].decide(questions.facts, questions.item_id)
            if decision.matched:
                found.append((program.index, Match(self._keys[program.index], decision)))

    def _enter_all(self) -> None:
        read = [self._read(compiled.rule) for compiled in self._compiled]
        # Of several texts that a rule needs, the one that tells most rules apart leads to it.
        spread = Counter(
            (asked.section, asked.name)
            for asked in self._asked.values()
            if isinstance(asked, TextAsked) and len(asked.texts) <= _MOST_TEXTS
        )
        for index, steps in enumerate(read):
            self._enter(index, steps, spread)

    def _read(self, rule: Rule) -> list[list[Asked]]:
        """What each step asks; a bare condition is the one step."""
        if isinstance(rule, (So, Tiers)):
            return [self._questions(step.when) for step, _ in steps_of(rule)]
        return [self._questions(rule)]

    def _questions(self, condition: Condition | None) -> list[Asked]:
        found: list[Asked] = []
        for one, _ in [] if condition is None else conjuncts(condition, ""):
            if one.key not in self._asked:
                self._asked[one.key] = ask(len(self._asked), one, self._blocks)
            found.append(self._asked[one.key])
        return found

    def _enter(self, index: int, steps: list[list[Asked]], spread: Counter[tuple[str, str]]) -> None:
        # In a ladder, only what is pure and total may be asked before what stands beside it.
        shared = [
            asked
            for asked in dict.fromkeys(steps[0])
            if all(asked in step for step in steps) and (len(steps) == 1 or asked.is_total)
        ]
        texts = [asked for asked in shared if isinstance(asked, TextAsked) and len(asked.texts) <= _MOST_TEXTS]
        text = max(texts, key=lambda asked: spread[asked.section, asked.name], default=None)
        need = _need(steps)
        # What led here holds.
        held = {text, need if need is not None and need.exact else None}
        buckets = [self._open]
        if text is not None:
            by_text = self._by_text.setdefault((text.section, text.name), {})
            buckets = [by_text.setdefault(one, _Bucket()) for one in text.texts]
        program = self._program(index, steps, {*held, *shared}, need)
        for bucket in buckets:
            bucket.add(program, tuple(asked for asked in shared if asked not in held), need)

    def _program(
        self, index: int, steps: list[list[Asked]], held: set[Asked | None], need: LeastAsked | None
    ) -> _Program:
        rule = self._compiled[index].rule
        mode = rule.mode if isinstance(rule, Tiers) else "first"
        order = range(len(steps) - 1, -1, -1) if mode == "highest" else range(len(steps))
        own = [
            (
                tuple(asked for asked in dict.fromkeys(steps[at]) if asked not in held),
                at,
                Match(self._keys[index], Decision("matched", ((at, 1),) if isinstance(rule, (So, Tiers)) else ())),
            )
            for at in order
        ]
        whole, every = self._needs_whole(rule), mode == "all"
        rungs = [(_least(asked, need), (index, match)) for asked, _, match in own]
        is_ladder = not (whole or every) and all(least is not None for least, _ in rungs)
        return _Program(index, tuple(own), every=every, whole=whole, ladder=tuple(rungs) if is_ladder else None)

    def _needs_whole(self, rule: Rule) -> bool:
        """Whether a step counts, or gives what is only known from the facts."""
        if not isinstance(rule, (So, Tiers)):
            return False
        return any(
            (step.when is not None and may_count(step.when, self._blocks))
            or any(isinstance(value, Block) for action in step.then for value in action.params.values())
            for step, _ in steps_of(rule)
        )


def _well_formed(key: object, rule: Rule | Mapping[str, Any], registry: Registry) -> CompiledRule:
    try:
        return well_formed(rule, registry)
    except RuleError as error:
        named = f"rule {key!r}: "
        raise RuleError(replace(problem, message=named + problem.message) for problem in error.problems) from None


def _least(own: Sequence[Asked], need: LeastAsked | None) -> Any:
    """The total of what led here from which on a step holds that asks this of its own; None where it asks for more."""
    if not own:
        # What led here is all that is asked; where nothing did, any total will do.
        return 0 if need is None else need.least
    one = own[0]
    same = len(own) == 1 and isinstance(one, LeastAsked) and need is not None
    return one.least if same and one.exact and (one.family, one.key) == (need.family, need.key) else None  # type: ignore[attr-defined,union-attr]  # just checked


def _need(steps: list[list[Asked]]) -> LeastAsked | None:
    """What every step needs of one thing in the order: the least that any of them does."""
    each = [{(asked.family, asked.key): asked for asked in step if isinstance(asked, LeastAsked)} for step in steps]
    for thing in each[0]:
        if all(thing in needs for needs in each):
            return min((needs[thing] for needs in each), key=lambda asked: asked.least)
    return None
