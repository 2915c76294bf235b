"""Choosing lines: the same every time, and every line accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pytest

from tactics.demo.choice import DEFAULT_ACTIONS, LEAD_DAYS, SPAN_DAYS, Choice, choose, cut
from tactics.demo.data import shop_day
from tactics.errors import BadInput

if TYPE_CHECKING:
    from tactics.demo.data import Data

CHOICES = [
    choose(),
    choose({13}),
    choose({8, 18}, 3_000),
    choose(None, 1),
    choose(None, 200_000),
    choose({24}, 500),
    choose({17}, everything=True),
    choose(everything=True),
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_every_line_is_accounted_for(data: Data, choice: Choice) -> None:
    """The lines of a slice and those left out, by reason, are all lines of the data; none is counted below zero."""
    part = cut(data, choice)
    assert part.lines.num_rows + sum(part.left_out.values()) == data.lines.num_rows
    assert min(part.left_out.values()) >= 0
    assert part.lines.num_rows > 0


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_no_more_lines_than_asked_and_no_basket_torn(data: Data, choice: Choice) -> None:
    """A slice ends with a whole basket, at or before the number asked for, and close to it unless there are no more."""
    lines = cut(data, choice).lines
    baskets = pc.unique(lines["basket"])
    sold = data.lines.filter(pc.greater(data.lines["quantity"], 0))
    whole = sold.filter(pc.is_in(sold["basket"], value_set=baskets))
    assert whole.num_rows == lines.num_rows
    if choice.actions is not None and len(baskets) > 1:
        assert choice.actions - 200 < lines.num_rows <= choice.actions


def test_the_default_slice_follows_campaign_18(data: Data) -> None:
    """By default: campaign 18, from days before it on, with mailed households and others, in the size of the constant."""
    part = cut(data, choose())
    (campaign,) = part.campaigns
    days = [shop_day(at_s) for at_s in part.lines["at_s"].to_pylist()]
    households = set(part.lines["household"].to_pylist())
    assert campaign.number == 18
    assert (campaign.first_day - min(days)).days == LEAD_DAYS
    assert (max(days) - campaign.first_day).days < SPAN_DAYS
    assert DEFAULT_ACTIONS - 100 < part.lines.num_rows <= DEFAULT_ACTIONS
    others = len(households - campaign.households)
    assert 0.1 < others / len(households) < 0.25


def test_lines_are_numbered_within_their_basket_whatever_the_slice(data: Data) -> None:
    """The number of a line depends on its basket alone, so that event ids agree between slices."""

    def numbers(choice: Choice) -> dict[tuple[int, int], int]:
        lines = cut(data, choice).lines
        keys = zip(lines["basket"].to_pylist(), lines["item"].to_pylist(), strict=True)
        return dict(zip(keys, lines["line"].to_pylist(), strict=True))

    small, large = numbers(choose(None, 500)), numbers(choose(None, 5_000))
    shared = small.keys() & large.keys()
    assert shared
    assert all(small[key] == large[key] for key in shared)
    assert min(large.values()) == 1


def test_everything_leaves_out_only_what_was_not_sold(data: Data) -> None:
    """The whole year has every line but those without pieces and money."""
    part = cut(data, choose(everything=True))
    assert part.left_out == {"outside_window": 0, "nothing_sold": 8_840}
    assert len(part.campaigns) == 27


@pytest.mark.parametrize(
    ("campaigns", "actions", "everything", "says"),
    [(None, 10, True, "not for both"), (None, 0, False, "at least 1"), (set(), None, False, "no campaign was named")],
)
def test_a_contradictory_choice_is_refused(
    campaigns: set[int] | None, actions: int | None, everything: bool, says: str
) -> None:
    """What cannot be replayed is refused with the reason, before any data is read."""
    with pytest.raises(BadInput, match=says):
        choose(campaigns, actions, everything)


def test_an_unknown_campaign_is_refused(data: Data) -> None:
    """A campaign that the data does not have is named, with those that there are."""
    with pytest.raises(BadInput, match="no campaign 99 in the data: there are 1 to 27"):
        cut(data, choose({18, 99}))
