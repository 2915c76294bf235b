"""Orders the lines in time: days, in each day rounds, in each round at most one basket per household.

A replay that waits between rounds never has two baskets of one household under way at once, so that its figures repeat
from run to run, while the baskets of a round may run side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from tactics.demo.data import RedemptionRow, shop_day

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pyarrow as pa

    from tactics.demo.data import Campaign

BATCH_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Action:
    """One transaction line as a user action: `data` is what an event of type `tactics.action` carries."""

    event_id: str
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Basket:
    """One trip to the till; the data gives all its lines the same instant. Its household visits the placement."""

    user_id: str
    basket_id: str
    at: datetime
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Redemption:
    """A real redemption. The data knows its day only; `at` is the household's last basket of that day."""

    user_id: str
    campaign: int
    day: date
    at: datetime
    coupon_upc: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the shops: its rounds (the j-th has each household's j-th basket of the day), then its redemptions."""

    day: date
    campaign_running: bool
    rounds: tuple[tuple[Basket, ...], ...]
    redemptions: tuple[Redemption, ...]


class _Line(NamedTuple):
    at_s: int
    household: int
    store: int
    basket: int
    item: int
    quantity: int
    recorded_quantity: int
    amount_minor: int
    coupon_minor: int
    line: int


def days(lines: pa.Table, redemptions: Collection[Redemption], campaigns: Collection[Campaign]) -> Iterator[Day]:
    """Give the slice day by day; only one day at a time is in memory as Python objects.

    Args:
        lines: the slice's lines, ordered by time and basket.
        redemptions: those of the slice.
        campaigns: those replayed, to say on which days one is running.

    Yields:
        every day with a basket, in order; in a round baskets are in the order of time, then of their number.
    """
    redeemed = {day: tuple(rows) for day, rows in groupby(sorted(redemptions, key=_by_day), key=attrgetter("day"))}
    for day, rows in groupby(_lines(lines), key=lambda line: shop_day(line.at_s)):
        baskets = [_basket(list(group)) for _, group in groupby(rows, key=attrgetter("basket"))]
        running = any(campaign.first_day <= day <= campaign.last_day for campaign in campaigns)
        yield Day(day, running, _rounds(baskets), redeemed.get(day, ()))


def redemptions_in(
    lines: pa.Table, rows: Collection[RedemptionRow], campaigns: Collection[Campaign]
) -> tuple[tuple[Redemption, ...], dict[str, int]]:
    """Find the redemptions that fall into a slice.

    Args:
        lines: the slice's lines.
        rows: all redemptions of the data.
        campaigns: those replayed.

    Returns:
        the redemptions, by day, household and coupon; and the others, counted by reason: `other_campaign`,
        `other_household`, or `no_basket`, when the household has no basket of that day in the slice.
    """
    first = lines.group_by(["household", "basket"]).aggregate([("at_s", "min")])
    last_at: dict[tuple[int, date], int] = {}
    for household, at_s in zip(first["household"].to_pylist(), first["at_s_min"].to_pylist(), strict=True):
        key = household, shop_day(at_s)
        last_at[key] = max(at_s, last_at.get(key, at_s))
    households = {household for household, _ in last_at}
    numbers = {campaign.number for campaign in campaigns}
    left_out = {"other_campaign": 0, "other_household": 0, "no_basket": 0}
    found = []
    for row in rows:
        at = last_at.get((row.household, row.day))
        if row.campaign not in numbers:
            left_out["other_campaign"] += 1
        elif row.household not in households:
            left_out["other_household"] += 1
        elif at is None:
            left_out["no_basket"] += 1
        else:
            found.append(Redemption(str(row.household), row.campaign, row.day, _instant(at), str(row.coupon_upc)))
    return tuple(sorted(found, key=_by_day)), left_out


def _by_day(redemption: Redemption) -> tuple[date, int, int, int]:
    return redemption.day, int(redemption.user_id), redemption.campaign, int(redemption.coupon_upc)


def _rounds(baskets: list[Basket]) -> tuple[tuple[Basket, ...], ...]:
    rounds: list[list[Basket]] = []
    seen: dict[str, int] = {}
    for basket in baskets:
        place = seen.get(basket.user_id, 0)
        seen[basket.user_id] = place + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(basket)
    return tuple(tuple(each) for each in rounds)


def _basket(lines: list[_Line]) -> Basket:
    first = lines[0]
    at = _instant(first.at_s)
    return Basket(str(first.household), str(first.basket), at, tuple(_action(line, at) for line in lines))


def _action(line: _Line, at: datetime) -> Action:
    """The line as a purchase; its attributes keep what the data recorded where the engine's words say something else."""
    attributes: dict[str, Any] = {"basket": str(line.basket), "store": str(line.store)}
    if line.quantity != line.recorded_quantity:
        attributes["recorded_quantity"] = line.recorded_quantity
    if line.coupon_minor:
        attributes["coupon_minor"] = line.coupon_minor
    data = {
        "user_id": str(line.household),
        "action": "purchase",
        "item_id": str(line.item),
        "quantity": line.quantity,
        "amount_minor": line.amount_minor,
        "attributes": attributes,
    }
    # Three digits: the lines of a basket sort the same as text and as numbers.
    return Action(f"{line.basket}:{line.line:03d}", at, data)


def _lines(table: pa.Table) -> Iterator[_Line]:
    pick = itemgetter(*_Line._fields)
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        yield from map(_Line._make, zip(*pick(batch.to_pydict()), strict=True))


def _instant(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
