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
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from tactics.rules.asked import Asked, LeastAsked, Questions, TextAsked, ask
from tactics.rules.blocks import default_registry
from tactics.rules.compiler import CompiledRule
from tactics.rules.engine import well_formed
from tactics.rules.evaluation import Decision
from tactics.rules.family import Family
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
    """What is left to ask of a rule that the index led to.

    `shared` has to hold for any step. Then the first of `steps` wins whose own questions hold, or, in a ladder that gives
    `every` step, all those do. `whole`: only the compiled rule can tell how often it holds, or whether it can be given.
    `only`: nothing more is asked, and this is found.
    """

    index: int
    shared: tuple[Asked, ...]
    steps: tuple[tuple[tuple[Asked, ...], int, Any], ...]
    every: bool
    whole: bool
    only: tuple[int, Any] | None


@dataclass(slots=True)
class _Entered:
    """Programs in the order of what they need at least."""

    least: list[Any] = field(default_factory=list)
    programs: list[_Program] = field(default_factory=list)


@dataclass(slots=True)
class _Bucket:
    """Programs by what the order has to reach; `rest` are those that ask for no such thing."""

    least: dict[Family, dict[str | None, _Entered]] = field(default_factory=dict)
    rest: list[_Program] = field(default_factory=list)

    def add(self, program: _Program, need: LeastAsked | None) -> None:
        if need is None:
            self.rest.append(program)
            return
        entered = self.least.setdefault(need.family, {}).setdefault(need.key, _Entered())
        at = bisect_right(entered.least, need.least)
        entered.least.insert(at, need.least)
        entered.programs.insert(at, program)

    def programs(self) -> Iterator[_Program]:
        for by_key in self.least.values():
            for entered in by_key.values():
                yield from entered.programs
        yield from self.rest


class RuleSet(Generic[K]):
    """Rules under keys, ready to be asked which of them match.

    A set never changes: make a new one when rules do, and put it in the old one's place (one assignment: whoever asks
    meanwhile is answered by the one or the other). A rule that was compiled before is not compiled again.
    """

    def __init__(self, rules: Iterable[tuple[K, Rule | Mapping[str, Any]]], registry: Registry | None = None) -> None:
        """Enter the rules. Raises RuleError for the first that is not well-formed."""
        self._registry = default_registry if registry is None else registry
        self._keys: list[K] = []
        self._compiled: list[CompiledRule] = []
        for key, rule in rules:
            self._keys.append(key)
            self._compiled.append(well_formed(rule, self._registry))
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
                text = questions.facts[section][name]
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
            keys = totals if len(totals) <= len(by_key) else by_key
            for key in keys:
                if key in by_key and key in totals:
                    entered, total = by_key[key], totals[key]
                    if total is None:
                        self._decide(entered.programs, questions, found)
                    else:
                        self._run(entered.programs[: bisect_right(entered.least, total)], questions, found)
        self._run(bucket.rest, questions, found)

    def _run(self, programs: Sequence[_Program], questions: Questions, found: list[tuple[int, Match[K]]]) -> None:
        answers = questions.answers
        for program in programs:
            for asked in program.shared:
                # What was answered before is looked up here: most rules end so.
                if not (answers[asked.number] if asked.number in answers else asked.holds(questions)):
                    break
            else:
                if program.only is not None:
                    found.append(program.only)
                elif program.whole:
                    self._decide((program,), questions, found)
                elif program.every:
                    self._run_every(program, questions, found)
                else:
                    for own, _, match in program.steps:
                        for asked in own:
                            if not asked.holds(questions):
                                break
                        else:
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
                self._asked[one.key] = ask(len(self._asked), one, self._registry)
            found.append(self._asked[one.key])
        return found

    def _enter(self, index: int, steps: list[list[Asked]], spread: Counter[tuple[str, str]]) -> None:
        shared = [asked for asked in dict.fromkeys(steps[0]) if all(asked in step for step in steps)]
        texts = [asked for asked in shared if isinstance(asked, TextAsked) and len(asked.texts) <= _MOST_TEXTS]
        text = max(texts, key=lambda asked: spread[asked.section, asked.name], default=None)
        need = _need(steps)
        program = self._program(index, steps, shared, text, need)
        buckets = [self._open]
        if text is not None:
            by_text = self._by_text.setdefault((text.section, text.name), {})
            buckets = [by_text.setdefault(one, _Bucket()) for one in text.texts]
        for bucket in buckets:
            bucket.add(program, need)

    def _program(
        self,
        index: int,
        steps: list[list[Asked]],
        shared: list[Asked],
        text: TextAsked | None,
        need: LeastAsked | None,
    ) -> _Program:
        rule = self._compiled[index].rule
        mode = rule.mode if isinstance(rule, Tiers) else "first"
        # What led here holds.
        held = {text, need if need is not None and need.exact else None}
        order = range(len(steps) - 1, -1, -1) if mode == "highest" else range(len(steps))
        own = [
            (
                tuple(asked for asked in dict.fromkeys(steps[at]) if asked not in held and asked not in shared),
                at,
                Match(self._keys[index], Decision("matched", ((at, 1),) if isinstance(rule, (So, Tiers)) else ())),
            )
            for at in order
        ]
        whole, every = self._needs_whole(rule), mode == "all"
        asks_more = whole or every or own[0][0]
        return _Program(
            index,
            tuple(asked for asked in shared if asked not in held),
            tuple(own),
            every=every,
            whole=whole,
            only=None if asks_more else (index, own[0][2]),
        )

    def _needs_whole(self, rule: Rule) -> bool:
        """Whether a step counts, or gives what is only known from the facts."""
        if not isinstance(rule, (So, Tiers)):
            return False
        return any(
            (step.when is not None and may_count(step.when, self._registry))
            or any(isinstance(value, Block) for action in step.then for value in action.params.values())
            for step, _ in steps_of(rule)
        )


def _need(steps: list[list[Asked]]) -> LeastAsked | None:
    """What every step needs of one thing in the order: the least that any of them does."""
    each = [{(asked.family, asked.key): asked for asked in step if isinstance(asked, LeastAsked)} for step in steps]
    for thing in each[0]:
        if all(thing in needs for needs in each):
            return min((needs[thing] for needs in each), key=lambda asked: asked.least)
    return None
