"""What is wrong with a rule that is well-formed: conditions that never or always hold, and what `ladder` finds.

Claimed, for facts of any shape, missing ones included: a condition is said never to hold when it is true for none, and
always to hold when it is false for none, and so holds whenever its parts are known. Every case is found in conditions
made of the atoms that `atom` knows, unless `not_analysed` says that the search was cut short. Not claimed: what follows
from how different resources hang together, such as an item's amount being part of the order's.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, islice
from typing import Any, Literal

from tactics.rules.atom import atom_of
from tactics.rules.cases import ALWAYS, MAX_CASES, MAX_WORK, NEVER, Cases, Search, TooMuchError
from tactics.rules.ladder import ladder_problems, unwinnable
from tactics.rules.problem import Problem, pointer
from tactics.rules.region import Region
from tactics.rules.registry import Registry
from tactics.rules.value import show

Json = Mapping[str, Any]

# Of so many conditions of an `and`, those that exclude each other are sought.
_BLAMED = 40


def analyse(rule: Json, registry: Registry) -> list[Problem]:
    """What is wrong with a well-formed rule beyond its form, in bounded time; `cases.MAX_WORK` bounds it."""
    return _Analysis(registry).of(rule)


class _Analysis:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._search = Search()
        self._problems: list[Problem] = []
        self._truths: dict[str, tuple[Cases, Cases]] = {}
        self._open: str | None = None

    def of(self, rule: Json) -> list[Problem]:
        try:
            self._rule(rule)
        except TooMuchError:
            self._open = ""
        if "tiers" in rule:
            self._problems += ladder_problems(rule["tiers"], self._registry)
        if self._open is not None:
            text = (
                f"this is too large to be checked whole: the search for what never or always holds and for steps that "
                f"never win stops at {MAX_CASES} combinations of one condition and {MAX_WORK} comparisons of one rule"
            )
            self._problems.append(Problem(self._open, "not_analysed", text, "warning"))
        return self._problems

    def _rule(self, rule: Json) -> None:
        if "so" in rule:
            self._so(rule["so"], "/so")
        elif "tiers" in rule:
            steps = [step["so"] for step in rule["tiers"]["steps"]]
            for index, step in enumerate(steps):
                self._so(step, pointer("/tiers/steps", index, "so"))
            self._winners(steps, rule["tiers"].get("mode", "highest"))
        else:
            self._examine(rule, "", "error")

    def _so(self, so: Json, path: str) -> None:
        if "when" in so:
            self._examine(so["when"], pointer(path, "when"), "error")

    def _winners(self, steps: list[Json], mode: str) -> None:
        holds = [
            self._truth(step["when"], pointer("/tiers/steps", index, "so/when"))[0] if "when" in step else ALWAYS
            for index, step in enumerate(steps)
        ]
        for problem in unwinnable(steps, mode, holds, self._search):
            if isinstance(problem, Problem):
                self._problems.append(problem)
            else:
                self._leave_open(pointer("/tiers/steps", problem))

    def _leave_open(self, path: str) -> None:
        self._open = path if self._open is None else self._open

    def _examine(self, node: Json, path: str, severity: Literal["error", "warning"]) -> None:
        """Report the outermost conditions that never, or always, hold; `severity` is that of never holding."""
        holds, fails = self._truth(node, path)
        if holds.none:
            at, text = self._blame(node, path)
            self._problems.append(Problem(at, "never_holds", text, severity))
        elif fails.none:
            self._problems.append(Problem(path, "always_holds", self._always(node), "warning"))
        else:
            if holds.undecided or fails.undecided:
                self._leave_open(path)
            for part, at in _parts(node, path):
                self._examine(part, at, "warning")

    def _truth(self, node: Json, path: str) -> tuple[Cases, Cases]:
        """The cases in which the condition is true, and those in which it is false; else it is unknown."""
        known = self._truths.get(path)
        if known is None:
            known = self._truths[path] = self._found(node, path)
        return known

    def _found(self, node: Json, path: str) -> tuple[Cases, Cases]:
        if "block" in node:
            return self._of_block(node)
        parts = [self._truth(part, at) for part, at in _parts(node, path)]
        holds, fails = [part[0] for part in parts], [part[1] for part in parts]
        if "not" in node:
            return fails[0], holds[0]
        if "and" in node:
            return self._search.every(holds), self._search.any(fails)
        return self._search.any(holds), self._search.every(fails)

    def _of_block(self, block: Json) -> tuple[Cases, Cases]:
        # Each of these is compared several times.
        lists = (value for value in block.get("params", {}).values() if isinstance(value, (list, tuple)))
        self._search.spend(1 + 3 * sum(map(len, lists)))
        atom = atom_of(block, self._registry)
        if atom.subject is None:
            return (ALWAYS if atom.holds else NEVER), (ALWAYS if atom.fails else NEVER)
        subject = atom.subject
        self._search.domains[subject] = atom.domain

        def cases(region: Region) -> Cases:
            return Cases(({subject: region},)) if region else NEVER

        return cases(atom.holds), cases(atom.fails)

    def _blame(self, node: Json, path: str) -> tuple[str, str]:
        """Where to look, and what to say, of a condition that never holds."""
        if "block" in node:
            if self._truth(node, path)[1].none:
                return path, f"{self._words(node, 'can never be told to be')}: the two are never of the same kind"
            return path, f"{self._words(node, 'is never')}: change or remove this condition"
        if "not" in node:
            return path, "this denies what always holds, and so never holds: change or remove it"
        if "or" in node:
            return path, "none of these alternatives can ever hold: change them, or remove them all"
        parts = list(_parts(node, path))
        for part, at in parts:
            if self._truth(part, at)[0].none:
                return self._blame(part, at)
        excluding = self._excluding(list(_conjuncts(node, path)))
        named = " and ".join(at for _, at in excluding)
        return path, f"{named or 'these conditions'} never hold together: change or remove one of them"

    def _excluding(self, parts: list[tuple[Json, str]]) -> list[tuple[Json, str]]:
        """Few conditions that cannot hold together: two where two will do; none where they are too many to seek."""
        some = parts[:_BLAMED]
        for pair in combinations(some, 2):
            if self._exclude_each_other(pair):
                return list(pair)
        if not self._exclude_each_other(some):
            return []
        for part in list(some):
            without = [one for one in some if one is not part]
            if self._exclude_each_other(without):
                some = without
        return some

    def _exclude_each_other(self, parts: Iterable[tuple[Json, str]]) -> bool:
        return self._search.every(self._truth(part, at)[0] for part, at in parts).none

    def _always(self, node: Json) -> str:
        if "block" in node:
            return f"{self._words(node, 'is always')}, where it is known: change or remove this condition"
        return "this is never false, and holds whenever its parts are known: change or remove it"

    def _words(self, block: Json, verb: str) -> str:
        definition = self._registry.get(block["block"])
        if definition is None or definition.subject is None:
            return f"{block['block']} {verb} met"
        params = block.get("params", {})
        return f"{self._told(params[definition.subject])} {verb} {self._worded(definition.words, params)}"

    def _told(self, value: object) -> str:
        if not isinstance(value, Mapping):
            return show(value)
        definition = self._registry.get(value.get("block", ""))
        return self._worded(definition.words, value.get("params", {})) if definition else "the value"

    def _worded(self, words: str, params: Json) -> str:
        names = [name for _, name, _, _ in string.Formatter().parse(words) if name]
        return words.format_map({name: self._told(params[name]) if name in params else "?" for name in names})


def _parts(node: Json, path: str) -> Iterator[tuple[Json, str]]:
    if "not" in node:
        yield node["not"], pointer(path, "not")
    for form in ("and", "or"):
        for index, part in enumerate(node.get(form, ())):
            yield part, pointer(path, form, index)


def _conjuncts(node: Json, path: str) -> Iterator[tuple[Json, str]]:
    """The parts of an `and`, those of an `and` in it taken apart as well."""
    for part, at in islice(_parts(node, path), _BLAMED):
        if "and" in part:
            yield from _conjuncts(part, at)
        else:
            yield part, at
