"""The parts of the replay: submissions keep baskets whole, percentiles are ranks, the summary has the agreed keys."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

from tactics.demo.replay import Replayed, Sample, _keep, waves
from tactics.demo.stream import Action, Basket
from tactics.demo.summary import Summary, percentile

AT = datetime(2017, 11, 1, tzinfo=UTC)


def _basket(user: int, lines: int) -> Basket:
    actions = tuple(Action(f"{user}:{line:03d}", AT, {"user_id": str(user)}) for line in range(1, lines + 1))
    return Basket(str(user), str(user), AT, actions)


def test_baskets_stay_whole_and_in_order() -> None:
    """Submissions are filled up to the limit with whole baskets, every line once and in order, all in one wave."""
    sizes = [40, 60, 1, 99, 100, 3, 5]
    (wave,) = waves([_basket(user, size) for user, size in enumerate(sizes)], 100)
    assert [len(batch) for batch in wave] == [100, 100, 100, 8]
    ids = [event["id"] for batch in wave for event in batch]
    assert ids == [f"{user}:{line:03d}" for user, size in enumerate(sizes) for line in range(1, size + 1)]
    assert {event["type"] for batch in wave for event in batch} == {"tactics.action"}
    assert {event["time"] for batch in wave for event in batch} == {AT.isoformat()}


def test_a_basket_beyond_the_limit_goes_on_in_a_later_wave() -> None:
    """The lines past the limit come after a barrier, never beside the first ones of their basket."""
    found = [[len(batch) for batch in wave] for wave in waves([_basket(1, 250), _basket(2, 4), _basket(3, 101)], 100)]
    assert found == [[100, 4, 100], [100, 1], [50]]


def test_nothing_to_submit_is_no_wave() -> None:
    """A round without baskets has no waves."""
    assert list(waves([], 100)) == []


def test_percentiles_are_values_that_occurred() -> None:
    """The nearest rank: the smallest value that so many of a hundred do not exceed."""
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (50.0, 99.0, 100.0)
    assert percentile([7.0], 99) == 7.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([], 50) == 0.0


def test_the_summary_has_the_agreed_keys() -> None:
    """The summary's JSON has exactly these keys, in this order."""
    keys = [
        "actions",
        "behaviour_events",
        "preparations",
        "placements",
        "grants",
        "reuses",
        "redemptions",
        "sold_out",
        "not_eligible",
        "over_issued",
        "lost",
        "stuck",
        "seconds",
        "actions_per_s",
        "placement_p50_ms",
        "placement_p99_ms",
    ]
    assert [one.name for one in fields(Summary)] == keys
    figures = dict.fromkeys(keys, 0)
    assert list(Summary(**figures).to_json()) == keys
    assert Summary(**figures).sound
    for name in ("over_issued", "lost", "stuck"):
        assert not Summary(**{**figures, name: 1}).sound


def test_a_shown_reuse_belongs_to_the_shown_grant() -> None:
    """The first answer of each kind is kept, but of the reuses the first of whom the granted one is kept."""
    seen = Replayed()
    for hour, (outcome, user) in enumerate(
        [("reused", "9"), ("granted", "1"), ("granted", "2"), ("reused", "2"), ("reused", "1"), ("reused", "1")]
    ):
        _keep(seen, outcome, Sample(user, AT + timedelta(hours=hour), {}))
    assert {name: (one.user_id, one.at.hour) for name, one in seen.samples.items()} == {
        "granted": ("1", 1),
        "reused": ("1", 4),
    }
