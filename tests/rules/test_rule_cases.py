"""Combining cases: what is claimed of a list that had to be cut short is no more than what it has."""

from __future__ import annotations

import pytest

from tactics.rules.cases import ALWAYS, MAX_CASES, NEVER, Cases, Search, TooMuchError
from tactics.rules.region import ANYTHING, Region, span

NAMES = [f"r{index}" for index in range(80)]


def is_(name: str, value: int) -> Cases:
    return Cases(({name: Region(numbers=span((value, 0), (value, 1)))},))


def search() -> Search:
    return Search(dict.fromkeys(NAMES, ANYTHING))


def many() -> Cases:
    """Two to the seventh cases, cut short."""
    found = search().every(search().any([is_(f"r{i}", 1), is_(f"r{i + 40}", 1)]) for i in range(7))
    assert found.more
    return found


def test_a_product_is_capped_and_knows_it() -> None:
    """Every case that is kept is one; that there may be more is remembered on the way up."""
    found = many()
    assert 0 < len(found.cases) <= MAX_CASES
    again = search().every([is_("r60", 1), Cases(found.cases[:2], more=True)])
    assert (len(again.cases), again.more) == (2, True)
    assert search().any([is_("r60", 1), Cases((), more=True)]).more
    assert search().any(is_(name, 1) for name in NAMES).more
    assert not search().any(is_(name, 1) for name in NAMES[:MAX_CASES]).more


def test_what_excludes_each_other_for_sure_does_so_whatever_was_cut_short() -> None:
    """Lists that are whole come first; one that has nothing decides at once."""
    cut = Cases(is_("r1", 5).cases, more=True)
    assert search().every([cut, NEVER]).none
    either = search().any([is_("r2", 1), is_("r2", 2)])
    apart = [search().any([search().every([is_("r2", n), is_(f"r{k}", 1)]) for k in (5, 6)]) for n in (1, 2)]
    assert search().every([cut, *apart, either]).none
    assert search().every([Cases((), more=True), either]).undecided


def test_cases_are_joined_where_they_differ_in_one_resource_only() -> None:
    """In two they cannot be: the result would have what is in neither."""
    one, two = (search().every([is_("r1", n), is_("r2", n)]) for n in (1, 2))
    both = search().any([one, two])
    assert len(both.cases) == 2
    same = search().any([search().every([is_("r1", 1), is_("r2", n)]) for n in (1, 2)])
    assert len(same.cases) == 1
    assert search().covered(search().every([is_("r1", 1), is_("r2", 2)]), same) is True
    assert search().covered(search().every([is_("r1", 1), is_("r2", 2)]), both) is False


def test_covering_is_decided_or_said_to_be_open() -> None:
    """True and false are sure; a list that may have more can still cover, and only then decides."""
    one, cut = is_("r1", 1), Cases(is_("r2", 1).cases, more=True)
    assert search().covered(one, ALWAYS) is True
    assert search().covered(one, NEVER) is False
    assert search().covered(one, cut) is None
    assert search().covered(is_("r2", 1), cut) is True
    assert search().covered(Cases(one.cases, more=True), one) is None
    pairs = [search().every([is_(f"r{i}", 1), is_(f"r{i + 1}", 1)]).cases[0] for i in range(0, 16, 2)]
    assert search().covered(ALWAYS, Cases(tuple(pairs))) is None
    assert search().covered(ALWAYS, Cases(tuple(pairs[:3]))) is False
    wide = search().every([Cases(({"r1": Region(numbers=span((0, 0), (9, 0)))},)), is_("r2", 1)])
    others = Cases(({"r1": ANYTHING - is_("r1", 1).cases[0]["r1"]},))
    assert search().covered(wide, search().any([is_("r1", 1), others])) is True
    for part in (search().every([is_("r1", 1), is_("r2", 2)]), NEVER):
        assert search().covered(wide, Cases((*part.cases, *others.cases))) is False
    apart = search().every([is_("r1", 1), is_("r2", 2)])
    assert search().covered(search().every([is_("r1", 1), is_("r2", 1)]), Cases(apart.cases)) is False


def test_work_is_bounded() -> None:
    """Past the bound nothing more is compared."""
    with pytest.raises(TooMuchError):
        Search(dict.fromkeys(NAMES, ANYTHING), work=20).every([is_(name, 1) for name in NAMES] + [many()])
