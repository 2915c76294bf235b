"""The facts for which a condition holds, as a list of cases; each says what some resources are, and the rest may be anything.

Resources are taken as independent of each other: that one amount is part of another is not known here. So what is found
never to happen never does; what is found possible may be ruled out by what the resources have to do with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import and_, or_
from typing import TypeAlias

from tactics.rules.region import Region

# Of one condition; those beyond are not looked at.
MAX_CASES = 64
# Steps of comparing, for a whole rule: bounds the time that a hostile one takes.
MAX_WORK = 100_000

# By resource; one that is not named may be anything. Never empty: each of its regions has a value.
Case: TypeAlias = Mapping[str, Region]


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases that are there for sure; with `more`, perhaps not all of them."""

    cases: tuple[Case, ...]
    more: bool = False

    @property
    def none(self) -> bool:
        """Whether it is sure that there is no case."""
        return not self.cases and not self.more

    @property
    def undecided(self) -> bool:
        """Whether it is open if there is a case."""
        return not self.cases and self.more


NEVER = Cases(())
ALWAYS = Cases(({},))


class TooMuchError(Exception):
    """The work that a rule may cause is done; what is not decided by then stays open."""


@dataclass
class Search:
    """Combines cases, within `work` steps; `domains` has what each resource may be at all."""

    domains: dict[str, Region] = field(default_factory=dict)
    work: int = MAX_WORK

    def every(self, parts: Iterable[Cases]) -> Cases:
        """The cases in which all of the parts hold; raises TooMuchError, as all here do."""
        parts = list(parts)
        single = self._together(part.cases[0] for part in parts if len(part.cases) == 1 and not part.more)
        if single is None:
            return NEVER
        found = Cases((single,))
        several = [part for part in parts if len(part.cases) != 1 or part.more]
        # Those that are sure to be whole come first: where these already exclude each other, nothing is left open.
        for part in sorted(several, key=lambda part: (part.more, len(part.cases))):
            found = self._product(found, part)
            if found.none:
                return NEVER
        return found

    def any(self, parts: Iterable[Cases]) -> Cases:
        """The cases in which one of the parts holds, or several."""
        pile, more = _Pile(self), False
        alone: dict[str, list[Region]] = {}
        for part in parts:
            more = more or part.more
            for case in part.cases:
                if len(case) == 1:
                    ((name, region),) = case.items()
                    alone.setdefault(name, []).append(region)
                else:
                    more = not pile.add(case) or more
        for name, regions in alone.items():
            more = not pile.add({name: self._combined(regions, or_)}) or more
        return Cases(pile.cases(), more)

    def covered(self, part: Cases, by: Cases) -> bool | None:
        """Whether every case of `part` lies within the cases of `by`; None where that stays open."""
        open_ = part.more
        for case in part.cases:
            left = self._left(case, by)
            if left and not by.more:
                return False
            open_ = open_ or left is None or bool(left)
        return None if open_ else True

    def spend(self, work: int) -> None:
        """Count work; raises TooMuchError past the bound."""
        self.work -= work
        if self.work < 0:
            raise TooMuchError

    def _together(self, cases: Iterable[Case]) -> Case | None:
        """The case that is in all of these; None where there is none."""
        regions: dict[str, list[Region]] = {}
        for case in cases:
            for name, region in case.items():
                regions.setdefault(name, []).append(region)
        found = {name: self._combined(some, and_) for name, some in regions.items()}
        return found if all(found.values()) else None

    def _combined(self, regions: list[Region], by: Callable[[Region, Region], Region]) -> Region:
        # Two by two, so that large ones are not gone through again and again.
        while len(regions) > 1:
            self.spend(sum(region.size for region in regions))
            pairs = [by(one, other) for one, other in zip(regions[::2], regions[1::2], strict=False)]
            regions = pairs + regions[len(pairs) * 2 :]
        return regions[0]

    def _product(self, one: Cases, other: Cases) -> Cases:
        pile, more = _Pile(self), one.more or other.more
        for left in one.cases:
            for right in other.cases:
                self.spend(len(left))
                case = dict(left)
                if self._narrow(case, right) and not pile.add(case):
                    return Cases(pile.cases(), more=True)
        return Cases(pile.cases(), more)

    def _narrow(self, case: dict[str, Region], by: Case) -> bool:
        """Leave of `case` what is in `by` as well; tells whether anything is left."""
        for name, region in by.items():
            mine = case.get(name)
            self.spend(region.size + (mine.size if mine else 0))
            case[name] = region if mine is None else mine & region
            if not case[name]:
                return False
        return True

    def _left(self, case: Case, by: Cases) -> list[Case] | None:
        """The parts of the case that are in none of the others; None where there are too many."""
        for cover in by.cases:
            if cover.keys() <= case.keys() and not self._without(case, cover):
                return []
        left = [case]
        for cover in by.cases:
            left = [part for one in left for part in self._without(one, cover)]
            if len(left) > MAX_CASES:
                return None
        return left

    def _without(self, case: Case, cover: Case) -> list[Case]:
        parts: list[Case] = []
        inside = dict(case)
        for name, region in cover.items():
            mine = inside.get(name, self.domains[name])
            self.spend(len(inside) // 8 + mine.size + region.size)
            common, outside = mine & region, mine - region
            if not common:
                return [case]
            if outside:
                parts.append({**inside, name: outside})
            inside[name] = common
        return parts


class _Pile:
    """Cases as they are found, two put into one where they differ in a single resource."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._alike: dict[frozenset[str], list[Case]] = {}
        self._count = 0

    def add(self, case: Case) -> bool:
        """Take a case in; False when there are too many already."""
        alike = self._alike.setdefault(frozenset(case), [])
        joined = self._join(alike, case)
        while joined is not None:
            self._count -= 1
            case, joined = joined, self._join(alike, joined)
        if self._count >= MAX_CASES:
            return False
        alike.append(case)
        self._count += 1
        return True

    def cases(self) -> tuple[Case, ...]:
        return tuple(case for alike in self._alike.values() for case in alike)

    def _join(self, alike: list[Case], case: Case) -> Case | None:
        """The case joined with one of the pile, which leaves the pile; None where none is near enough."""
        for index, other in enumerate(alike):
            self._search.spend(1 + sum(region.size + other[name].size for name, region in case.items()))
            differing = [name for name, region in case.items() if other[name] != region]
            if len(differing) <= 1:
                del alike[index]
                return {**case, **{name: case[name] | other[name] for name in differing}}
        return None
