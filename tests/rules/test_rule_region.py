"""Sets of values: what is in a combination is what the operators say of each value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tactics.rules.region import FALSE, MISSING, TRUE, Cuts, Region, after, before, instant, points, rest_of, span

VALUES = [-1, 0, 0.5, 1, 1.5, 2, 2.5, 3]
TIMES = ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00", "2024-01-02T00:00:00Z"]
TEXTS = [(text, instant(text)) for text in ("a", "b", "c", *TIMES)]
MOMENTS = [at for _, at in TEXTS if at is not None]


def has(cuts: Cuts, value: float) -> bool:
    """Whether the value is in, told by the pairs of cuts and nothing else."""
    return any(start <= (value, 0) and (value, 1) <= end for start, end in zip(cuts[::2], cuts[1::2], strict=True))


def members(region: Region) -> set[object]:
    """Everything of the small world of this test that is in the region."""
    found: set[object] = set(region.marks)
    found |= {("number", value) for value in VALUES if has(region.numbers, value)}
    found |= {("moment", at) for at in MOMENTS if has(region.moments, at)}
    return found | {("text", text) for text in TEXTS if region.has_text(text)}


CUTS = st.builds(tuple, st.sets(st.tuples(st.sampled_from(VALUES), st.integers(0, 1))).map(sorted)).filter(
    lambda cuts: len(cuts) % 2 == 0
)
TIME_CUTS = st.builds(span, *[st.none() | st.sampled_from(MOMENTS).map(lambda at: (at, 0))] * 2)
REGIONS = st.builds(
    Region,
    st.frozensets(st.sampled_from([MISSING, TRUE, FALSE])),
    CUTS,
    TIME_CUTS,
    st.booleans(),
    TIME_CUTS,
    st.frozensets(st.sampled_from(TEXTS)),
)


@given(REGIONS, REGIONS)
def test_the_operators_are_those_of_sets(one: Region, other: Region) -> None:
    """Meeting, joining and taking away agree with Python's sets of the same values."""
    assert members(one & other) == members(one) & members(other)
    assert members(one | other) == members(one) | members(other)
    assert members(one - other) == members(one) - members(other)


@given(REGIONS, REGIONS)
def test_a_region_is_true_as_long_as_something_is_left(one: Region, other: Region) -> None:
    """Nothing is left of a region without itself; what has a value is not empty; equal sets are equal regions."""
    assert not one - one
    assert not one - (one | other)
    assert bool(one) or not members(one)
    assert (one - other) | (one & other) == one
    assert not (one - other) & other


@given(st.lists(st.sampled_from(VALUES)))
def test_points_are_the_values_and_no_others(values: list[float]) -> None:
    """Also where only whole numbers exist, which have no halves among them."""
    assert {value for value in VALUES if has(points(values), value)} == set(values)
    whole = [value for value in VALUES if value == int(value)]
    assert [value for value in whole if has(points(values, whole=True), value)] == sorted(set(values) & set(whole))
    assert points([1, 2, 3], whole=True) == ((1, 0), (4, 0))


def test_cuts_stand_where_the_first_value_is_reached_or_passed() -> None:
    """Between whole numbers there is nothing, so neighbours leave no gap; between others there always is."""
    assert not span(after(2, whole=True), before(3, whole=True))
    assert span(after(2), before(3))
    assert not span(after(2), before(2))
    assert not span(before(2.2, whole=True), after(2.8, whole=True))
    assert before(2, whole=True) == before(1.5, whole=True) == after(1, whole=True) == after(1.9, whole=True)
    assert not rest_of(span(None, None))


def test_one_moment_has_several_texts() -> None:
    """Text can be excluded as text while its moment stays possible."""
    one, same = TEXTS[3], TEXTS[4]
    assert one[1] == same[1]
    day = Region(timed=span((MOMENTS[0], 0), (MOMENTS[0] + 1, 0)))
    left = day - Region(odd=frozenset({one}))
    assert (left.has_text(one), left.has_text(same), bool(left)) == (False, True, True)
