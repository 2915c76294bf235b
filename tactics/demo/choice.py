"""Picks the lines to replay: by default a slice around the large campaign 18 that a small machine replays in a minute.

The slice follows whole households from shortly before the campaign on. They are taken in the order of a hash of their
number, one that was not mailed after every few that were: always the same ones, and chosen by nothing that they did.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from tactics.demo.data import Campaign, Data, day_start_s
from tactics.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_CAMPAIGN = 18
DEFAULT_ACTIONS = 16_000
LEAD_DAYS = 3
"""Days before the first campaign, so that the behaviour windows are not empty when it opens."""
SPAN_DAYS = 18
"""Days of the campaign that a slice follows; a slice that asks for more actions than those hold follows it to its end."""
TARGETED_PER_OTHER = 5
"""Households that got the mailing, for each one that did not."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to replay: these campaigns (none = all there are), at most so many lines (none = all there are)."""

    campaigns: frozenset[int] | None
    actions: int | None


@dataclass(frozen=True, slots=True)
class Slice:
    """The lines to replay, ordered by time and basket, with `line` = the line's place in its basket, from 1.

    `left_out` counts every other line of the data by the reason why it is not here.
    """

    campaigns: tuple[Campaign, ...]
    lines: pa.Table
    left_out: dict[str, int]


def choose(campaigns: set[int] | None = None, actions: int | None = None, everything: bool = False) -> Choice:
    """Turn what the command line asks for into a choice.

    Args:
        campaigns: campaign numbers; campaign 18 when left out, all campaigns with `everything`.
        actions: the most transaction lines to replay; 16,000 when left out.
        everything: all lines of the campaigns' time, or of the whole year when no campaign is named.

    Returns:
        the choice.

    Raises:
        BadInput: both a number of actions and everything, fewer than one action, or an empty set of campaigns.
    """
    if everything and actions is not None:
        raise BadInput("ask for a number of actions or for everything, not for both")
    if actions is not None and actions < 1:
        raise BadInput(f"{actions} actions cannot be replayed: at least 1", actions=actions)
    if campaigns is not None and not campaigns:
        raise BadInput("no campaign was named")
    if everything:
        return Choice(None if campaigns is None else frozenset(campaigns), None)
    return Choice(frozenset(campaigns or {DEFAULT_CAMPAIGN}), actions or DEFAULT_ACTIONS)


def cut(data: Data, choice: Choice) -> Slice:
    """Take the lines of a choice out of the data.

    Args:
        data: the data set.
        choice: what to replay.

    Returns:
        the slice; its lines and `left_out` together are all lines of the data.

    Raises:
        BadInput: a campaign that is not in the data.
    """
    campaigns = _campaigns(data, choice)
    window = _window(data.lines, choice, campaigns)
    left_out = Counter(outside_window=data.lines.num_rows - window.num_rows)
    sold = window.filter(pc.greater(window["quantity"], 0))
    if choice.actions is not None:
        households = _households(sold, campaigns, choice.actions)
        kept = window.filter(pc.is_in(window["household"], value_set=pa.array(households, pa.int64())))
        left_out["other_household"] = window.num_rows - kept.num_rows
        window = kept
    numbered = _number_lines(window.sort_by([("at_s", "ascending"), ("basket", "ascending"), ("item", "ascending")]))
    lines = numbered.filter(pc.greater(numbered["quantity"], 0))
    left_out["nothing_sold"] = numbered.num_rows - lines.num_rows
    if choice.actions is not None:
        whole = lines.slice(0, _whole_baskets(lines, choice.actions))
        left_out["beyond_actions"] = lines.num_rows - whole.num_rows
        lines = whole
    return Slice(campaigns, lines, dict(left_out))


def _campaigns(data: Data, choice: Choice) -> tuple[Campaign, ...]:
    if choice.campaigns is None:
        return tuple(data.campaigns.values())
    unknown = sorted(choice.campaigns - data.campaigns.keys())
    if unknown:
        known = f"{min(data.campaigns)} to {max(data.campaigns)}"
        raise BadInput(f"no campaign {unknown[0]} in the data: there are {known}", campaigns=unknown)
    return tuple(data.campaigns[number] for number in sorted(choice.campaigns))


def _window(lines: pa.Table, choice: Choice, campaigns: Iterable[Campaign]) -> pa.Table:
    if choice.campaigns is None:
        return lines
    first = min(campaign.first_day for campaign in campaigns) - timedelta(days=LEAD_DAYS)
    full = max(campaign.last_day for campaign in campaigns)
    short = max(min(c.last_day, c.first_day + timedelta(days=SPAN_DAYS - 1)) for c in campaigns)
    since = lines.filter(pc.greater_equal(lines["at_s"], day_start_s(first)))
    if choice.actions is not None:
        window = since.filter(pc.less(since["at_s"], day_start_s(short + timedelta(days=1))))
        if (pc.sum(pc.greater(window["quantity"], 0)).as_py() or 0) >= choice.actions:
            return window
    return since.filter(pc.less(since["at_s"], day_start_s(full + timedelta(days=1))))


def _households(sold: pa.Table, campaigns: Iterable[Campaign], actions: int) -> list[int]:
    counts = {row["values"]: row["counts"] for row in pc.value_counts(sold["household"]).to_pylist()}
    mailed = frozenset[int]().union(*(campaign.households for campaign in campaigns))
    targeted = sorted(counts.keys() & mailed, key=_stable_order)
    others = sorted(counts.keys() - mailed, key=_stable_order)
    ranked = [(float(place), household) for place, household in enumerate(targeted)]
    ranked += [((place + 0.5) * TARGETED_PER_OTHER, household) for place, household in enumerate(others)]
    chosen: list[int] = []
    total = 0
    for _, household in sorted(ranked):
        if total >= actions:
            break
        chosen.append(household)
        total += counts[household]
    return chosen


def _stable_order(household: int) -> tuple[int, int]:
    return crc32(str(household).encode()), household


def _number_lines(lines: pa.Table) -> pa.Table:
    row = pa.array(range(lines.num_rows), pa.int64())
    first_row_of_basket = pc.if_else(_starts(lines), row, 0)
    place = pc.subtract(row, pc.cumulative_max(first_row_of_basket))
    return lines.append_column("line", pc.add(place, 1))


def _whole_baskets(lines: pa.Table, actions: int) -> int:
    """How many lines to keep so that no basket is torn: at most `actions`, but never less than the first basket."""
    starts: list[int] = pc.indices_nonzero(_starts(lines)).to_pylist()
    ends = [*starts[1:], int(lines.num_rows)]
    return max((end for end in ends if end <= actions), default=ends[0])


def _starts(lines: pa.Table) -> pa.Array:
    """Whether a row is the first of its basket; rows are ordered by basket."""
    basket = lines["basket"].combine_chunks()
    if len(basket) == 0:
        return pa.array([], pa.bool_())
    return pa.concat_arrays([pa.array([True]), pc.not_equal(basket[1:], basket[:-1])])
